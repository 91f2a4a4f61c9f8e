// `npm run bench`: every contender with every workload, as tables, a chart and docs/performance.md.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chartPath, describe, writeFigures } from './lib/document.js'
import { fail } from './lib/fail.js'
import { progress } from './lib/progress.js'

const bench = dirname(fileURLToPath(import.meta.url))

const usage = `npm run bench [-- [PART] [OPTIONS]]

Every contender with every workload: tables, docs/performance.md and its chart.

PART  micro      the encoders and the send window, in one process
      limits     memory, flatness, the event loop: what must stay bounded; docs/performance.md too
      selftest   the bench's own checks

--quick            the main workloads and contenders, fewer rounds; writes no file
--json             the whole result as JSON on standard output
--only NAME        only this workload, or this part of limits (may be repeated); writes no file
--contender TEXT   only contenders whose name has TEXT, and the C writers (may be repeated); writes no file
--rounds N         another number of rounds
--help
`

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true },
        contender: { type: 'string', multiple: true },
        rounds: { type: 'string' },
      },
    })
  } catch (error) {
    return fail(error.message.split('. ')[0])
  }
}

const { values: options, positionals } = readArguments()
if (options.help) {
  process.stdout.write(usage)
  process.exit()
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)

function install() {
  const lock = join(bench, 'package-lock.json')
  if (modified(join(bench, 'node_modules/.package-lock.json')) >= modified(lock)) return
  console.error('bench: installing the competitors (npm ci --prefix bench)')
  const { status } = spawnSync('npm', ['ci', '--prefix', bench, '--no-audit', '--no-fund'], {
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) {
    console.error('bench: npm ci failed; without its packages the competitors cannot run')
    process.exit(1)
  }
}

/** In a hurry: what the targets are about, and the peers that are fastest nearly always. */
const quickContenders = [
  'tarspout-add',
  'tarspout-zero-copy',
  'tarspout-run-async',
  'node-tar-socket',
  'tar-stream-socket',
]

const isPeer = ({ contender }) => contender.kind === 'peer'

/** Does `work` for all of them, two at a time. */
async function inPairs(items, work) {
  const left = items.values()
  const takeTurns = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all([takeTurns(), takeTurns()])
}

async function compare() {
  const { buildPrograms } = await import('./lib/programs.js')
  const { Bench, Workspace } = await import('./lib/runner.js')
  const { findWorkload, workloadNames } = await import('./lib/workloads.js')
  const { copying, findContenders, splicing } = await import('./lib/contenders.js')
  const { summarize } = await import('./lib/summary.js')
  const report = await import('./lib/report.js')
  const { drawChart } = await import('./lib/chart.js')
  const { hasTarget, isAimedAt } = await import('./lib/targets.js')

  buildPrograms()
  const startedAt = process.hrtime.bigint()
  const rounds = Number(options.rounds ?? (options.quick ? 3 : 7))
  if (!Number.isInteger(rounds) || rounds < 1)
    fail(`--rounds must be a whole number from 1, found ${options.rounds}`)
  const unknown = options.only?.find((name) => !workloadNames.includes(name))
  if (unknown) fail(`no workload ${unknown}, there are ${workloadNames.join(', ')}`)
  // What is compared with nobody is timed for `restMs`, and twice; workloads no target is about get
  // fewer rounds.
  const pace = {
    mostColdMs: 200,
    mostWarmMs: 700,
    mostAimedWarmMs: 1600,
    timedMs: 160,
    otherTimedMs: 120,
    restMs: 100,
    restRounds: 2,
    otherRounds: 3,
  }
  const workloads = (options.only ?? workloadNames)
    .map(findWorkload)
    .filter((workload) => options.only || !options.quick || workload.quick)
  const wanted = ({ name }) => {
    if ([copying, splicing].includes(name)) return true
    if (options.contender) return options.contender.some((text) => name.includes(text))
    return !options.quick || quickContenders.includes(name)
  }
  const contenders = (await findContenders()).filter(wanted)

  const workspace = new Workspace()
  process.on('exit', () => workspace.close())
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  const runner = new Bench(workspace)
  const entries = new Map(
    workloads.map((workload) => [
      workload,
      contenders.map((contender) => ({
        contender,
        skipped: contender.skips(workload),
        rounds: contender.failed ? [{ failed: contender.failed }] : [],
      })),
    ]),
  )
  for (const workload of workloads) {
    const atWork = entries
      .get(workload)
      .filter(({ skipped, rounds }) => !skipped && rounds.length === 0)
    await inPairs(atWork, async (entry) => {
      progress(`${workload.name}  ${entry.contender.title} starts`)
      entry.case = await runner.open(entry.contender.name, workload)
    })
    const warm = async (entry, mostMs) => {
      progress(`${workload.name}  ${entry.contender.title} gets warm`)
      entry.rate = await entry.case.warm(mostMs)
    }
    const isAimed = isAimedAt(workload.name)
    const bestOf = () => Math.max(...atWork.filter(isPeer).map(({ rate }) => rate))
    const isCompared = (entry) => {
      const { name } = entry.contender
      return (
        name === copying ||
        name === splicing ||
        hasTarget(name) ||
        (isPeer(entry) && entry.rate > bestOf() / 1.5)
      )
    }
    // A peer that is far behind after a while is not warmed on. Programs are warm after one run.
    const isProgram = ({ kind }) => kind === 'limit' || kind === 'program'
    const mostWarmMs = ({ kind, name }) => {
      if (kind !== 'tarspout') return pace.mostColdMs
      return isAimed && hasTarget(name) ? pace.mostAimedWarmMs : pace.mostWarmMs
    }
    for (const entry of atWork) {
      if (!isProgram(entry.contender)) await warm(entry, mostWarmMs(entry.contender))
      else if (!workload.fixedCount) await warm(entry, 0)
    }
    const bestCold = bestOf()
    for (const entry of atWork) {
      const mostMs = isAimed ? pace.mostAimedWarmMs : pace.mostWarmMs
      if (isPeer(entry) && entry.rate > bestCold / 2) await warm(entry, mostMs)
    }
    const timedMs = isAimed ? pace.timedMs : pace.otherTimedMs
    const roundsHere = Math.min(rounds, workload.maxRounds, isAimed ? rounds : pace.otherRounds)
    for (let round = 0; round < roundsHere; round++) {
      for (const entry of atWork) {
        progress(`${workload.name}  round ${round + 1} of ${roundsHere}  ${entry.contender.title}`)
        // One that failed once is not run again: its reason stands in the table.
        if (entry.rounds.some(({ failed }) => failed)) continue
        const compares = isCompared(entry)
        if (!compares && round >= pace.restRounds) continue
        entry.rounds.push(await entry.case.run(compares ? timedMs : pace.restMs, round))
      }
    }
    for (const entry of atWork) entry.case.end()
  }
  progress('')

  const run = {
    ...describe(),
    rounds,
    timedMs: pace.timedMs,
    seconds: Number(process.hrtime.bigint() - startedAt) / 1e9,
    summaries: workloads.map((workload) => summarize(workload, entries.get(workload))),
  }
  if (options.json) {
    const raw = Object.fromEntries(
      workloads.map((workload) => [
        workload.name,
        Object.fromEntries(entries.get(workload).map((e) => [e.contender.name, e.rounds])),
      ]),
    )
    console.log(JSON.stringify({ ...run, raw }, null, 2))
  } else {
    console.log(report.terminalReport(run))
  }
  if (options.quick || options.only || options.contender) return
  writeFileSync(chartPath, drawChart(run))
  writeFigures('npm run bench', report.markdownReport(run))
  console.error('bench: wrote docs/performance.md and docs/performance.svg')
}

const others = ['micro', 'limits', 'selftest']
if (positionals.length === 0 || others.includes(positionals[0])) install()
if (positionals.length === 0) await compare()
else if (others.includes(positionals[0])) await import(`./${positionals[0]}.js`)
else fail(`no part ${positionals[0]}, there are ${others.join(', ')}`)
