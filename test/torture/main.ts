// Writers against readers that stall, close and die: `npm run torture`.
import { setMaxListeners } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { readOptions } from '../support/arguments.js'
import { brokenPromises } from './judge.js'
import { addonHash, type Conditions, commitName, Results } from './results.js'
import { runRow } from './row.js'
import { allowances, type Row, rows, titleOf } from './rows.js'
import { markdownOf, tableOf } from './table.js'

const usage = `npm run torture [-- OPTIONS]

Runs rows of the table, prints it, and ends with 1 if a row of tarspout breaks its promise.

--rows PATTERN     only rows whose title matches this regular expression
--list             say which they are, and end
--archives N       so many a row (1000), of up to
--max-entries N    entries (50) of up to
--max-bytes N      bytes (1048576)
--seed N           of all that is random (1)
--jobs N           rows at a time (1)
--long-jobs N      those that mostly sleep have so many jobs of their own (0)
--limit-s N        seconds until a row is given up (one an archive, at least 60)
--for-s N          seconds after which no further row begins
--results FILE     rows in it that ran under the same conditions are not run again; each that runs is added
--markdown FILE    write the page of all of them
--json             a line a row
--keep             leave what the readers kept
--help`

const { values, numbers } = readOptions(
  'torture',
  usage,
  {
    rows: { type: 'string' },
    results: { type: 'string' },
    markdown: { type: 'string' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
  {
    ...{
      archives: 1000,
      'max-entries': 50,
      'max-bytes': 1 << 20,
      seed: 1,
      jobs: 1,
      'long-jobs': 0,
    },
    ...{ 'limit-s': undefined, 'for-s': undefined },
  },
)

const pattern = new RegExp(values.rows ?? '')
const hasGo = existsSync(fileURLToPath(new URL('../../build/readers/gotar', import.meta.url)))
const chosen = rows.filter(
  (row) => pattern.test(titleOf(row)) && (hasGo || !row.reader.startsWith('Go')),
)
if (values.list) {
  for (const row of chosen) console.log(titleOf(row))
  process.exit(0)
}
if (chosen.length === 0) {
  console.error(`no row matches ${pattern}`)
  process.exit(2)
}

const { archives, seed, jobs, 'long-jobs': longJobs } = numbers
const limitMs = (numbers['limit-s'] ?? Math.max(60, archives)) * 1000
const limits = { maxEntries: numbers['max-entries'], maxBytes: numbers['max-bytes'] }
const addon = addonHash()
const conditionsOf = (row: Row): Conditions => ({
  ...{ archives, seed, ...limits, addon: row.writer === 'tarspout' ? addon : null },
})
const results = new Results(values.results, conditionsOf, rows)
const facts = [
  `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  `Linux ${release()}, Node ${process.version}`,
  `${new Date().toISOString().slice(0, 10)}, at commit ${commitName()}`,
]
const command = `npm run torture -- ${process.argv.slice(2).join(' ')}`
const writePage = () =>
  values.markdown &&
  writeFileSync(values.markdown, markdownOf(results.of(rows), archives, facts, command))

// Rows that mostly sleep have jobs of their own, which cost little beside the rest.
const queue = chosen.filter((row) => !results.has(row))
const long = longJobs > 0 ? queue.filter((row) => row.fault.isLong) : []
const others = queue.filter((row) => !long.includes(row))
const stop = () => {
  for (const rows of [long, others]) rows.splice(0)
}
if (numbers['for-s']) setTimeout(stop, numbers['for-s'] * 1000).unref()
const ending = new AbortController()
setMaxListeners(0, ending.signal) // one a row
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    stop()
    ending.abort()
  })
}
const status = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)

async function work(from: Row[]) {
  for (let row = from.shift(); row; row = from.shift()) {
    const title = titleOf(row)
    const left = long.length + others.length
    const result = await runRow(row, {
      ...{ archives, limits, limitMs, seed, keep: values.keep, signal: ending.signal },
      onProgress: (settled) =>
        status(`${queue.length - left}/${queue.length} ${title}: ${settled}/${archives}`),
    })
    if (ending.signal.aborted) return
    const broken = brokenPromises(result, allowances(row))
    if (row.fault.strikes && result.strikes === 0 && archives >= 100)
      broken.push('the fault never struck')
    results.add({ row, result, broken }, conditionsOf(row))
    writePage()
    if (values.json) console.log(JSON.stringify({ title, ...result, broken }))
    if (result.complaints && row.writer === 'tarspout')
      console.error(`${title}: ${result.complaints.slice(0, 500)}`)
  }
}
const workers = (from: Row[], count: number) => Array.from({ length: count }, () => work(from))
await Promise.all([...workers(long, longJobs), ...workers(others, jobs)])
status('')
writePage()

const finished = results.of(chosen)
if (!values.json) console.log(tableOf(finished))
const failed = finished.filter(({ row, broken }) => row.writer === 'tarspout' && broken.length > 0)
for (const { row, broken } of failed) console.error(`${titleOf(row)}: ${broken.join(', ')}`)
process.exitCode = failed.length > 0 ? 1 : 0
