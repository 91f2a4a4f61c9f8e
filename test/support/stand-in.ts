import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LoggedCommit } from '../torture/judge.js'
import { pause } from './child.js'
import type { TestFifo } from './fifo.js'
import { Lines } from './lines.js'

export type Generation = 'A' | 'B' | 'C'
export const generations: readonly Generation[] = ['A', 'B', 'C']

const programs = fileURLToPath(new URL('../../build/readers/', import.meta.url))

/** The stand-in reader, or Go's own archive/tar in the same loop. */
export type ReaderProgram = 'reader' | 'gotar'
export const hasGo = existsSync(join(programs, 'gotar'))

export interface FinishedCommit extends LoggedCommit {
  readonly n: number
  readonly error?: string
  readonly startNs: number
  readonly endNs: number
  readonly run: number
  readonly pid: number
}

let logs = 0

/** A stand-in reader in its own process; see test/readers/reader.cc for its options. */
export class StandIn {
  readonly #child: ChildProcess
  readonly #log: string
  readonly #lines: Lines

  constructor(
    fifo: TestFifo,
    generation: Generation,
    options: readonly string[] = [],
    program: ReaderProgram = 'reader',
    log = join(fifo.folder, `commits-${logs++}.jsonl`),
  ) {
    this.#log = log
    const words = ['--generation', generation, '--fifo', fifo.path, '--log', this.#log, '--events']
    this.#child = spawn(join(programs, program), [...options, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#lines = new Lines(this.#child.stdout)
  }

  /**
   * Waits for the next event that begins so; events before it are passed over. Fails if the reader
   * ends first.
   */
  event(beginning: string): Promise<string> {
    return this.#lines.next(beginning)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Every event so far. */
  get events(): readonly string[] {
    return this.#lines.all
  }

  /** The log: the commits it finished. */
  commits(): FinishedCommit[] {
    if (!existsSync(this.#log)) return []
    const lines = readFileSync(this.#log, 'utf8').split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line))
  }

  /** Settles with the exit code, or the signal it died of. */
  async ended(): Promise<number | string | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await once(this.#child, 'exit')
    return this.#child.signalCode ?? this.#child.exitCode
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }

  /**
   * Stops it where it is (SIGSTOP), and settles once every thread stands still; SIGCONT goes on.
   */
  pause(): Promise<void> {
    return pause(this.#child)
  }

  /** Lets it finish what it can still read and finish, then ends it. */
  async stop(): Promise<FinishedCommit[]> {
    this.#child.kill('SIGTERM')
    await this.ended()
    return this.commits()
  }
}
