// npm run torture -- --archives N [--rows filter] [--seed S] [--jobs N] [--long-jobs N] [--results file] [--markdown file]
//                    [--json] [--keep] [--list] [--for-s N] [--limit-s N] [--max-entries N] [--max-bytes N]
// Runs every row whose title matches the filter (a regular expression), prints the table, and ends with 1 if a tarspout
// row breaks its promise. With --results rows that were run before under the same conditions are taken from the file, and each
// that is run is added to it; --markdown writes the page of all of them. After --for-s no further row is begun.
import { setMaxListeners } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brokenPromises } from './judge.js';
import { addonHash, commitName, Results } from './results.js';
import { runRow } from './row.js';
import { allowances, rows, titleOf } from './rows.js';
import { markdownOf, tableOf } from './table.js';
const { values } = parseArgs({
    options: {
        archives: { type: 'string', default: '1000' },
        rows: { type: 'string', default: '' },
        seed: { type: 'string', default: '1' },
        jobs: { type: 'string', default: '1' },
        'long-jobs': { type: 'string', default: '0' },
        'limit-s': { type: 'string' },
        'for-s': { type: 'string' },
        'max-entries': { type: 'string', default: '50' },
        'max-bytes': { type: 'string', default: String(1 << 20) },
        results: { type: 'string' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        markdown: { type: 'string' },
    },
});
const pattern = new RegExp(values.rows);
const hasGo = existsSync(fileURLToPath(new URL('../../build/readers/gotar', import.meta.url)));
const chosen = rows.filter((row) => pattern.test(titleOf(row)) && (hasGo || !row.reader.startsWith('Go')));
if (values.list) {
    for (const row of chosen)
        console.log(titleOf(row));
    process.exit(0);
}
if (chosen.length === 0) {
    console.error(`no row matches ${pattern}`);
    process.exit(2);
}
const [archives, seed] = [Number(values.archives), Number(values.seed)];
const limitMs = Number(values['limit-s'] ?? Math.max(60, archives)) * 1000;
const limits = { maxEntries: Number(values['max-entries']), maxBytes: Number(values['max-bytes']) };
const addon = addonHash();
const conditionsOf = (row) => ({
    ...{ archives, seed, ...limits, addon: row.writer === 'tarspout' ? addon : null },
});
const results = new Results(values.results, conditionsOf, rows);
const facts = [
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}, Node ${process.version}`,
    `${new Date().toISOString().slice(0, 10)}, at commit ${commitName()}`,
];
const command = `npm run torture -- ${process.argv.slice(2).join(' ')}`;
const writePage = () => values.markdown && writeFileSync(values.markdown, markdownOf(results.of(rows), archives, facts, command));
// Rows that mostly sleep have jobs of their own, which cost little beside the rest.
const queue = chosen.filter((row) => !results.has(row));
const longJobs = Number(values['long-jobs']);
const long = longJobs > 0 ? queue.filter((row) => row.fault.isLong) : [];
const others = queue.filter((row) => !long.includes(row));
const stop = () => {
    for (const rows of [long, others])
        rows.splice(0);
};
if (values['for-s'])
    setTimeout(stop, Number(values['for-s']) * 1000).unref();
const ending = new AbortController();
setMaxListeners(0, ending.signal); // one a row
for (const name of ['SIGINT', 'SIGTERM']) {
    process.once(name, () => {
        stop();
        ending.abort();
    });
}
const status = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
async function work(from) {
    for (let row = from.shift(); row; row = from.shift()) {
        const title = titleOf(row);
        const left = long.length + others.length;
        const result = await runRow(row, {
            ...{ archives, limits, limitMs, seed, keep: values.keep, signal: ending.signal },
            onProgress: (settled) => status(`${queue.length - left}/${queue.length} ${title}: ${settled}/${archives}`),
        });
        if (ending.signal.aborted)
            return;
        const broken = brokenPromises(result, allowances(row));
        if (row.fault.strikes && result.strikes === 0 && archives >= 100)
            broken.push('the fault never struck');
        results.add({ row, result, broken }, conditionsOf(row));
        writePage();
        if (values.json)
            console.log(JSON.stringify({ title, ...result, broken }));
        if (result.complaints && row.writer === 'tarspout')
            console.error(`${title}: ${result.complaints.slice(0, 500)}`);
    }
}
const jobs = (from, count) => Array.from({ length: count }, () => work(from));
await Promise.all([...jobs(long, longJobs), ...jobs(others, Number(values.jobs))]);
status('');
writePage();
const finished = results.of(chosen);
if (!values.json)
    console.log(tableOf(finished));
const failed = finished.filter(({ row, broken }) => row.writer === 'tarspout' && broken.length > 0);
for (const { row, broken } of failed)
    console.error(`${titleOf(row)}: ${broken.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
