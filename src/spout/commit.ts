import { posix } from 'node:path'
import type { Verdict } from '../addon.js'
import { TarspoutError } from '../errors.js'
import { END_OF_ARCHIVE, paddingBytes } from '../tar/blocks.js'
import { bytesOf, gather, pieces, wrongSize } from '../tar/body.js'
import type { Body, EntryFields } from '../tar/entry.js'
import { headerFields } from '../tar/fields.js'
import { headerBlocks } from '../tar/header.js'
import { checkName } from '../tar/name-rules.js'
import type { Delivery, SpoutCore } from './core.js'
import type { Receipt } from './receipt.js'

/**
 * What add() takes beside name and data. A spout's entries are regular files, so there is no type. Defaults: mode 0o600, mtime
 * the second the commit began, owner 0. `size` is a promise about data.
 */
export type EntryOptions = Omit<EntryFields, 'name' | 'type' | 'linkname' | 'devmajor' | 'devminor'>

// Larger bodies are borrowed, not copied: they must not lie in memory that another thread can change.
const COPIED_BYTES = 16 << 10
const MARKER_OPTIONS: EntryOptions = {}

/**
 * One commit: an archive being written.
 *
 *     open --end()--> ending --delivered or failed--> settled
 *       |--abort()--> aborted
 *       |--a body or the FIFO failed--> failed
 *
 * add(), ready(), addMarker(), end() need `open`; abort() does nothing once ended.
 */
export class Commit {
  /** Number of the archive. */
  readonly archive: number
  readonly #core: SpoutCore
  readonly #delivery: Promise<Delivery>
  readonly #onEnd: () => void
  readonly #second: number // the default mtime
  #state: 'open' | 'ending' | 'settled' | 'aborted' | 'failed' = 'open'
  #entries = 0
  #bytes = END_OF_ARCHIVE.length
  #marker: Uint8Array | undefined
  #queue: Promise<void> | undefined // entries whose bodies are still read, and all behind them
  #stop: AbortController | undefined // ends the reading of bodies; made for the first one that is read
  #isInsideBody = false
  #entryError: unknown // of a queued entry, until someone was told
  #error: unknown // why the commit failed

  /** @internal Use Spout.beginCommit(). */
  constructor(core: SpoutCore, second: number, onEnd: () => void) {
    this.#core = core
    this.#second = second
    this.#onEnd = onEnd
    const { archive, delivery } = core.begin()
    this.archive = archive
    this.#delivery = delivery
    delivery.catch((error) => this.#fail(error))
  }

  /** Bytes of the archive so far, end-of-archive marker included. */
  get bytes(): number {
    return this.#bytes
  }

  /** Entries so far. */
  get entries(): number {
    return this.#entries
  }

  /**
   * Adds a regular file.
   *
   * Memory of `data` is borrowed until the receipt. An (async) iterable is read in the order of the calls: with `size` it
   * goes out as it comes, without it is gathered first.
   *
   * @param name path of the file; {@link SpoutOptions.nameRules} says which are taken
   * @param data default: an empty file
   * @param options header fields that differ from the defaults
   * @returns false: wait for {@link ready} before the next one, or memory grows
   * @throws TarspoutError ERR_TAR_NAME, ERR_TAR_FIELD, ERR_TAR_SIZE, ERR_TAR_BODY (this entry failed, nothing of it was
   *   written), ERR_STATE; what failed the commit; TypeError and RangeError for wrong arguments
   */
  add(name: string, data?: Body, options?: EntryOptions): boolean {
    if (this.#state !== 'open') throw this.#wrongState('add')
    if (this.#queue === undefined && this.#core.fitsTemplate(options, this.#second)) {
      const bytes = typeof data === 'string' ? Buffer.from(data) : data
      if (bytes === undefined || isPlain(bytes)) {
        if (this.#core.settings.markerName !== undefined) this.#checkMarker(name)
        const verdict = this.#core.channel.native.add(name, bytes)
        if (verdict !== -1) {
          const size = bytes === undefined ? 0 : bytes.length
          this.#bytes += 512 + size + paddingBytes(size)
          this.#entries++
          this.#core.entries++
          return this.#go(verdict)
        }
      }
    }
    return this.#addWithHeader(name, data, options ?? {})
  }

  /** Settles when add() may go on: room in the engine, and no body being read. Rejects with what failed an entry since, or the commit. */
  async ready(): Promise<void> {
    if (this.#state !== 'open') throw this.#wrongState('ready')
    while (this.#queue) await this.#queue
    this.#throwErrors()
    await this.#core.room()
    this.#throwErrors()
  }

  /**
   * Sets the marker: what {@link Spout.readMarker} gives the next run. It is written last; set again, the last one counts.
   *
   * @throws TarspoutError ERR_STATE without markerName
   */
  addMarker(bytes: Uint8Array | string): void {
    if (this.#state !== 'open') throw this.#wrongState('addMarker')
    if (this.#core.settings.markerName === undefined) {
      throw this.#core.stateError('addMarker', 'none', 'the option markerName')
    }
    const marker = bytesOf(bytes)
    if (marker === undefined) throw new TypeError('a marker must be bytes or a string')
    this.#marker = marker
  }

  /**
   * Ends the archive.
   *
   * @returns settles when the archive was delivered, as {@link SpoutOptions.confirm} says
   * @throws TarspoutError ERR_STATE; ERR_DELIVERY_UNCERTAIN, ERR_REPLAY_LIMIT, ERR_FIFO_NO_READER, ERR_FIFO_REMOVED,
   *   ERR_TAR_BODY; an AbortError; what failed an entry if nobody was told (the archive is then not sent)
   */
  async end(): Promise<Receipt> {
    if (this.#state !== 'open') throw this.#wrongState('end')
    this.#core.channel.hold()
    try {
      if (this.#queue) {
        this.#state = 'ending'
        while (this.#queue) await this.#queue
        if (this.#entryError !== undefined && this.#error === undefined) this.#takeBack(this.#entryError)
        this.#throwErrors()
      } else {
        this.#throwErrors()
        this.#state = 'ending'
      }
      return await this.#finish()
    } finally {
      this.#state = this.#error === undefined ? 'settled' : 'failed'
      this.#core.channel.release()
    }
  }

  /**
   * Takes the archive back. What was not yet sent is dropped; if some of it was (more than highWaterMark had been added), the
   * reader sees it cut inside an entry, so that it cannot take it for whole.
   */
  abort(reason?: unknown): void {
    if (this.#state === 'open' || (this.#state === 'ending' && this.#queue)) {
      this.#state = 'aborted'
      this.#takeBack(reason ?? new TarspoutError('ERR_STATE', `the commit ${this.archive} was aborted`))
    }
  }

  #go(verdict: Verdict): boolean {
    this.#core.hasRoom = verdict === 0
    return verdict === 0
  }

  #addWithHeader(name: string, data: Body | undefined, options: EntryOptions): boolean {
    const { settings } = this.#core
    if (typeof name !== 'string') throw new TypeError(`name must be a string, found ${typeof name}`)
    const rule = checkName(name, settings.nameRules)
    if (rule) {
      throw new TarspoutError('ERR_TAR_NAME', `the name ${JSON.stringify(name)} ${rule}`, {
        entry: name,
        field: 'name',
      })
    }
    this.#checkMarker(name)
    const bytes = data === undefined ? undefined : bytesOf(data, { entry: name })
    if (data === undefined || bytes !== undefined) {
      const size = bytes?.length ?? 0
      if (options.size !== undefined && options.size !== size) {
        throw wrongSize({ entry: name }, options.size, String(size))
      }
      const header = this.#header(name, size, options)
      this.#claimPath(name)
      if (!this.#queue) return this.#put(header, bytes)
      return this.#enqueue(async () => {
        this.#put(header, bytes)
      })
    }
    const body = data as Body
    this.#stop ??= new AbortController()
    const { signal } = this.#stop
    if (options.size === undefined) {
      this.#header(name, 0, options) // whatever is wrong with the rest is said now
      this.#claimPath(name)
      return this.#enqueue(async () => {
        const whole = await gather(body, { entry: name, signal })
        this.#put(this.#header(name, whole.length, options), whole)
      })
    }
    const header = this.#header(name, options.size, options)
    this.#claimPath(name)
    return this.#enqueue(() => this.#stream(name, header, body, options.size ?? 0))
  }

  #header(name: string, size: number, options: EntryOptions): Uint8Array {
    return headerBlocks(headerFields({ mtime: new Date(this.#second * 1000), ...options, name }, size))
  }

  #put(header: Uint8Array, body: Uint8Array | undefined): boolean {
    const size = body?.length ?? 0
    this.#bytes += header.length + size + paddingBytes(size)
    this.#entries++
    this.#core.entries++
    return this.#go(this.#core.channel.native.addEncoded(header, body))
  }

  // A body of known size goes out piece by piece: from its header on, only the whole archive can fail.
  async #stream(name: string, header: Uint8Array, body: Body, size: number): Promise<void> {
    const { native } = this.#core.channel
    this.#put(header, undefined)
    this.#isInsideBody = size > 0
    let sent = 0
    try {
      for await (const piece of pieces(body, { entry: name, signal: this.#stop?.signal })) {
        if (this.#error !== undefined) return // aborted meanwhile: the engine is in the next archive
        sent += piece.length
        if (sent > size) throw wrongSize({ entry: name }, size, `at least ${sent}`)
        if (!this.#go(native.append(piece))) await this.#core.room()
      }
      if (sent < size) throw wrongSize({ entry: name }, size, String(sent))
    } catch (error) {
      if (this.#error === undefined) this.#takeBack(error)
    }
    if (this.#error !== undefined) return
    this.#isInsideBody = false
    const padding = paddingBytes(size)
    native.append(END_OF_ARCHIVE.subarray(0, padding))
    this.#bytes += size + padding
  }

  // Behind whatever is being read. A failure of it is told by ready() or end(): nothing of that entry was written.
  #enqueue(work: () => Promise<void>): false {
    const queue = (this.#queue ?? Promise.resolve()).then(async () => {
      if (this.#error !== undefined || this.#state === 'aborted') return
      try {
        await work()
      } catch (error) {
        this.#entryError ??= error
      }
    })
    this.#queue = queue
    this.#core.channel.hold()
    queue.finally(() => {
      if (this.#queue === queue) this.#queue = undefined
      this.#core.channel.release()
    })
    return false
  }

  #checkMarker(name: string): void {
    const { markerName } = this.#core.settings
    if (markerName === undefined || !posix.normalize(name).startsWith(markerName)) return
    throw new TarspoutError(
      'ERR_TAR_NAME',
      `the name ${JSON.stringify(name)} must not begin with the marker's, ${JSON.stringify(markerName)}: the reader takes ` +
        'every such entry for the marker; use addMarker()',
      { entry: name, field: 'name' },
    )
  }

  // Pachyderm finds it only when the commit is finished, and then the pipeline is wedged (PACHYDERM.md section 2).
  #claimPath(name: string): void {
    const { settings, channel } = this.#core
    if (settings.nameRules !== 'pachyderm' || channel.native.claimPath(posix.normalize(name))) return
    throw new TarspoutError(
      'ERR_TAR_NAME',
      `the name ${JSON.stringify(name)} must not make a folder of a file, nor a file of a folder, that this commit has`,
      { entry: name, field: 'name' },
    )
  }

  async #finish(): Promise<Receipt> {
    const { native } = this.#core.channel
    const { markerName, separateMarker } = this.#core.settings
    const marker = this.#marker
    const isSeparate = separateMarker && marker !== undefined && this.#entries > 0
    if (marker !== undefined && markerName !== undefined && !isSeparate) {
      this.#put(this.#header(markerName, marker.length, MARKER_OPTIONS), marker)
    }
    this.#core.hasRoom = native.finish()
    let last = this.#delivery
    if (isSeparate && markerName !== undefined) {
      const { archive, delivery } = this.#core.begin()
      native.addEncoded(this.#header(markerName, marker.length, MARKER_OPTIONS), marker)
      this.#core.hasRoom = native.finish()
      last = this.#delivery.then((first) => delivery.then(() => first))
      last.catch(() => this.#core.forget(archive))
    }
    this.#onEnd()
    const { attempts, blockedMs } = await last
    return {
      archive: this.archive,
      entries: this.#entries,
      bytes: this.#bytes,
      attempts,
      confirmed: this.#core.settings.committed ? 'committed' : 'read',
      deliveredAt: Date.now(),
      blockedMs,
    }
  }

  #takeBack(error: unknown): void {
    this.#error ??= error
    if (this.#state !== 'aborted') this.#state = 'failed'
    this.#stop?.abort()
    this.#core.forget(this.archive)
    this.#core.channel.native.abortOpen(this.#isInsideBody)
    this.#onEnd()
  }

  // The engine gave the archive up, perhaps before it was ended.
  #fail(error: unknown): void {
    this.#error ??= error
    if (this.#state === 'open' || (this.#state === 'ending' && this.#queue)) this.#takeBack(error)
  }

  #throwErrors(): void {
    if (this.#error !== undefined) throw this.#error
    const error = this.#entryError
    this.#entryError = undefined
    if (error !== undefined) throw error
  }

  #wrongState(call: string): unknown {
    if (this.#state === 'failed' && this.#error !== undefined) return this.#error
    return this.#core.stateError(call, `commit ${this.archive}, which is ${this.#state}`, 'an open commit')
  }
}

// Bytes that can be handed over as they are. An empty one may be detached: bytesOf() finds out.
function isPlain(data: unknown): data is Uint8Array {
  return (
    data instanceof Uint8Array &&
    data.length > 0 &&
    (data.length <= COPIED_BYTES || !(data.buffer instanceof SharedArrayBuffer))
  )
}
