import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Backoff } from '../base/backoff.js'
import { TarspoutError } from '../base/errors.js'
import type { PipeFilling } from '../fifo/pipe-filling.js'
import type { CommitRecord, CommitStore } from '../store/commit-store.js'
import { ReceivedArchive } from '../store/received-archive.js'
import { ArchiveParser, type ArchiveParserOptions } from './archive-parser.js'
import { FifoReader, type ReadResult } from './fifo-reader.js'

/**
 * The readers of Pachyderm, each by the release that brought it: 1.9 and 1.10, 1.11.0 to 1.11.2,
 * 1.11.3 and later.
 */
export const READER_GENERATIONS = ['1.9', '1.11', '1.11.3'] as const
export type ReaderGeneration = (typeof READER_GENERATIONS)[number]

export interface CommitEvent extends CommitRecord {
  readonly event: 'commit'
  /** The first commit of this receiver is 1. */
  readonly number: number
  /** False if the archive ended without its two zero blocks. */
  readonly hasEndMarker: boolean
}

export interface FailureEvent {
  readonly event: 'failure'
  readonly message: string
  /** The entry that was refused, if it was one. */
  readonly entry: string | undefined
}

export type ReceiverEvent = CommitEvent | FailureEvent

/** How far a receiver is. */
export interface ReceiverProgress {
  /** Bytes read so far. */
  readonly bytes: number
  /** Bytes of the archive that is being read or committed; 0 between archives. */
  readonly archiveBytes: number
  /** How long bytes were waited for so far, in milliseconds. */
  readonly waitedMs: number
  /** How long the wait that goes on has lasted, in milliseconds; 0 if there is none. */
  readonly waitingMs: number
  /** How full the pipe is. */
  readonly filling: PipeFilling
}

export interface ReceiverOptions {
  /** The FIFO, or a symbolic link to it. */
  path: string
  store: CommitStore
  /** Default `1.11.3`. */
  generation?: ReaderGeneration | undefined
  /** Entries whose name begins with this are the marker. */
  marker?: string | undefined
  onEvent?: ((event: ReceiverEvent) => void) | undefined
  /** End after so many commits. */
  commits?: number | undefined
  /** End when the first writers have left, default false. */
  once?: boolean | undefined
  /** On an archive that is no tar: `reopen` the FIFO after a pause (the default), or `throw`. */
  onBroken?: 'reopen' | 'throw' | undefined
}

/**
 * Reads archives from a FIFO, one after the other, and commits each.
 *
 * In the newest generation an archive's last byte stays in the FIFO until the commit is durable, so
 * a writer that sees all its bytes read (FIONREAD is 0) knows that they are committed. An archive
 * that is whole and cannot be committed is reported and read to its end, so that the next one is
 * found; before its last byte is read the FIFO is opened once more, so that a writer that watches
 * its readers does not take it for delivered.
 *
 * Waiting holds no thread.
 */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #fifo: FifoReader
  readonly #archive: ReceivedArchive
  readonly #backoff = new Backoff()
  readonly #stop = new AbortController()
  #finishing: boolean
  #opener: ChildProcess | undefined
  #commits = 0
  #failures = 0

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#finishing = options.once ?? false
    this.#fifo = new FifoReader(options.path)
    this.#archive = new ReceivedArchive(options.store.spoolFolder, options.marker)
  }

  /** Commits made so far. */
  get commits(): number {
    return this.#commits
  }

  /** Archives reported as failed so far. */
  get failures(): number {
    return this.#failures
  }

  get progress(): ReceiverProgress {
    const { bytes, waitedMs, waitingMs, filling } = this.#fifo
    return { bytes, waitedMs, waitingMs, filling, archiveBytes: this.#archive.tarBytes }
  }

  /**
   * Receives until `stop`, until the last writer left after `finish`, or until the commits asked
   * for are made.
   *
   * @throws TarspoutError `ERR_FIFO_NOT_A_FIFO`, `ERR_STORE`; with `onBroken: 'throw'` also
   * `ERR_ARCHIVE`; what open(2) says of the path
   */
  async run(): Promise<void> {
    try {
      switch (this.#options.generation ?? '1.11.3') {
        case '1.9':
          return await this.#openPerArchive()
        case '1.11':
          return await this.#waitForWriter()
        case '1.11.3':
          return await this.#commitWhole()
      }
    } finally {
      this.#fifo.close()
      this.#archive.clear()
    }
  }

  /** Ends once no writer is left and everything is read. */
  finish(): void {
    this.#finishing = true
    this.#fifo.nudge()
  }

  /** Ends now. A commit that has begun is finished, but its archive's last byte stays unread. */
  stop(): void {
    this.#stop.abort()
    this.#opener?.kill('SIGKILL')
    this.#fifo.close()
  }

  get #isDone(): boolean {
    return (
      this.#stop.signal.aborted ||
      this.#commits >= (this.#options.commits ?? Number.POSITIVE_INFINITY)
    )
  }

  /** 1.11.3 and later: an archive is committed when it is whole, and not at all otherwise. */
  async #commitWhole(): Promise<void> {
    this.#open()
    while (!this.#isDone) {
      const parser = this.#begin({ skipZeroBlocks: true, stopAtRefusal: false })
      let result: ReadResult | undefined
      try {
        result = await this.#fifo.read(parser)
        if (result === 'closed') return
        if (result === 'held' || parser.endOfFile()) await this.#commitOrRefuse(result === 'held')
        if (result === 'held') result = await this.#fifo.read(parser)
        if (result === 'closed') return
      } catch (error) {
        const failure = this.#report(error)
        if (this.#options.onBroken === 'throw') throw failure
        if (result !== 'end') {
          // Where the next archive begins cannot be told: what is in the FIFO goes, once its
          // writers have left.
          this.#fifo.close()
          await this.#backoff.pause(this.#stop.signal)
          if (this.#isDone) return
          this.#open()
        }
      }
      if (result !== 'end') continue
      if (this.#finishing) return
      this.#open()
    }
  }

  async #commitOrRefuse(hasEndMarker: boolean): Promise<void> {
    try {
      if (this.#archive.refusal) throw this.#archive.refusal
      await this.#commit(hasEndMarker)
    } catch (error) {
      this.#report(error)
      this.#fifo.raiseDoubt()
    }
  }

  /** 1.9 and 1.10: a commit for each time the FIFO is opened, whatever came. */
  async #openPerArchive(): Promise<void> {
    while (!this.#isDone) {
      this.#open()
      const parser = this.#begin({ skipZeroBlocks: false, stopAtRefusal: true })
      let failure: unknown
      try {
        const result = await this.#readAll(parser)
        if (result === 'closed') return
        if (result === 'end') parser.endOfFile()
        if (result === 'end' && this.#finishing && this.#archive.tarBytes === 0) return
      } catch (error) {
        failure = error
      }
      await this.#commitPart(failure)
      this.#fifo.close()
      if (failure !== undefined) await this.#backoff.pause(this.#stop.signal)
    }
  }

  /**
   * 1.11.0 to 1.11.2: a commit is finished only once a writer has the FIFO open after the archive.
   */
  async #waitForWriter(): Promise<void> {
    this.#open()
    while (!this.#isDone) {
      const parser = this.#begin({ skipZeroBlocks: false, stopAtRefusal: true })
      let failure: unknown
      let atEnd = false
      try {
        const result = await this.#readAll(parser)
        if (result === 'closed') return
        atEnd = result === 'end'
        if (atEnd) parser.endOfFile()
        if (this.#finishing && atEnd && this.#archive.entries.length === 0) return
        if (!this.#finishing && this.#archive.tarBytes > 0) await this.#openAndWait()
      } catch (error) {
        failure = error
      }
      if (this.#stop.signal.aborted) return
      if (this.#archive.entries.length > 0 || failure !== undefined) await this.#commitPart(failure)
      if (failure !== undefined) {
        this.#fifo.close()
        await this.#backoff.pause(this.#stop.signal)
        if (this.#isDone) return
      }
      if (failure !== undefined || atEnd) this.#open()
    }
  }

  #open(): void {
    this.#fifo.open()
    if (this.#finishing && !this.#options.once) this.#fifo.nudge()
  }

  #begin(options: ArchiveParserOptions): ArchiveParser {
    this.#archive.clear()
    return new ArchiveParser(this.#archive, options)
  }

  async #readAll(parser: ArchiveParser): Promise<ReadResult> {
    const result = await this.#fifo.read(parser)
    return result === 'held' && parser.state === 'last' ? await this.#fifo.read(parser) : result
  }

  /** Pachyderm's openAndWait: an open of its own, which ends when a writer has the FIFO open. */
  async #openAndWait(): Promise<void> {
    this.#opener = spawn('sh', ['-c', ': <"$0"', this.#options.path], { stdio: 'ignore' })
    await once(this.#opener, 'close')
    this.#opener = undefined
  }

  async #commitPart(failure: unknown): Promise<void> {
    if (failure !== undefined) this.#report(failure)
    try {
      await this.#commit(this.#archive.hasEndMarker)
    } catch (error) {
      this.#report(error)
    }
  }

  async #commit(hasEndMarker: boolean): Promise<void> {
    if (this.#archive.startedAt === 0) this.#archive.startedAt = performance.now()
    const record = await this.#options.store.commit(this.#archive)
    this.#commits++
    if ((this.#options.generation ?? '1.11.3') === '1.11.3') this.#backoff.reset()
    this.#options.onEvent?.({ event: 'commit', number: this.#commits, hasEndMarker, ...record })
  }

  #report(failure: unknown): TarspoutError {
    if (!isArchiveFault(failure)) throw failure
    this.#failures++
    this.#options.onEvent?.({ event: 'failure', message: failure.message, entry: failure.entry })
    return failure
  }
}

function isArchiveFault(error: unknown): error is TarspoutError {
  return error instanceof TarspoutError && error.code === 'ERR_ARCHIVE'
}
