import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { mkfifo } from '../support/fifo.js'
import { judge, type LoggedCommit, type Told, type Verdict } from './judge.js'
import { Plan, type PlanLimits, randomOf } from './plan.js'
import { type Row, titleOf } from './rows.js'
import type { WriterOptions } from './writer.js'

export interface RowOptions {
  readonly archives: number
  readonly seed: number
  readonly limits?: PlanLimits
  /** After this the row's processes are killed; what was not told stays untold. */
  readonly limitMs: number
  /** Ends the row's processes at once; what it gives then is no result. */
  readonly signal?: AbortSignal
  /** Leave the row's folder (commits.jsonl, told.json) where it is, and say where. */
  readonly keep?: boolean
  /** Called with the number of archives settled so far. */
  readonly onProgress?: (settled: number) => void
}

export interface RowResult extends Verdict {
  /** How often the fault struck: closes, kills, stalls, probes, errors that ended a reader. */
  strikes: number
  seconds: number
  timedOut: boolean
  /** What the processes wrote to stderr, cut short. */
  complaints: string
}

const readers = fileURLToPath(new URL('../../build/readers/', import.meta.url))
const writerScript = fileURLToPath(new URL('writer.js', import.meta.url))

const ended = async (child: ChildProcess) => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/**
 * Runs one row: a FIFO behind a symlink, a reader that is started again when killed, a writer, and
 * the verdict.
 */
export async function runRow(row: Row, options: RowOptions): Promise<RowResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tarspout-torture-'))
  try {
    return await new RowRun(row, options, folder).run()
  } finally {
    if (options.keep) console.error(`${titleOf(row)}: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

class RowRun {
  readonly #row: Row
  readonly #options: RowOptions
  readonly #folder: string
  readonly #out: string
  readonly #log: string
  readonly #told = new Map<number, Told>()
  readonly #children = new Set<ChildProcess>()
  readonly #random: () => number
  #fifos = 0
  #readerRuns = 0
  #strikes = 0
  #complaints = ''
  #over = false
  #timedOut = false
  #reader: ChildProcess | undefined
  #writer: ChildProcess | undefined

  constructor(row: Row, options: RowOptions, folder: string) {
    this.#row = row
    this.#options = options
    this.#folder = folder
    this.#out = join(folder, 'pfs/out')
    this.#log = join(folder, 'commits.jsonl')
    this.#random = randomOf(options.seed)
    mkdirSync(join(folder, 'pfs'))
    writeFileSync(this.#log, '')
  }

  async run(): Promise<RowResult> {
    const { archives, seed, limitMs, signal } = this.#options
    const limits = this.#limits()
    const started = process.hrtime.bigint()
    const limit = setTimeout(() => {
      this.#timedOut = true
      this.#end()
    }, limitMs)
    const end = () => this.#end()
    signal?.addEventListener('abort', end)
    this.#makeFifo()
    this.#startReader()
    const prober = this.#startProber()
    const isProberHeard = prober && once(prober, 'close') // it says last how often it struck
    // A writer that was killed begins again with the first archive it was not told about.
    let failures = 0
    while (!this.#over && this.#settled() < archives && failures < 3) {
      const writer = this.#startWriter(this.#firstUntold())
      await once(writer, 'close')
      if (writer.signalCode === null) failures++
    }
    this.#over = true
    prober?.kill('SIGTERM')
    await isProberHeard
    const reader = this.#reader
    if (reader) {
      const patience = setTimeout(() => reader.kill('SIGKILL'), 10_000)
      reader.kill('SIGTERM')
      await ended(reader)
      clearTimeout(patience)
    }
    clearTimeout(limit)
    signal?.removeEventListener('abort', end)
    const seconds = Number(process.hrtime.bigint() - started) / 1e9
    const commits = readFileSync(this.#log, 'utf8').split('\n').filter(Boolean)
    if (this.#options.keep) {
      writeFileSync(join(this.#folder, 'told.json'), JSON.stringify([...this.#told.values()]))
    }
    const verdict = judge(
      new Plan(seed, limits),
      archives,
      [...this.#told.values()],
      commits.map((line) => JSON.parse(line) as LoggedCommit),
    )
    const rest = { seconds, timedOut: this.#timedOut, complaints: this.#complaints.slice(0, 2000) }
    return { ...verdict, strikes: this.#strikes, ...rest }
  }

  #end() {
    this.#over = true
    for (const child of this.#children) child.kill('SIGKILL')
  }

  #limits(): PlanLimits {
    return this.#row.fault.limits ?? this.#options.limits ?? {}
  }

  #settled(): number {
    return this.#told.size
  }

  #firstUntold(): number {
    let archive = 0
    while (this.#told.has(archive)) archive++
    return archive
  }

  // The FIFO lies elsewhere under a name of its own; what the writer knows is the symlink, replaced
  // at once.
  #makeFifo() {
    const fifo = join(this.#folder, `scratch-${this.#fifos++}`)
    mkfifo(fifo)
    const link = `${this.#out}.new`
    symlinkSync(fifo, link)
    renameSync(link, this.#out)
  }

  #spawn(command: string, words: readonly string[]): ChildProcess {
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#complaints += text
    })
    return child
  }

  #startReader() {
    const { reader: name, fault } = this.#row
    const go = name.startsWith('Go ')
    const words = [
      ...['--generation', name.slice(-1), '--fifo', this.#out, '--log', this.#log],
      ...['--seed', String(this.#options.seed), '--run', String(this.#readerRuns++), '--events'],
      ...['--on-error', 'reopen', '--backoff-ms', '60', '--backoff-max-ms', '100'],
    ]
    // The fault's own words come first: the first of a name counts.
    const child = this.#spawn(join(readers, go ? 'gotar' : 'reader'), [
      ...(fault.reader ?? []),
      ...words,
    ])
    this.#reader = child
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'stalling' || line === 'error closed by plan') this.#strikes++
      })
    }
    child.once('exit', (code, signal) => {
      if (this.#over) return
      if (signal === 'SIGKILL') {
        this.#strikes++
        setTimeout(() => !this.#over && this.#startReader(), fault.restartMs ?? 0)
      } else if (code === 3) {
        // As Pachyderm 1.11.3 does it: the writer is killed, and both come back with a new FIFO.
        this.#writer?.kill('SIGKILL')
        this.#makeFifo()
        this.#startReader()
      } else {
        this.#complaints += `the reader ended with ${signal ?? code}\n`
      }
    })
  }

  #startProber(): ChildProcess | undefined {
    const { prober } = this.#row.fault
    if (!prober) return undefined
    const child = this.#spawn(join(readers, 'prober'), [...prober, '--fifo', this.#out])
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.#strikes += Number(text)
    })
    return child
  }

  #startWriter(from: number): ChildProcess {
    const { archives, seed } = this.#options
    const { writer: kind, connection, confirm, fault } = this.#row
    const words: WriterOptions = {
      ...{
        kind,
        path: this.#out,
        seed,
        limits: this.#limits(),
        from,
        archives,
        connection,
        confirm,
      },
      ...{ pipeSize: fault.pipeSize, highWaterMark: fault.highWaterMark, everyMs: fault.everyMs },
      zeroCopy: fault.zeroCopy,
    }
    const child = this.#spawn(process.execPath, [writerScript, JSON.stringify(words)])
    this.#writer = child
    if (child.stdout) {
      const lines = createInterface({ input: child.stdout })
      lines.once('line', () => this.#killLater(child))
      lines.on('line', (line) => {
        const told: Told = JSON.parse(line)
        this.#told.set(told.archive, told)
        this.#options.onProgress?.(this.#told.size)
      })
    }
    return child
  }

  // Counted from the first archive it was told about, so that every writer gets somewhere.
  #killLater(writer: ChildProcess) {
    const between = this.#row.fault.killWriterMs
    if (!between) return
    const [least, most] = between
    const killer = setTimeout(
      () => {
        this.#strikes++
        writer.kill('SIGKILL')
      },
      least + (this.#random() % (most - least)),
    )
    writer.once('exit', () => clearTimeout(killer))
  }
}
