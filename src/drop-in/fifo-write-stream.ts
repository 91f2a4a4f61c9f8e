import { isUtf8 } from 'node:buffer'
import { addAbortSignal, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type FifoWriter, openFifo } from '../fifo/fifo.js'
import {
  checkBytes,
  checkChoice,
  checkFlag,
  checkKnown,
  checkMs,
  checkPath,
  checkSignal,
  describe,
} from '../fifo/options.js'

export interface FifoWriteStreamOptions {
  /** What strings are written in. Default `'utf8'`. */
  encoding?: BufferEncoding | undefined
  /** Bytes that wait in the stream before write() returns false. Default 4 MiB. */
  highWaterMark?: number | undefined
  /**
   * Bytes of pipe to ask the kernel for (F_SETPIPE_SZ, pipe(7)); what it refuses is halved. Default
   * 1 MiB.
   */
  pipeSize?: number | undefined
  /**
   * Milliseconds to wait for a reader at the opening; then ERR_FIFO_NO_READER. Default Infinity.
   */
  readerTimeoutMs?: number | undefined
  /**
   * When `finish` and the callback of end() come, and the write end is closed. `'consumed'`
   * (default): when the reader has read every byte. `'written'`: when the kernel has every byte, as
   * with files; a reader that leaves before it has read them loses them, and nobody is told.
   */
  finishWhen?: 'consumed' | 'written' | undefined
  /** Destroys the stream with an AbortError. */
  signal?: AbortSignal | undefined
  /**
   * Close the write end after `finish` and after an error. Default true; with false, close() or
   * destroy() does.
   */
  autoClose?: boolean | undefined
  /** Emit `close`. Default true. */
  emitClose?: boolean | undefined
}

type Callback = (error?: Error | null) => void

const KNOWN = [
  'encoding',
  'highWaterMark',
  'pipeSize',
  'readerTimeoutMs',
  'finishWhen',
  'signal',
  'autoClose',
  'emitClose',
]

/**
 * What `fs.createWriteStream(path)` is to files: a Writable into a FIFO. It opens at once and waits
 * for a reader, without a thread of the pool; any number can wait at a time, destroy() ends the
 * wait, and it does not hold up `process.exit()`. It never creates a file.
 *
 * Events: `open` and `ready` when a reader has the FIFO open, `close` when the write end is closed
 * and the reader has left (100 ms later at the latest), and those of Writable. `error` has the
 * codes ERR_FIFO_NOT_A_FIFO, ERR_FIFO_BUSY, ERR_FIFO_NO_READER, ERR_FIFO_READER_LOST (the reader
 * left before it had read everything: found by the next write, and by end()), ERR_FIFO_REMOVED,
 * ERR_TAR_BODY (a chunk's memory was detached while it waited), those of the system (ENOENT,
 * EACCES), and ABORT_ERR.
 *
 * @param path of the FIFO, or of a symbolic link to it; a `file:` URL or the bytes of a path in
 * UTF-8 will do
 * @param options an options object, or the encoding
 * @throws TypeError or RangeError for a wrong path or option; everything else is an `error` event
 */
export function createFifoWriteStream(
  path: string | URL | Uint8Array,
  options: FifoWriteStreamOptions | BufferEncoding = {},
): FifoWriteStream {
  return new FifoWriteStream(path, typeof options === 'string' ? { encoding: options } : options)
}

/**
 * The stream. Made by {@link createFifoWriteStream}.
 *
 * ```
 * write() ──► Writable's buffer ──all of it at once──► engine ──► pipe ──► reader
 *             └──────── writableLength ─────────────────────┘└─ pipeSize ─┘
 * ```
 *
 * What is written in one turn of the event loop is sent together. A chunk's memory is borrowed
 * until the callback of its write(), which comes when the kernel has the chunk and those written
 * with it. So at most highWaterMark bytes and the last chunk wait in the process, and pipeSize
 * bytes in the kernel.
 */
export class FifoWriteStream extends Writable {
  /** The path as it was given. */
  readonly path: string | URL | Uint8Array
  readonly #place: string
  readonly #finishWhen: 'consumed' | 'written'
  readonly #autoClose: boolean
  readonly #fifoOptions: { pipeSize: number; readerTimeoutMs: number }
  // Ends the wait for a reader, and closes the write end whatever is unread.
  readonly #stop = new AbortController()
  #fifo: FifoWriter | undefined

  /** @internal Use {@link createFifoWriteStream}. */
  constructor(path: string | URL | Uint8Array, options: FifoWriteStreamOptions) {
    // All checks first: once super() was called, the opening is on its way.
    checkKnown('createFifoWriteStream()', options, KNOWN)
    const place = placeOf(path)
    const encoding = checkEncoding(options.encoding)
    const signal = checkSignal(options.signal)
    const autoClose = options.autoClose === undefined || checkFlag('autoClose', options.autoClose)
    const finishWhen = checkChoice('finishWhen', options.finishWhen, ['consumed', 'written'])
    const fifoOptions = {
      pipeSize: checkBytes('pipeSize', options.pipeSize, 1 << 20, 4096),
      readerTimeoutMs: checkMs(
        'readerTimeoutMs',
        options.readerTimeoutMs,
        Number.POSITIVE_INFINITY,
      ),
    }
    super({
      highWaterMark: checkBytes('highWaterMark', options.highWaterMark, 4 << 20, 0),
      autoDestroy: autoClose,
      emitClose: options.emitClose === undefined || checkFlag('emitClose', options.emitClose),
      defaultEncoding: encoding,
    })
    this.path = path
    this.#place = place
    this.#autoClose = autoClose
    this.#finishWhen = finishWhen
    this.#fifoOptions = fifoOptions
    // Not through Writable's option: an aborted signal would destroy before there are fields.
    if (signal) addAbortSignal(signal, this)
  }

  /** Whether no reader has opened the FIFO so far. */
  get pending(): boolean {
    return this.#fifo === undefined
  }

  /** Bytes the kernel has taken; measured, so exact in the middle of a chunk too. */
  get bytesWritten(): number {
    return this.#fifo?.stats().bytesWritten ?? 0
  }

  /**
   * Ends the stream, and closes the write end after `finish` also with `autoClose: false`.
   *
   * @param callback called when it is closed, with the error if there was one
   */
  close(callback?: Callback): void {
    if (callback) {
      if (this.closed) process.nextTick(callback, this.errored)
      else this.once('close', () => callback(this.errored))
    }
    if (!this.#autoClose) {
      if (this.writableFinished || this.errored) this.destroy()
      else this.once('finish', () => this.destroy())
    }
    this.end()
  }

  // Writable waits for the end of _construct() before it calls _destroy(): a reader that never
  // comes would hold that up.
  override destroy(error?: Error): this {
    if (this.#fifo === undefined) this.#stop.abort(error)
    return super.destroy(error)
  }

  override _construct(callback: Callback): void {
    openFifo(this.#place, {
      ...this.#fifoOptions,
      highWaterMark: 1,
      signal: this.#stop.signal,
    }).then(
      (fifo) => {
        this.#fifo = fifo
        callback()
        process.nextTick(() => {
          if (this.destroyed) return
          this.emit('open')
          this.emit('ready')
        })
      },
      // A destroyed stream has its error already.
      (error) => callback(this.destroyed ? null : error),
    )
  }

  // What is written in one turn goes to the engine in one call: else the first chunk would go
  // alone, and the rest wait until it is back. Not by the next tick: streams that feed this one
  // often take several for an archive.
  override write(
    chunk: unknown,
    encoding?: BufferEncoding | Callback,
    callback?: Callback,
  ): boolean {
    if (this.writableCorked === 0) {
      this.cork()
      setImmediate(() => this.uncork())
    }
    return super.write(chunk, encoding as BufferEncoding, callback)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    settle(this.#send([chunk]), callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    settle(this.#send(chunks.map(({ chunk }) => chunk)), callback)
  }

  override _final(callback: Callback): void {
    // Every write was called back by now, so the kernel has all of it.
    if (this.#finishWhen === 'written') callback()
    else settle(this.#whileOpen().consumed(), callback)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const fifo = this.#fifo
    if (fifo === undefined) {
      callback(error)
      return
    }
    // Consumed to the end it closes at once; anything else is cut off here.
    if (error !== null || !this.writableFinished || this.#finishWhen === 'written')
      this.#stop.abort(error)
    const closed = (): void => process.nextTick(callback, error)
    fifo.close().then(closed, closed)
  }

  // The engine's high water mark is 1 byte: it is drained when the kernel has everything.
  async #send(chunks: Buffer[]): Promise<void> {
    const fifo = this.#whileOpen()
    if (!fifo.write(chunks)) await fifo.drained()
  }

  // Writable calls _write(), _writev() and _final() only after _construct() and not after
  // _destroy().
  #whileOpen(): FifoWriter {
    return this.#fifo as FifoWriter
  }
}

// In a tick of its own: what the stream's listeners throw is theirs, not a rejection of this
// promise.
function settle(work: Promise<void>, callback: Callback): void {
  work.then(
    () => process.nextTick(callback, null),
    (error) => process.nextTick(callback, error),
  )
}

function placeOf(path: string | URL | Uint8Array): string {
  if (path instanceof URL) return checkPath(fileURLToPath(path))
  if (!(path instanceof Uint8Array)) {
    if (typeof path === 'string') return checkPath(path)
    throw new TypeError(`path must be a string, a file: URL or bytes, found ${describe(path)}`)
  }
  if (!isUtf8(path)) throw new RangeError('path must be UTF-8')
  return checkPath(Buffer.from(path).toString())
}

function checkEncoding(encoding: unknown): BufferEncoding {
  if (encoding === undefined) return 'utf8'
  if (typeof encoding === 'string' && Buffer.isEncoding(encoding)) return encoding
  throw new TypeError(
    `encoding must be one that Buffer knows, found ${JSON.stringify(encoding) ?? describe(encoding)}`,
  )
}
