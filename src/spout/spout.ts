import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { abortError, onAbort } from '../base/abort.js'
import { openPatiently } from '../fifo/patience.js'
import { type FifoStats, fifoStats } from '../fifo/stats.js'
import { Commit } from './commit.js'
import { SpoutCore } from './core.js'
import { type SpoutOptions, spoutSettings } from './options.js'
import { type RunOptions, type RunSummary, runSource } from './run.js'

/** What a spout measured: its channel's figures, and what passed through add() and run(). */
export interface SpoutStats extends FifoStats {
  /** Entries accepted. */
  entries: number
  /**
   * Milliseconds run() waited for async sources: from when nothing else was left to run in this
   * turn of the event loop until the answer came. One that comes before that was not waited for.
   */
  sourceWaitMs: number
}

// 1.11.0-2 finishes its last commit only if a writer is there for a while after it
// (docs/pachyderm.md 1.B).
const LINGER_MS = 100

/**
 * Opens a spout. The path is checked and claimed now; the FIFO is opened when the first archive is
 * to be sent.
 *
 * @returns settles at once
 * @throws TarspoutError ERR_FIFO_NOT_A_FIFO, ERR_FIFO_BUSY; AbortError; errors of the system
 *   (ENOENT, EACCES); TypeError and RangeError for wrong options
 */
export async function openSpout(options: SpoutOptions = {}): Promise<Spout> {
  return openPatiently(() => Spout.open(options))
}

/** A spout's end of the FIFO: archives in, receipts out. {@link openSpout} makes one. */
export class Spout {
  readonly path: string
  readonly #core: SpoutCore
  #closing: Promise<void> | undefined
  #stopListening = (): void => {}
  #stopRun: ((error: unknown) => void) | undefined // while a run is under way

  private constructor(options: SpoutOptions) {
    const settings = spoutSettings(options)
    if (settings.signal?.aborted) throw abortError(settings.signal.reason)
    this.path = settings.path
    this.#core = new SpoutCore(settings, this)
  }

  /** @internal Use {@link openSpout}. */
  static open(options: SpoutOptions): Spout {
    const spout = new Spout(options)
    spout.#stopListening = onAbort(spout.#core.settings.signal, spout, (self, reason) => {
      self.#core.abort(reason)
      self.close().catch(() => {})
    })
    return spout
  }

  /**
   * Begins a commit. One is open at a time; the next may begin while earlier end()s are pending.
   *
   * @throws TarspoutError ERR_STATE while another is open or a run() under way, or after close();
   * an AbortError
   */
  beginCommit(): Commit {
    this.#checkIdle('beginCommit')
    return new Commit(this.#core)
  }

  #checkIdle(call: string): void {
    const core = this.#core
    if (core.error) throw core.error
    if (this.#closing) throw core.stateError(call, 'one that is closed', 'an open spout')
    if (this.#stopRun) throw core.stateError(call, 'a run() under way', 'an idle spout')
    if (core.open)
      throw core.stateError(call, `commit ${core.open.archive} open`, 'no other open commit')
  }

  /**
   * Sends a whole source.
   *
   * @param source an iterable or async iterable of items
   * @returns settles when the source ended and every item was delivered and acknowledged
   * @throws what {@link RunOptions} says of each failure; ERR_STATE while a commit is open or
   *   another run is under way, and after close(); TypeError and RangeError for wrong arguments
   */
  async run<T>(
    source: Iterable<T> | AsyncIterable<T>,
    options: RunOptions<T>,
  ): Promise<RunSummary> {
    this.#checkIdle('run')
    const host = {
      core: this.#core,
      onStop: (stop: ((error: unknown) => void) | undefined) => {
        this.#stopRun = stop
      },
    }
    return runSource(host, source, options)
  }

  /**
   * Reads what the last run stored with addMarker(): the file of markerName beside the FIFO, where
   * the reader put it before this process began.
   *
   * @returns settles with its bytes, or undefined if there is none yet
   * @throws TarspoutError ERR_STATE without markerName; errors of the system
   */
  async readMarker(): Promise<Buffer | undefined> {
    const { markerName } = this.#core
    if (markerName === undefined)
      throw this.#core.stateError('readMarker', 'none', 'the option markerName')
    try {
      return await readFile(join(dirname(this.path), markerName))
    } catch (error) {
      // On the first run the name is a link to nothing (docs/pachyderm.md section 4).
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** What was measured until now. */
  stats(): SpoutStats {
    const { channel, entries, sourceWaitMs } = this.#core
    return { ...fifoStats(channel.native.stats()), entries, sourceWaitMs }
  }

  /**
   * Ends a run(), aborts an open commit, waits until every ended one was delivered or has failed,
   * and closes the write end. With no reader that takes as long as it takes, unless readerTimeoutMs
   * or the signal ends it.
   */
  close(): Promise<void> {
    if (!this.#closing) {
      const { error } = this.#core
      this.#stopRun?.(error ?? this.#core.stateError('run', 'one that was closed', 'an open spout'))
      this.#core.open?.abort(error)
      // Until then the signal can end the wait.
      this.#closing = this.#core.close(LINGER_MS).finally(() => this.#stopListening())
    }
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
