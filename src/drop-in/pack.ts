import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TarspoutError } from '../base/errors.js'
import { END_OF_ARCHIVE, paddingBytes } from '../tar/blocks.js'
import { bytesOf, gather, pieces, wrongSize } from '../tar/body.js'
import type { Body } from '../tar/entry.js'
import { headerBlocks } from '../tar/header.js'
import { type PackHeader, packFields, typeOf } from './pack-header.js'

export interface PackOptions {
  /**
   * Bytes that wait in the stream before `write()` of an entry returns false. Default: Node's for
   * streams.
   */
  highWaterMark?: number | undefined
  /** Aborts the archive: the stream is destroyed with an AbortError. */
  signal?: AbortSignal | undefined
}

/**
 * Called once: with no error when the entry's bytes were taken by the stream, or with what ended it
 * before.
 */
export type PackCallback = (error: Error | null) => void

/**
 * tar-stream's `pack()`: a readable stream of one tar archive, written entry by entry.
 *
 * ```
 * entry() entry() entry()        queue: each entry has its Writable, the first one is being written
 *    └──────┴───────┘
 *           │ header blocks, body, padding
 *           ▼
 *    Readable buffer ──► whoever reads
 * ```
 */
export function pack(options: PackOptions = {}): PackStream {
  return new Pack(options)
}

/** The archive: read it, pipe it, iterate it. Made by {@link pack}. */
export interface PackStream extends Readable {
  /**
   * Adds an entry behind those before it, whether they are complete or not.
   *
   * @param header see {@link PackHeader}
   * @param body the whole body; an (async) iterable is read in its turn, and gathered first where
   *   `header.size` is not given. Without a body, write it to the Writable that comes back,
   *   `header.size` bytes in all, and end that. Memory is borrowed until the archive's reader has
   *   it.
   * @param callback see {@link PackCallback}
   * @returns a Writable: where a body is given, or the type has none, there is nothing to write to
   *   it. Destroying it before it is complete destroys the archive, which would have a hole. It
   *   fails with ERR_TAR_SIZE ('Size mismatch') on the first byte too many, or at its end if there
   *   were too few.
   * @throws TarspoutError ERR_STATE after finalize() or destroy(); ERR_TAR_NAME, ERR_TAR_SIZE,
   *   ERR_TAR_FIELD if no tar format can hold the header; ERR_TAR_BODY for a body on a type that
   *   has none. TypeError or RangeError for wrong arguments. Nothing of the entry is written then,
   *   and the archive goes on.
   */
  entry(header: PackHeader, callback?: PackCallback): Writable
  entry(header: PackHeader, body: Body | null | undefined, callback?: PackCallback): Writable
  /** Ends the archive once all entries are complete. */
  finalize(): void
}

const VOID_TYPES = new Set([
  'link',
  'symlink',
  'character-device',
  'block-device',
  'directory',
  'fifo',
  ...'123456',
])
const SYMLINK_TYPES = new Set(['symlink', '2'])

class Pack extends Readable implements PackStream {
  // Entries not yet written to their end, in the order of the calls.
  readonly #queue: PackEntry[] = []
  #finalizing = false
  #finished = false
  #advancing = false
  // What to call when the reader wants more.
  #resume: (() => void) | undefined

  constructor(options: PackOptions = {}) {
    super({ ...options, objectMode: false })
  }

  entry(header: PackHeader, callback?: PackCallback): PackEntry
  entry(header: PackHeader, body: Body | null | undefined, callback?: PackCallback): PackEntry
  entry(header: PackHeader, body?: Body | PackCallback | null, callback?: PackCallback): PackEntry {
    if (this.#finalizing || this.destroyed) {
      throw new TarspoutError(
        'ERR_STATE',
        'already finalized or destroyed: entry() comes before finalize()',
      )
    }
    if (typeof body === 'function') return this.entry(header, undefined, body)
    if (typeof header !== 'object' || header === null)
      throw new TypeError('header must be an object')
    const context = { entry: header.name }
    const whole = body === undefined || body === null ? undefined : bytesOf(body, context)
    const entry = new PackEntry(this, header, whole, callback)
    this.#queue.push(entry)
    if (whole !== undefined) entry.end(whole)
    else if (body !== undefined && body !== null) void entry.read(body)
    if (this.#queue[0] === entry) this.#advance()
    return entry
  }

  finalize(): void {
    this.#finalizing = true
    if (this.#queue.length === 0) this.#finish()
  }

  /** For an entry: hands bytes to the reader; `next` is called when it wants more. */
  send(bytes: Uint8Array, next: () => void): void {
    if (this.push(bytes)) next()
    else this.#resume = next
  }

  /** For an entry: it is complete. */
  completed(entry: PackEntry): void {
    if (this.#queue[0] !== entry) return
    this.#queue.shift()
    this.#advance()
  }

  override _read(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const entry of this.#queue.splice(0)) entry.cut(error)
    this.#resume = undefined
    callback(error)
  }

  // An entry without body completes within start(), so this is a loop and not a recursion.
  #advance(): void {
    if (this.#advancing) return
    this.#advancing = true
    for (let head = this.#queue[0]; head !== undefined && !head.started; head = this.#queue[0])
      head.start()
    this.#advancing = false
    if (this.#finalizing && this.#queue.length === 0) this.#finish()
  }

  #finish(): void {
    if (this.#finished || this.destroyed) return
    this.#finished = true
    this.push(END_OF_ARCHIVE)
    this.push(null)
  }
}

// One entry: takes its body.
class PackEntry extends Writable {
  readonly #pack: Pack
  readonly #header: PackHeader
  readonly #type: string
  #callback: PackCallback | undefined
  // The encoded header; undefined until size and linkname are known.
  #blocks: Uint8Array | undefined
  #size: number
  #written = 0
  // Parts of the linkname, for a symlink whose body is its target.
  readonly #target: Uint8Array[] | undefined
  #state: 'queued' | 'started' | 'complete' = 'queued'
  #cause: Error | null = null
  // What has to wait for the turn of this entry.
  #held: (() => void) | undefined

  constructor(
    pack: Pack,
    header: PackHeader,
    whole: Uint8Array | undefined,
    callback: PackCallback | undefined,
  ) {
    super({ decodeStrings: true })
    this.#pack = pack
    this.#header = { ...header }
    this.#type = typeOf(header)
    this.#callback = callback
    this.#size = VOID_TYPES.has(this.#type) ? 0 : (whole?.byteLength ?? header.size ?? 0)
    if (SYMLINK_TYPES.has(this.#type) && !header.linkname) {
      this.#target = []
      // The target is still to come; everything else of the header is checked now.
      this.#encode('-')
      this.#blocks = undefined
    } else {
      if (whole !== undefined && whole.byteLength > 0 && VOID_TYPES.has(this.#type))
        throw this.#bodyless()
      this.#encode(header.linkname ?? '')
    }
    // Whoever gave the body has the callback and the archive's own error; nobody listens on this
    // stream.
    if (whole !== undefined) this.on('error', () => {})
  }

  /** Whether its turn has come. */
  get started(): boolean {
    return this.#state !== 'queued'
  }

  /** For the Pack: its turn has come. */
  start(): void {
    this.#state = 'started'
    if (VOID_TYPES.has(this.#type) && this.#target === undefined) {
      if (this.#blocks) this.#pack.push(this.#blocks)
      this.#state = 'complete'
      this.#pack.completed(this)
      process.nextTick(() => this.#settle(null))
      return
    }
    const held = this.#held
    this.#held = undefined
    held?.()
  }

  /**
   * For the Pack: the archive is destroyed. Its error is an event of the archive, and of this
   * stream too where somebody listens; nobody has to, since the stream closes either way.
   */
  cut(cause: Error | null): void {
    this.#cause = cause
    this.destroy(this.listenerCount('error') > 0 && cause ? cause : undefined)
  }

  /** For the Pack: reads the body from an iterable. */
  async read(body: Body): Promise<void> {
    this.on('error', () => {})
    // Nobody wants the bytes of a source once the entry is gone.
    const stop = new AbortController()
    this.once('close', () => stop.abort())
    const context = { entry: this.#header.name, signal: stop.signal }
    try {
      if (typeof this.#header.size === 'number') {
        await pipeline(pieces(body, context), this)
        return
      }
      const bytes = await gather(body, context)
      if (VOID_TYPES.has(this.#type) && this.#target === undefined) {
        if (bytes.byteLength > 0) throw this.#bodyless()
      } else if (this.#target === undefined) {
        this.#size = bytes.byteLength
        this.#encode(this.#header.linkname ?? '')
      }
      this.end(bytes)
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    next: (error?: Error | null) => void,
  ): void {
    this.#inTurn(() => {
      if (this.#target !== undefined) {
        this.#target.push(chunk)
        return next()
      }
      if (VOID_TYPES.has(this.#type)) return next(chunk.byteLength > 0 ? this.#bodyless() : null)
      const written = this.#written + chunk.byteLength
      if (chunk.byteLength === 0) return next()
      // The first byte too many ends it, before it is in the archive.
      if (written > this.#size) return next(this.#mismatch(`at least ${written}`))
      this.#sendHeader()
      this.#written = written
      this.#pack.send(chunk, next)
    })
  }

  override _final(next: (error?: Error | null) => void): void {
    this.#inTurn(() => {
      if (this.#state === 'complete') return next()
      if (this.#written !== this.#size) return next(this.#mismatch(String(this.#written)))
      if (this.#target !== undefined) {
        try {
          this.#encode(Buffer.concat(this.#target).toString())
        } catch (error) {
          return next(error as Error)
        }
      }
      this.#sendHeader()
      const padding = paddingBytes(this.#size)
      if (padding > 0) this.#pack.push(END_OF_ARCHIVE.subarray(0, padding))
      this.#state = 'complete'
      // In this order, so that callbacks come in the order of the entries.
      next()
      this.#pack.completed(this)
    })
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const cut = this.#state !== 'complete'
    const reason = cut ? (error ?? this.#cause ?? this.#destroyed()) : error
    this.#held = undefined
    if (reason !== null) this.#pack.destroy(reason)
    callback(error)
    this.#settle(reason)
  }

  #inTurn(step: () => void): void {
    if (this.started) step()
    else this.#held = step
  }

  #sendHeader(): void {
    if (this.#blocks === undefined) return
    this.#pack.push(this.#blocks)
    this.#blocks = undefined
  }

  #settle(error: Error | null): void {
    const callback = this.#callback
    this.#callback = undefined
    callback?.(error)
  }

  #encode(linkname: string): void {
    this.#blocks = headerBlocks(packFields(this.#header, this.#type, this.#size, linkname))
  }

  #mismatch(found: string): TarspoutError {
    return wrongSize({ entry: this.#header.name }, this.#size, found)
  }

  #destroyed(): TarspoutError {
    return new TarspoutError('ERR_STATE', 'tar entry destroyed', { entry: this.#header.name })
  }

  #bodyless(): TarspoutError {
    return new TarspoutError(
      'ERR_TAR_BODY',
      `No body allowed for this entry: a ${this.#type} has none`,
      {
        entry: this.#header.name,
        field: 'data',
      },
    )
  }
}
