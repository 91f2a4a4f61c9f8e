// npm run torture -- --archives N [--rows filter] [--seed S] [--jobs N] [--json] [--keep] [--markdown file] [--list]
//                    [--limit-s N] [--max-entries N] [--max-bytes N]
// Runs every row whose title matches the filter (a regular expression), prints the table, and ends with 1 if a tarspout
// row breaks its promise.
import { execSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { brokenPromises } from './judge.js'
import { type RowResult, runRow } from './row.js'
import { allowances, type Row, rows, titleOf } from './rows.js'
import { markdownOf, tableOf } from './table.js'

const { values } = parseArgs({
  options: {
    archives: { type: 'string', default: '1000' },
    rows: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    'limit-s': { type: 'string' },
    'max-entries': { type: 'string', default: '50' },
    'max-bytes': { type: 'string', default: String(1 << 20) },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    markdown: { type: 'string' },
  },
})

export interface Finished {
  readonly row: Row
  readonly result: RowResult
  readonly broken: readonly string[]
}

const pattern = new RegExp(values.rows)
const hasGo = (() => {
  try {
    execSync('command -v go', { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const chosen = rows.filter((row) => pattern.test(titleOf(row)) && (hasGo || !row.reader.startsWith('Go')))
if (values.list) {
  for (const row of chosen) console.log(titleOf(row))
  process.exit(0)
}
if (chosen.length === 0) {
  console.error(`no row matches ${pattern}`)
  process.exit(2)
}

const archives = Number(values.archives)
const limitMs = Number(values['limit-s'] ?? Math.max(60, archives)) * 1000
const limits = { maxEntries: Number(values['max-entries']), maxBytes: Number(values['max-bytes']) }
const finished: Finished[] = []
const queue = [...chosen]
const status = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)

async function work() {
  for (let row = queue.shift(); row; row = queue.shift()) {
    const title = titleOf(row)
    const result = await runRow(row, {
      ...{ archives, limits, limitMs, seed: Number(values.seed), keep: values.keep },
      onProgress: (settled) =>
        status(`${finished.length + 1}/${chosen.length} ${title}: ${settled}/${archives}`),
    })
    const broken = brokenPromises(result, allowances(row))
    if (row.fault.strikes && result.strikes === 0 && archives >= 100) broken.push('the fault never struck')
    finished.push({ row, result, broken })
    if (values.json) console.log(JSON.stringify({ title, ...result, broken }))
    if (result.complaints && row.writer === 'tarspout')
      console.error(`${title}: ${result.complaints.slice(0, 500)}`)
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
status('')
finished.sort((a, b) => chosen.indexOf(a.row) - chosen.indexOf(b.row))

if (!values.json) console.log(tableOf(finished))
if (values.markdown) {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const facts = [
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, ${memory}`,
    `Linux ${release()}, Node ${process.version}`,
    new Date().toISOString().slice(0, 10),
  ]
  const command = `npm run torture -- ${process.argv.slice(2).join(' ')}`
  writeFileSync(values.markdown, markdownOf(finished, archives, facts, command))
}
const failed = finished.filter(({ row, broken }) => row.writer === 'tarspout' && broken.length > 0)
for (const { row, broken } of failed) console.error(`${titleOf(row)}: ${broken.join(', ')}`)
process.exitCode = failed.length > 0 ? 1 : 0
