// Runs cases: a contender with a workload, in a fresh process, against the C reader, with a fresh
// FIFO for every run.
import { fork, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startReader } from './programs.js'
import { quantile } from './statistics.js'
import { cycleFile, filesFolder, mode, mtime } from './workloads.js'

const caseFile = fileURLToPath(new URL('./case.js', import.meta.url))
const runLimitMs = 10_000
const longRunLimitMs = 120_000
const readerGraceMs = 500
const fifosAtOnce = 64
const lookMs = 100
const noticeable = 1.05
const stillRuns = 2
const warmArchives = 3000 // without their pauses: so long it takes until the code is compiled
const verifyBytesAimed = 2 << 20
const verifyEntriesMost = 2000
const verifyArchivesMost = 64

/** A folder for FIFOs and files, removed by `close()`. */
export class Workspace {
  #folder = mkdtempSync(join(tmpdir(), 'tarspout-bench-'))
  #count = 0
  #fifos = []
  #prepared = new Map()

  /**
   * A FIFO nobody has used. Many are made at a time, because starting a program costs as much as a
   * short run.
   */
  makeFifo() {
    if (this.#fifos.length === 0) {
      const next = () => join(this.#folder, `fifo-${this.#count++}`)
      this.#fifos = Array.from({ length: fifosAtOnce }, next)
      const made = spawnSync('mkfifo', this.#fifos)
      if (made.status !== 0) throw new Error(`mkfifo in ${this.#folder} failed`)
    }
    return this.#fifos.pop()
  }

  /**
   * The workload's cycle as one file of bytes and as files, for contenders that are other programs.
   */
  prepare(workload) {
    const known = this.#prepared.get(workload.name)
    if (known) return known
    const folder = join(this.#folder, workload.name)
    mkdirSync(filesFolder(folder), { recursive: true })
    writeFileSync(cycleFile(folder), workload.encoded)
    for (const { name, data } of workload.cycle) {
      const path = join(filesFolder(folder), name)
      writeFileSync(path, data, { mode })
      utimesSync(path, mtime, mtime)
    }
    writeFileSync(join(folder, 'names'), workload.cycle.map(({ name }) => name).join('\n'))
    this.#prepared.set(workload.name, folder)
    return folder
  }

  close() {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

class Failure extends Error {}

/** A contender's process. */
class Contender {
  #child
  #waiting
  #died
  #stderr = ''

  constructor(name, workload) {
    this.#child = fork(caseFile, [name, workload.name], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr.on('data', (chunk) => (this.#stderr += chunk))
    this.#child.on('message', (message) => this.#settle(message))
    this.#child.on('error', (error) => this.#settle({ failed: error.message }))
    this.#child.on('close', (status, signal) => {
      const said = this.#stderr.split('\n').find((line) => /Error|error|what\(\)/.test(line))
      this.#died = {
        failed: `the process ended with ${signal ?? status}${said ? `: ${said.trim()}` : ''}`,
      }
      this.#settle(this.#died)
    })
  }

  #settle(message) {
    this.#waiting?.(message)
    this.#waiting = undefined
  }

  /** The next message, or the failure that came instead. */
  answer(limitMs = runLimitMs) {
    if (this.#died) return Promise.resolve(this.#died)
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.#settle({ failed: `no end after ${limitMs / 1000} s` }),
        limitMs,
      )
      this.#waiting = (message) => {
        clearTimeout(timer)
        resolve(message)
      }
    })
  }

  send(message) {
    this.#child.send(message, () => {}) // a dead child is told by its close event
  }

  end() {
    if (!this.#died) this.#child.kill('SIGKILL')
  }
}

/** The reader's report; a reader that waits for more than was sent is stopped. */
async function finish(reader) {
  const timer = setTimeout(reader.stop, readerGraceMs)
  const last = setTimeout(reader.kill, 4 * readerGraceMs)
  try {
    return await reader.report
  } finally {
    clearTimeout(timer)
    clearTimeout(last)
  }
}

async function runOnce(
  workspace,
  contender,
  workload,
  count,
  { readerOptions, warming, limitMs, round } = {},
) {
  const fifo = workspace.makeFifo()
  const options = { ...workload.reader, ...readerOptions }
  if (workload.connection === 'per-archive') options.reopen = workload.bytesOf(count)
  if (workload.metric === 'latency') options.mark = workload.archiveBytes
  const reader = startReader(fifo, options)
  await reader.ready // or its start would count as the writer's time, but not as that of programs, which start too
  const answered = contender.answer(limitMs)
  contender.send({ fifo, count, folder: workspace.prepare(workload), warming, round })
  const writer = await answered
  if (writer.failed) {
    reader.kill()
    throw new Failure(writer.failed)
  }
  if (writer.isRead) reader.stop() // a spout that is closed holds its write end open for 100 ms
  const read = await finish(reader)
  rmSync(fifo)
  return { count, writer, read, elapsedNs: read.lastByteAt - writer.startedAt }
}

/** What a run measured, in plain numbers. */
function measure(workload, { count, writer, read, elapsedNs }, bytesPerEntry) {
  const result = {
    count,
    seconds: elapsedNs / 1e9,
    entriesPerSecond: count / (elapsedNs / 1e9),
    bytesPerSecond: read.bytes / (elapsedNs / 1e9),
    cpuSeconds: writer.cpuSeconds,
    cpuSecondsPerGB: writer.cpuSeconds / (read.bytes / 1e9),
    peakRssBytes: writer.peakRssBytes,
  }
  if (workload.metric === 'latency') {
    const latencies = latenciesOf(writer, read).slice(workload.uncounted)
    result.receipt = writer.latenciesNs || writer.receiptsAt?.length ? 'writer' : 'reader'
    result.p50Us = quantile(latencies, 0.5) / 1e3
    result.p99Us = quantile(latencies, 0.99) / 1e3
  }
  if (workload.metric === 'backpressure') {
    const aheadSeconds = Math.max(0, read.lastByteAt - writer.lastTakenAt) / 1e9
    result.aheadBytes = aheadSeconds * workload.reader.pace
  }
  const lost = count - Math.round(read.bytes / bytesPerEntry)
  if (workload.entriesPerArchive && lost > 0) result.lost = lost
  return result
}

/**
 * Contenders with a receipt say when it came; of the others the reader says when it had the
 * archive.
 */
function latenciesOf(writer, read) {
  if (writer.latenciesNs) return writer.latenciesNs
  const began = writer.beganAt
  const seen = writer.receiptsAt.length > 0 ? writer.receiptsAt : read.marks
  return began.map((at, i) => seen[i] - at)
}

/**
 * Runs cases. The first run of each contender with a workload is hashed by the reader and compared
 * with what the C writer sends; how fast the earlier runs were decides how many entries the next
 * one sends.
 */
export class Bench {
  #workspace
  #references = new Map()
  #rates = new Map()
  #verified = new Map()
  #warm = new Set() // of those with a fixed count

  constructor(workspace) {
    this.#workspace = workspace
  }

  #verifyCount(workload) {
    const entryBytes = workload.encoded.length / workload.cycle.length
    const most = workload.entriesPerArchive ? verifyArchivesMost : verifyEntriesMost
    return workload.roundCount(Math.min(most, Math.max(1, verifyBytesAimed / entryBytes)))
  }

  #reference(workload) {
    const known = this.#references.get(workload.name) ?? this.#makeReference(workload)
    this.#references.set(workload.name, known)
    return known
  }

  async #makeReference(workload) {
    const contender = new Contender('c-copy', workload)
    try {
      const { failed } = await contender.answer()
      if (failed) throw new Error(failed)
      const count = workload.pauseMs ? 10 : this.#verifyCount(workload)
      const { read } = await runOnce(this.#workspace, contender, workload, count, {
        readerOptions: { verify: 1 },
      })
      if (read.fault) throw new Error(`the bench's own archive is wrong: ${read.fault}`)
      return { count, read }
    } finally {
      contender.end()
    }
  }

  /** Checks once what a contender sends, and learns how fast it is roughly. */
  async #verify(key, contender, workload) {
    const reference = await this.#reference(workload)
    const run = await runOnce(this.#workspace, contender, workload, reference.count, {
      readerOptions: { verify: 1 },
    })
    const { read } = run
    if (read.entriesHash !== reference.read.entriesHash) {
      const what = read.fault ?? `${read.entries} of ${reference.read.entries} entries, or others`
      const losing = workload.connection === 'per-archive' && !read.fault
      throw new Failure(
        losing ? `lost archives: ${what}` : `other entries arrived than were sent: ${what}`,
      )
    }
    const sameBytes = read.bytesHash === reference.read.bytesHash
    this.#verified.set(key, { sameBytes, bytesPerEntry: read.bytes / reference.count })
    this.#rates.set(key, (reference.count / run.elapsedNs) * 1e6) // entries per ms
  }

  /** One run of a given number of entries, after a short one: { failed } or the numbers. */
  async runFixed(name, workload, wanted) {
    const contender = new Contender(name, workload)
    try {
      const started = await contender.answer()
      if (started.failed) throw new Failure(started.failed)
      const count = workload.roundCount(wanted)
      await runOnce(
        this.#workspace,
        contender,
        workload,
        Math.min(count, workload.roundCount(20_000)),
      )
      const timed = await runOnce(this.#workspace, contender, workload, count, {
        limitMs: longRunLimitMs,
      })
      return measure(workload, timed, workload.archiveBytes)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { failed: error.message }
    } finally {
      contender.end()
    }
  }

  /**
   * Starts a case: its process, what it sends checked. `warm(mostMs)` makes its code warm (0: by
   * one short run) and settles with how many entries it then sends per ms; `run(timedMs, round)` is
   * one round. Cases may be started side by side, but not beside these.
   */
  async open(name, workload) {
    const key = `${name} ${workload.name}`
    const contender = new Contender(name, workload)
    const end = () => contender.end()
    try {
      const started = await contender.answer()
      if (started.failed) throw new Failure(started.failed)
      await this.#verify(key, contender, workload)
    } catch (error) {
      const failure = failureOf(error)
      return { warm: async () => 0, run: async () => failure, end }
    }
    let failure
    return {
      warm: async (mostMs) => {
        try {
          await this.#makeWarm(key, contender, workload, mostMs)
        } catch (error) {
          failure = failureOf(error)
        }
        return failure ? 0 : this.#rates.get(key)
      },
      run: async (timedMs, round) => {
        try {
          return failure ?? (await this.#runTimed(key, contender, workload, timedMs, round))
        } catch (error) {
          return failureOf(error)
        }
      },
      end,
    }
  }

  /** One short run. */
  async #look(key, contender, workload) {
    if (workload.fixedCount) {
      if (this.#warm.has(key)) return
      this.#warm.add(key)
      const count = workload.pauseMs ? warmArchives : workload.fixedCount / 10
      await runOnce(this.#workspace, contender, workload, workload.roundCount(count), {
        warming: true,
      })
      return
    }
    const count = workload.roundCount(this.#rates.get(key) * lookMs)
    const { elapsedNs } = await runOnce(this.#workspace, contender, workload, count)
    this.#rates.set(key, (count / elapsedNs) * 1e6)
  }

  /** Runs until that makes it no faster: the just-in-time compiler takes its time. */
  async #makeWarm(key, contender, workload, mostMs) {
    const endsAt = Date.now() + mostMs
    let best = 0
    let still = 0
    do {
      await this.#look(key, contender, workload)
      const rate = this.#rates.get(key)
      still = rate > best * noticeable ? 0 : still + 1
      best = Math.max(best, rate)
    } while (!workload.fixedCount && still < stillRuns && Date.now() < endsAt)
  }

  async #runTimed(key, contender, workload, timedMs, round) {
    const count = workload.fixedCount ?? workload.roundCount(this.#rates.get(key) * timedMs)
    const timed = await runOnce(this.#workspace, contender, workload, count, { round })
    this.#rates.set(key, (count / timed.elapsedNs) * 1e6)
    const { sameBytes, bytesPerEntry } = this.#verified.get(key)
    return { ...measure(workload, timed, bytesPerEntry), sameBytes }
  }
}

/** What stands in the table for a contender that failed; anything else is the bench's own fault. */
function failureOf(error) {
  if (!(error instanceof Failure)) throw error
  return { failed: error.message }
}
