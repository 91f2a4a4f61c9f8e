// What must stay bounded: `npm run bench -- limits`. Memory over many bytes, how far a source runs ahead of a
// stalled reader, the cost per entry and per archive as they grow in number, the event loop's delay, and bytes
// that flow while JavaScript does not. Takes minutes; `--quick` a tenth of the bytes and counts; `--only PART` one part.
// Each line says what was demanded and what was measured; the exit status is 1 where a demand is not met. A whole run
// writes docs/performance.md.
import { fork } from 'node:child_process'
import { parseArgs } from 'node:util'
import { describe, machineLines, table, writeFigures } from './lib/document.js'
import { fail } from './lib/fail.js'
import { buildPrograms, startReader } from './lib/programs.js'
import { progress } from './lib/progress.js'
import { Bench, Workspace } from './lib/runner.js'
import { median } from './lib/statistics.js'
import { findWorkload } from './lib/workloads.js'

const { values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', multiple: true } },
})
const share = values.quick ? 0.1 : 1
const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

const memoryMost = 150 * MiB
const highWaterMark = MiB
const pipeBytes = MiB
const flatnessMost = 1.5
const loopDelayMostMs = 5
const loopBeginsMs = 300
const loopLastsMs = 1000
const loopRounds = 5
const caseLimitMs = 600_000

buildPrograms()
const workspace = new Workspace()
process.on('exit', () => workspace.close())
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const startedAt = performance.now()
const lines = []

/** One line: what, how much, and whether that is what is demanded (undefined: only shown). */
function say(what, figure, met) {
  lines.push({ what, figure, met })
  progress('')
  console.log(`${met === undefined ? '    ' : met ? 'ok  ' : 'MISS'}  ${what}: ${figure}`)
}

const mebibytes = (bytes) => `${(bytes / MiB).toFixed(1)} MiB`

/** Runs one measurement of limit-case.js against a reader; { result, read } or { failed }. */
async function runCase(measurement, options, readerOptions = {}) {
  const fifo = workspace.makeFifo()
  const reader = startReader(fifo, readerOptions)
  const child = fork(new URL('./lib/limit-case.js', import.meta.url), [
    measurement,
    fifo,
    JSON.stringify(options),
  ])
  const answer = await new Promise((resolve) => {
    const timer = setTimeout(
      () => resolve({ failed: `no end after ${caseLimitMs / 1000} s` }),
      caseLimitMs,
    )
    const settle = (message) => {
      clearTimeout(timer)
      resolve(message)
    }
    child.on('message', settle)
    child.on('error', (error) => settle({ failed: error.message }))
    child.on('close', (status, signal) =>
      settle({ failed: `the process ended with ${signal ?? status}` }),
    )
  })
  if (answer.failed) {
    child.kill('SIGKILL')
    reader.kill()
    return answer
  }
  const waiting = setTimeout(reader.stop, 2000) // one that nobody ever opened for writing
  const read = await reader.report
  clearTimeout(waiting)
  return { ...answer, read }
}

/** Runs, and says what failed if it did. */
async function measured(what, measurement, options, readerOptions) {
  progress(what)
  const outcome = await runCase(measurement, options, readerOptions)
  if (!outcome.failed) return outcome
  say(what, `failed: ${outcome.failed}`, false)
  return undefined
}

async function memory() {
  for (const bodyBytes of [64 * KiB, 1000]) {
    const totalBytes = Math.round(20 * GiB * share * (bodyBytes < KiB ? 0.1 : 1))
    const what = `peak RSS above an idle Node, ${(totalBytes / GiB).toFixed(1)} GiB through one spout, bodies of ${bodyBytes} B (at most ${mebibytes(memoryMost)})`
    const outcome = await measured(what, 'memory', { bodyBytes, totalBytes })
    if (!outcome) continue
    const above = outcome.result.peakBytes - outcome.result.idleBytes
    say(
      what,
      `${mebibytes(above)} (idle ${mebibytes(outcome.result.idleBytes)})`,
      above <= memoryMost,
    )
  }
}

async function stalledReader() {
  const bodyBytes = 64 * KiB
  const stallMs = 1500
  for (const way of ['add', 'run', 'write stream']) {
    // What may be outside the source: what the reader took, a full pipe, the queue, the entry that
    // filled it.
    const most = highWaterMark + 2 * bodyBytes
    const what = `bytes taken from the source and still queued, a stalled reader, ${way} (at most highWaterMark and the entry that fills it: ${mebibytes(most)})`
    const outcome = await measured(
      what,
      'stall',
      { way, bodyBytes, totalBytes: 256 * MiB * share, highWaterMark, watchMs: stallMs },
      { 'stall-after': 1, 'stall-ms': stallMs },
    )
    if (!outcome) continue
    const { early, late } = outcome.result
    // The reader's first read takes at most its buffer of 1 MiB: of the unknown share the least is
    // assumed.
    const queued = late - pipeBytes - outcome.read.firstBytes
    say(
      what,
      `${mebibytes(queued)}${late > early ? ', and it was still taking' : ''}`,
      queued <= most && late === early,
    )
  }
}

async function flatness() {
  const runner = new Bench(workspace)
  const ladders = [
    {
      workload: '100B',
      what: 'entry, by the entries of one archive',
      counts: [1e4, 1e5, 1e6, 1e7],
      from: 1e5,
    },
    {
      workload: 'commits',
      what: 'archive, by the archives of one spout',
      counts: [1, 1e2, 1e4, 1e5, 1e6],
      from: 1e4,
    },
  ]
  for (const { workload, what, counts, from } of ladders) {
    const costs = []
    for (const count of new Set(
      counts.map((wanted) => (wanted > from ? Math.max(from, wanted * share) : wanted)),
    )) {
      progress(`cost per ${what}, ${count}`)
      const outcome = await runner.runFixed('tarspout-add', findWorkload(workload), count)
      if (outcome.failed) {
        say(`cost per ${what}, ${count}`, `failed: ${outcome.failed}`, false)
        return
      }
      const ns = (outcome.seconds * 1e9) / outcome.count
      // Few of them cost what opening the FIFO costs, which says nothing of flatness.
      if (count >= from) costs.push(ns)
      say(
        `cost per ${what}, ${outcome.count}`,
        `${ns.toFixed(0)} ns, peak RSS ${mebibytes(outcome.peakRssBytes)}`,
      )
    }
    const growth = costs.at(-1) / Math.min(...costs)
    say(
      `growth of the cost per ${what} (at most ${flatnessMost}x)`,
      `${growth.toFixed(2)}x`,
      growth <= flatnessMost,
    )
  }
}

/**
 * The longest delay of each of several processes, since one turn that the host held up is not the
 * writer's. How a process begins is told apart: V8 compiles then, on as many threads as there are
 * processors and more.
 */
async function eventLoop() {
  const lastsMs = loopLastsMs * Math.max(share, 0.3)
  // A source alone, its entries thrown away, shows what V8 takes of it on such a machine.
  for (const way of ['idle', 'source alone', 'add', 'run, async', 'run']) {
    const isShown = way === 'idle' || way === 'source alone'
    for (const bodyBytes of isShown ? [100] : [100, 64 * KiB, MiB]) {
      const demand = isShown ? 'nothing is sent' : `under ${loopDelayMostMs} ms`
      const bodies = way === 'idle' ? '' : `, bodies of ${bodyBytes} B`
      const what = `longest event-loop delay, ${way}${bodies} (${demand})`
      const results = []
      for (let round = 0; round < loopRounds; round++) {
        const outcome = await measured(what, 'loop', {
          way,
          bodyBytes,
          beginsMs: loopBeginsMs,
          lastsMs,
        })
        if (outcome) results.push(outcome.result)
      }
      if (results.length < loopRounds) continue
      results.sort((a, b) => a.maxMs - b.maxMs)
      const maxMs = median(results.map((result) => result.maxMs))
      const each = results.map((result) => result.maxMs.toFixed(1)).join(', ')
      const { ms, collectedMs, waitedMs } = results.at(-1).longest
      const spent = `a longest turn of ${ms.toFixed(1)} ms had ${collectedMs.toFixed(1)} ms of garbage collection, ${waitedMs.toFixed(1)} ms without a processor`
      const beginningMs = median(results.map((result) => result.beginningMs))
      const beginning = `in the first ${loopBeginsMs} ms ${beginningMs.toFixed(1)} ms`
      say(
        what,
        `${maxMs.toFixed(1)} ms, the median of ${each} (${spent}); ${beginning}`,
        isShown ? undefined : maxMs < loopDelayMostMs,
      )
    }
  }
}

async function blockedThread() {
  const blockMs = 50
  const pace = 200_000_000
  const mark = 64 * KiB
  for (const way of ['openFifo', 'net.Socket']) {
    const what = `read while JavaScript was busy for ${blockMs} ms, ${way} (a reader of at most ${pace / 1e6} MB/s)`
    const bytesRead = async (isBusy) => {
      const options = { way, queuedBytes: 32 * MiB, blockMs, isBusy }
      const outcome = await measured(what, 'block', options, { pace, mark })
      if (!outcome) return undefined
      const { from, to } = outcome.result
      return mark * outcome.read.marks.filter((at) => at >= from && at < to).length
    }
    // How much such a reader takes depends on the machine's timers: at rest it shows. A busy thread
    // also takes a processor away.
    const atRest = await bytesRead(false)
    const busy = await bytesRead(true)
    if (atRest === undefined || busy === undefined) continue
    // The socket is shown for comparison.
    say(
      what,
      `${mebibytes(busy)}, and ${mebibytes(atRest)} while it slept`,
      way === 'openFifo' ? busy >= 0.5 * atRest : undefined,
    )
  }
}

const parts = {
  memory: ['Memory', memory],
  stall: ['A stalled reader', stalledReader],
  numbers: ['Cost as numbers grow', flatness],
  loop: ['The event loop', eventLoop],
  blocked: ['A blocked JavaScript thread', blockedThread],
}
const chosen = values.only ?? Object.keys(parts)
const unknown = chosen.find((name) => !parts[name])
if (unknown !== undefined)
  fail(`no part ${unknown} of limits, there are ${Object.keys(parts).join(', ')}`)
const tables = []
for (const name of chosen) {
  const [title, part] = parts[name]
  console.log(`\n${title}`)
  const from = lines.length
  await part()
  const rows = lines
    .slice(from)
    .map(({ what, figure, met }) => [what, figure, met === undefined ? '' : met ? 'yes' : 'no'])
  tables.push(`### ${title}\n\n${table(['what (and what is demanded)', 'measured', 'met'], rows)}`)
}
const missed = lines.filter(({ met }) => met === false).length
if (missed > 0) {
  console.log(`\n${missed} not met`)
  process.exitCode = 1
}
if (!values.quick && !values.only) {
  const run = describe()
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const facts = [...machineLines(run), `${run.date}, ${run.command}: ${seconds} s in all`]
  writeFigures(
    'npm run bench -- limits',
    [facts.map((fact) => `- ${fact}`).join('\n'), ...tables].join('\n\n'),
  )
  console.error('bench: wrote docs/performance.md')
}
