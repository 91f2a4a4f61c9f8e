import { abortError, onAbort } from '../base/abort.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { TarspoutError } from '../base/errors.js'
import { Channel, type ChannelListener } from './channel.js'
import {
  checkKnown,
  checkPath,
  describe,
  FIFO_OPTIONS,
  type FifoSettings,
  fifoSettings,
} from './options.js'
import { openPatiently } from './patience.js'
import { type FifoStats, fifoStats } from './stats.js'

export interface FifoOptions {
  /** Aborts every wait with an AbortError and closes the FIFO. */
  signal?: AbortSignal | undefined
  /**
   * Milliseconds to wait for a reader at the opening; then ERR_FIFO_NO_READER. Default Infinity.
   */
  readerTimeoutMs?: number | undefined
  /**
   * Bytes of pipe to ask the kernel for (F_SETPIPE_SZ, pipe(7)); what it refuses is halved. Default
   * 1 MiB.
   */
  pipeSize?: number | undefined
  /** Bytes queued from which on write() returns false. Default 16 MiB. */
  highWaterMark?: number | undefined
  /**
   * Map memory into the pipe instead of copying it (vmsplice): it must not change until consumed.
   * Default false.
   */
  zeroCopy?: boolean | undefined
}

/**
 * Opens a FIFO for writing. Waits for a reader without a thread of the pool, and never creates a
 * file.
 *
 * @param path of the FIFO, or of a symbolic link to it
 * @returns settles when a reader has the FIFO open
 * @throws TarspoutError ERR_FIFO_NOT_A_FIFO, ERR_FIFO_BUSY, ERR_FIFO_NO_READER, ERR_FIFO_REMOVED;
 *   AbortError; errors of the system (ENOENT, EACCES); TypeError and RangeError for wrong options
 */
export async function openFifo(path: string, options: FifoOptions = {}): Promise<FifoWriter> {
  checkKnown('openFifo()', options, FIFO_OPTIONS)
  return FifoWriter.open(checkPath(path), fifoSettings(options))
}

/**
 * The write end of a FIFO: bytes in, no archives. Nothing is sent again: a reader that leaves with
 * bytes unread breaks it (ERR_FIFO_READER_LOST). {@link openFifo} makes one.
 */
export class FifoWriter {
  readonly path: string
  readonly #channel: Channel
  readonly #opened: Deferred<void> = deferred()
  readonly #closed: Deferred<void> = deferred()
  readonly #consumed = new Map<number, Deferred<void>>()
  readonly #listener: ChannelListener = {
    opened: () => this.#opened.resolve(),
    delivered: (stretch) => this.#settle(stretch),
    failed: (_stretch, error) => this.#break(error),
    broken: (error) => this.#break(error),
    room: () => this.#giveRoom(),
    closed: () => this.#end(),
  }
  #stopListening = (): void => {}
  #room: Deferred<void> | undefined
  #stretch = 1
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  #error: Error | undefined

  private constructor(path: string, settings: FifoSettings) {
    this.path = path
    this.#channel = new Channel(
      {
        path,
        raw: true,
        persistent: true,
        committed: false,
        zeroCopy: settings.zeroCopy,
        spill: false,
        checkNames: false,
        retainBytes: Number.MAX_SAFE_INTEGER,
        highWaterMark: settings.highWaterMark,
        pipeSize: settings.pipeSize,
        maxAttempts: 1,
        readerTimeoutMs: settings.readerTimeoutMs,
      },
      this,
      this.#listener,
    )
    for (const { promise } of [this.#opened, this.#closed]) promise.catch(() => {})
  }

  /** @internal Use {@link openFifo}. */
  static async open(path: string, settings: FifoSettings): Promise<FifoWriter> {
    const { signal } = settings
    const fifo = await openPatiently(() => {
      if (signal?.aborted) throw abortError(signal.reason)
      return new FifoWriter(path, settings)
    })
    fifo.#stopListening = onAbort(signal, fifo, (self, reason) => self.#abort(reason))
    fifo.#channel.native.wantOpen()
    fifo.#channel.hold()
    try {
      await fifo.#opened.promise
      fifo.#state = 'open'
      return fifo
    } catch (error) {
      fifo.#stopListening()
      fifo.#channel.native.abortAll()
      await fifo.#closed.promise // only then may the path be opened again
      throw error
    } finally {
      fifo.#channel.release()
    }
  }

  /**
   * Queues bytes. Their memory is borrowed until they are written (with zeroCopy: consumed).
   *
   * @returns false from highWaterMark on: wait for {@link drained}
   * @throws TarspoutError ERR_STATE unless open; what broke the FIFO; TypeError for anything but
   * Uint8Array or an array of them
   */
  write(chunks: Uint8Array | readonly Uint8Array[]): boolean {
    this.#check('write')
    const list = chunks instanceof Uint8Array ? [chunks] : chunks
    if (!Array.isArray(list)) {
      throw new TypeError(
        `chunks must be a Uint8Array or an array of them, found ${describe(chunks)}`,
      )
    }
    for (const chunk of list) {
      if (!(chunk instanceof Uint8Array)) {
        throw new TypeError(`a chunk must be a Uint8Array, found ${describe(chunk)}`)
      }
    }
    const hasRoom = this.#channel.native.write(list) === 0
    if (this.#error) throw this.#error // this write found the reader gone
    return hasRoom
  }

  /**
   * Settles when less than highWaterMark is queued. Rejects with what broke the FIFO, or an
   * AbortError.
   */
  async drained(): Promise<void> {
    if (this.#error) throw this.#error
    if (this.#state === 'closed') return
    this.#room ??= deferred()
    this.#channel.hold()
    try {
      this.#channel.native.wantRoom()
      await this.#room.promise
    } finally {
      this.#channel.release()
    }
  }

  /**
   * Settles when the reader has read every byte written so far. Rejects with what broke the FIFO,
   * or an AbortError.
   */
  async consumed(): Promise<void> {
    this.#check('consumed')
    await this.#endStretch()
  }

  /** What was measured. */
  stats(): FifoStats {
    return fifoStats(this.#channel.native.stats())
  }

  /**
   * Waits until everything written was read, then closes the write end: the reader sees the end of
   * file. Settles when it has left, 100 ms later at the latest: the next writer does not meet it.
   * Rejects with what breaks the FIFO meanwhile, or an AbortError; it is closed all the same.
   */
  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing'
      this.#channel.hold()
      try {
        if (this.#error) this.#channel.native.abortAll()
        else await this.#endStretch()
      } finally {
        this.#channel.native.close(0)
        await this.#closed.promise
        this.#channel.release()
      }
    } else if (this.#state === 'closing') {
      await this.#closed.promise
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #check(call: string): void {
    if (this.#error) throw this.#error
    if (this.#state !== 'open') {
      throw new TarspoutError(
        'ERR_STATE',
        `${call}() needs an open FIFO; this one is ${this.#state}`,
        {
          path: this.path,
        },
      )
    }
  }

  async #endStretch(): Promise<void> {
    const end = deferred<void>()
    this.#consumed.set(this.#stretch++, end)
    this.#channel.hold()
    this.#channel.native.finish(false)
    try {
      await end.promise
    } finally {
      this.#channel.release()
    }
  }

  #abort(reason: unknown): void {
    this.#channel.abort(reason)
    this.#break(abortError(reason))
  }

  #break(error: Error): void {
    this.#error ??= error
    this.#opened.reject(error)
    this.#room?.reject(error)
    this.#room = undefined
    for (const end of this.#consumed.values()) end.reject(error)
    this.#consumed.clear()
  }

  #settle(stretch: number): void {
    this.#consumed.get(stretch)?.resolve()
    this.#consumed.delete(stretch)
  }

  #giveRoom(): void {
    this.#room?.resolve()
    this.#room = undefined
  }

  #end(): void {
    this.#state = 'closed'
    this.#stopListening()
    this.#closed.resolve()
    this.#giveRoom()
  }
}
