import { closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { TarspoutError } from '../base/errors.js'
import { type PipeFilling, pipeFilling } from '../fifo/pipe-filling.js'

/**
 * What reads from a {@link FifoReader}: at most `want` bytes at a time, until `push` returns false.
 */
export interface FifoConsumer {
  readonly want: number
  push(bytes: Buffer): boolean
}

/** `held`: the consumer has enough; `end`: no writer is left; `closed`: `close` was called. */
export type ReadResult = 'held' | 'end' | 'closed'

/** @throws TarspoutError `ERR_FIFO_NOT_A_FIFO`; what stat(2) says otherwise */
export function checkFifo(path: string): void {
  if (!statSync(path).isFIFO())
    throw new TarspoutError('ERR_FIFO_NOT_A_FIFO', `${path} is no FIFO`, { path })
}

/**
 * The read end of a FIFO, read in sizes that the consumer sets, and waited for by epoll: neither
 * opening nor reading blocks a thread, so nothing holds up the end of the process.
 *
 * Each read takes at most the bytes wanted, so nothing is read ahead. Opening does not wait for a
 * writer (O_NONBLOCK, fifo(7)), and a FIFO that no writer has opened since is not at its end:
 * poll(2) sleeps until one comes. After an end of file, `open` brings that back; the new read end
 * is there before the old one goes, so a writer that comes at that moment always finds a reader and
 * nothing of its bytes is dropped.
 */
export class FifoReader {
  readonly path: string
  readonly #buffer = Buffer.allocUnsafe(1 << 20)
  #fd: number | undefined
  #socket: Socket | undefined
  #consumer: FifoConsumer | undefined
  #settle: ((result: ReadResult) => void) | undefined
  #fail: ((error: unknown) => void) | undefined
  #atEnd = false
  #bytes = 0
  #waitedMs = 0
  #waitsSince: number | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** How long bytes were waited for so far, in milliseconds. */
  get waitedMs(): number {
    return this.#waitedMs + this.waitingMs
  }

  /** How long the wait that goes on has lasted, in milliseconds. */
  get waitingMs(): number {
    return this.#waitsSince === undefined ? 0 : performance.now() - this.#waitsSince
  }

  /** How full the pipe is; zeros while it is not open. */
  get filling(): PipeFilling {
    return this.#fd === undefined ? { unread: 0, capacity: 0 } : pipeFilling(this.#fd)
  }

  /** @throws TarspoutError `ERR_FIFO_NOT_A_FIFO`; what open(2) says otherwise */
  open(): void {
    checkFifo(this.path)
    const fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.#closeReadEnd()
    this.#fd = fd
    this.#atEnd = false
  }

  /** Reads into `consumer` until it has enough. After `end`, `open` again. */
  read(consumer: FifoConsumer): Promise<ReadResult> {
    if (this.#fd === undefined) return Promise.resolve('closed')
    if (this.#atEnd) return Promise.resolve('end')
    this.#consumer = consumer
    this.#waitsSince = performance.now()
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
      // Made here, since a socket reads as soon as it is made, and the first read needs to know its
      // size.
      if (this.#socket === undefined) this.#socket = this.#makeSocket(this.#fd as number)
      this.#socket.resume()
    })
  }

  /**
   * Makes the end of the file come if no writer is there: to poll(2) it looks as if one had come
   * and gone.
   */
  nudge(): void {
    if (this.#fd !== undefined)
      closeSync(openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK))
  }

  /**
   * Opens and closes a second read end. Nothing is read or dropped; a writer that watches its
   * readers (inotify) no longer trusts that the archive it is sending arrived.
   */
  raiseDoubt(): void {
    closeSync(openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK))
  }

  /** Closes the read end; what is unread is dropped once the writers have closed too. */
  close(): void {
    this.#closeReadEnd()
    this.#done('closed')
  }

  #makeSocket(fd: number): Socket {
    // libuv takes a hang-up for the end of the file when its own read came back short, without
    // reading again, though another writer may have come since. A read of one byte is never short;
    // the rest is read here.
    const onread = {
      buffer: this.#buffer.subarray(0, 1),
      callback: () => this.#push(fd),
    }
    // `onread` is declared for connections only; the constructor takes it as well.
    const options = { fd, readable: true, writable: false, onread } as ConstructorParameters<
      typeof Socket
    >[0]
    const socket = new Socket(options)
    socket.on('end', () => {
      if (socket !== this.#socket) return
      this.#atEnd = true
      this.#done('end')
    })
    socket.on('error', (error) => {
      if (socket === this.#socket) this.#fail?.(error)
    })
    return socket
  }

  #closeReadEnd(): void {
    if (this.#socket !== undefined) this.#socket.destroy()
    else if (this.#fd !== undefined) closeSync(this.#fd)
    this.#socket = undefined
    this.#fd = undefined
  }

  /** The first byte is in the buffer. */
  #push(fd: number): boolean {
    if (this.#settle === undefined || this.#consumer === undefined)
      throw new Error('the FIFO was read while nobody asked')
    this.#endWait()
    try {
      const length = 1 + readNow(fd, this.#buffer.subarray(1, this.#consumer.want))
      this.#bytes += length
      if (this.#consumer.push(this.#buffer.subarray(0, length))) {
        this.#waitsSince = performance.now()
        return true
      }
      this.#done('held')
    } catch (error) {
      const fail = this.#fail
      this.#settle = this.#fail = undefined
      fail?.(error)
    }
    this.#socket?.pause()
    return false
  }

  #endWait(): void {
    this.#waitedMs += this.waitingMs
    this.#waitsSince = undefined
  }

  #done(result: ReadResult): void {
    this.#endWait()
    const settle = this.#settle
    this.#settle = this.#fail = undefined
    settle?.(result)
  }
}

/** Reads what is there without waiting; 0 if that is nothing, or the end of the file. */
function readNow(fd: number, buffer: Buffer): number {
  if (buffer.length === 0) return 0
  try {
    return readSync(fd, buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0
    throw error
  }
}
