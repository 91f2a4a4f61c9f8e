import { posix } from 'node:path'
import type { Verdict } from '../addon.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { TarspoutError } from '../base/errors.js'
import { checkKnown } from '../fifo/options.js'
import { checkName } from '../names/name-rules.js'
import { BLOCK_BYTES, END_OF_ARCHIVE, paddingBytes } from '../tar/blocks.js'
import { bytesOf, gather, isDetached, pieces, wrongSize } from '../tar/body.js'
import type { Body, BodyChunk, EntryFields } from '../tar/entry.js'
import { headerFields } from '../tar/fields.js'
import { headerBlocks } from '../tar/header.js'
import { MOST_GATHERED } from './batch.js'
import type { SpoutCore } from './core.js'
import type { Receipt } from './receipt.js'
import { Waits } from './waits.js'

/**
 * What add() takes beside name and data. A spout's entries are regular files, so there is no type.
 * Defaults: mode 0o600, mtime the second the commit began, owner 0. `size` is a promise about data.
 */
export type EntryOptions = Omit<EntryFields, 'name' | 'type' | 'linkname' | 'devmajor' | 'devminor'>

// Larger bodies are borrowed, not copied: they must not lie in memory that another thread can
// change.
const COPIED_BYTES = 16 << 10
// After so many small entries the next ones are handed over many at once. Few gain nothing by it.
const LEAST_IN_A_ROW = 16
const MARKER_OPTIONS: EntryOptions = {}
const KNOWN = ['size', 'mode', 'mtime', 'uid', 'gid', 'uname', 'gname', 'pax']

/** add()'s arguments in one object: what toEntry() makes of an item. */
export interface RunEntry extends EntryOptions {
  name: string
  data?: Body | undefined
}

/**
 * One commit: an archive being written.
 *
 *     open --end()--> finishing --all bodies read--> ending --delivered--> settled
 *       |                 |                             |-----failed-----> failed
 *       |-----------------+--abort()--> aborted
 *       |-----------------+--a body or the FIFO failed--> failed
 *
 * add(), ready(), addMarker(), end() need `open`; abort() does nothing from `ending` on.
 */
export class Commit {
  /** Number of the archive. */
  readonly archive: number
  readonly #core: SpoutCore
  readonly #second = Math.floor(Date.now() / 1000) // the default mtime
  #state: 'open' | 'finishing' | 'ending' | 'settled' | 'aborted' | 'failed' = 'open'
  #entries = 0
  // not bytes: from 2 GiB on V8 would keep those another way, and compile anew
  #blocks = END_OF_ARCHIVE.length / BLOCK_BYTES
  #marker: Uint8Array | undefined
  #queue: Promise<void> | undefined // entries whose bodies are still read, and all behind them
  #hasNoFolders = true
  #smallInARow = 0
  #isInsideBody = false
  #entryErrors: unknown[] | undefined // of queued entries, until someone was told
  #error: unknown // why the commit was taken back or failed
  #waits: Waits | undefined // end when it is
  #reading: AbortController | undefined // ends the reading of bodies then
  #ended: Deferred<Receipt> | undefined // end()'s answer
  #markerHeader: Uint8Array | undefined // of the archive of its own that follows

  /** @internal Use Spout.beginCommit(). */
  constructor(core: SpoutCore) {
    this.#core = core
    this.archive = core.begin(this)
    core.open = this
    core.latest = this
  }

  /** Bytes of the archive so far, end-of-archive marker included. */
  get bytes(): number {
    return this.#blocks * BLOCK_BYTES
  }

  /** Entries so far. */
  get entries(): number {
    return this.#entries
  }

  /** @internal Whether bodies are still read: what was added last may yet be refused. */
  get isReading(): boolean {
    return this.#queue !== undefined
  }

  /** @internal Whether nothing more can be added. */
  get isOver(): boolean {
    return this.#state !== 'open'
  }

  /**
   * Adds a regular file.
   *
   * Memory of `data` is borrowed until the receipt. An (async) iterable is read in the order of the
   * calls: with `size` it goes out as it comes, without it is gathered first.
   *
   * @param name path of the file; {@link SpoutOptions.nameRules} says which are taken
   * @param data default: an empty file
   * @param options header fields that differ from the defaults
   * @returns false: wait for {@link ready} before the next one, or memory grows, or timers and I/O
   *   wait (entries have been added for 1 ms without a turn of the event loop)
   * @throws TarspoutError ERR_TAR_NAME, ERR_TAR_FIELD, ERR_TAR_SIZE, ERR_TAR_BODY (this entry
   *   failed, nothing of it was written), ERR_STATE; what failed the commit; TypeError and
   *   RangeError for wrong arguments
   */
  add(name: string, data?: Body, options?: EntryOptions): boolean {
    if (this.#state !== 'open') throw this.#wrongState('add')
    if (options === undefined || hasOnlyTemplateFields(options, false)) {
      if (this.#addPlain(name, data, options)) return this.#core.hasRoom && !this.#core.turn.count()
    }
    return this.#addWithHeader(name, data, options === undefined ? {} : options)
  }

  /** @internal add() of an entry as toEntry() made it; what is usual in it is not copied. */
  addEntry(entry: RunEntry): boolean {
    if (this.#state !== 'open') throw this.#wrongState('add')
    if (hasOnlyTemplateFields(entry, true)) {
      if (this.#addPlain(entry.name, entry.data, entry)) return this.#core.hasRoom
    }
    const { name, data, ...options } = entry
    return this.#addWithHeader(name, data, options)
  }

  /**
   * Settles when add() may go on: room in the engine, no body being read, and the event loop had
   * its turn. Rejects with what failed an entry since (each told once, in order), or the commit.
   */
  async ready(): Promise<void> {
    if (this.#state !== 'open') throw this.#wrongState('ready')
    if (this.#queue) await this.#bodiesRead()
    this.#throwErrors()
    if (this.#core.turn.isOver) {
      await this.#orFailure(this.#core.turn.next())
      this.#throwErrors()
    }
    if (this.#core.hasRoom) return
    await this.#orFailure(this.#core.room())
    this.#throwErrors()
  }

  /**
   * Sets the marker: what {@link Spout.readMarker} gives the next run. It is written last; set
   * again, the last one counts.
   *
   * @throws TarspoutError ERR_STATE without markerName
   */
  addMarker(bytes: Uint8Array | string): void {
    if (this.#state !== 'open') throw this.#wrongState('addMarker')
    if (this.#core.markerName === undefined) {
      throw this.#core.stateError('addMarker', 'none', 'the option markerName')
    }
    const marker = bytesOf(bytes)
    if (marker === undefined) throw new TypeError('a marker must be bytes or a string')
    this.#marker = marker
  }

  /**
   * Ends the archive. One of up to 64 KiB that nothing stands before is written by this call, if
   * the connection is open, and its reader looked for, for at most 0.1 ms (docs/delivery.md,
   * Alone). Others go to the engine together, once the code that ends them has run or 64 KiB wait.
   *
   * @returns settles when the archive was delivered, as {@link SpoutOptions.confirm} says
   * @throws TarspoutError ERR_STATE; ERR_DELIVERY_UNCERTAIN, ERR_REPLAY_LIMIT, ERR_FIFO_NO_READER,
   *   ERR_FIFO_REMOVED, ERR_TAR_BODY; an AbortError; what failed an entry if nobody was told (the
   *   archive is then not sent)
   */
  end(): Promise<Receipt> {
    if (this.#state !== 'open') return Promise.reject(this.#wrongState('end'))
    this.#state = 'finishing'
    this.#core.channel.hold()
    const ended = deferred<Receipt>()
    this.#ended = ended
    if (this.#queue === undefined) this.#finish()
    else {
      this.#bodiesRead().then(
        () => this.#finish(),
        (error) => this.failed(error),
      )
    }
    return ended.promise
  }

  /**
   * Takes the archive back. What was not yet sent is dropped; if some of it was (more than
   * highWaterMark had been added), the reader sees it cut inside an entry, so that it cannot take
   * it for whole.
   */
  abort(reason?: unknown): void {
    this.#takeBack(
      'aborted',
      reason ?? new TarspoutError('ERR_STATE', `the commit ${this.archive} was aborted`),
    )
  }

  /** @internal The engine delivered the archive. */
  delivered(attempts: number, blockedMs: number, deliveredAt: number): void {
    const receipt: Receipt = {
      archive: this.archive,
      entries: this.#entries,
      bytes: this.bytes,
      attempts,
      confirmed: this.#core.confirmed,
      deliveredAt,
      blockedMs,
    }
    if (this.#markerHeader === undefined) this.#settle(receipt)
    else this.#sendMarker(this.#markerHeader, receipt)
  }

  /** @internal Something made it fail: the engine, at any time, or what end() found. */
  failed(error: unknown): void {
    this.#takeBack('failed', error)
    if (this.#state !== 'ending') return
    this.#state = 'failed'
    this.#error = error
    this.#close()
    this.#ended?.reject(error)
  }

  // An entry that the channel's template can write. False: it cannot, nothing was written.
  #addPlain(name: string, data: Body | undefined, options: TemplateFields | undefined): boolean {
    if (this.#queue !== undefined || typeof name !== 'string') return false
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (bytes !== undefined && !isPlain(bytes)) return false
    const size = bytes === undefined ? 0 : bytes.length
    if (options?.size !== undefined && options.size !== size) return false
    const core = this.#core
    if (!core.fitsTemplate(options, this.#second)) return false
    if (core.markerName !== undefined) this.#checkMarker(name)
    this.#smallInARow = size <= MOST_GATHERED ? this.#smallInARow + 1 : 0
    const isGathered =
      this.#smallInARow > LEAST_IN_A_ROW && this.#hasNoFolders && core.gather(name, bytes)
    let headerBytes = BLOCK_BYTES
    if (!isGathered) {
      if (this.#hasNoFolders && name.includes('/')) this.#hasNoFolders = false
      const answer = core.native.add(name, bytes)
      if (answer === -1) return false
      this.#go((answer & 1) as Verdict)
      headerBytes = answer & ~1
    }
    this.#blocks += (headerBytes + size + paddingBytes(size)) / BLOCK_BYTES
    this.#entries++
    core.entries++
    return true
  }

  #go(verdict: Verdict): boolean {
    this.#core.hasRoom = verdict === 0
    return verdict === 0
  }

  #addWithHeader(name: string, data: Body | undefined, options: EntryOptions): boolean {
    const { settings } = this.#core
    checkKnown('add()', options, KNOWN)
    const rule = checkName(name, settings.nameRules)
    if (rule) {
      throw new TarspoutError('ERR_TAR_NAME', `the name ${JSON.stringify(name)} ${rule}`, {
        entry: name,
        field: 'name',
      })
    }
    this.#checkMarker(name)
    this.#hasNoFolders &&= !name.includes('/')
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
    const body = data as Exclude<Body, BodyChunk>
    // Until its turn comes nobody else listens to a stream. One that fails keeps its error;
    // unheard, it would end the process.
    if ('on' in body && typeof body.on === 'function') body.on('error', () => {})
    this.#reading ??= new AbortController()
    const { signal } = this.#reading
    if (options.size === undefined) {
      const fields = { ...options }
      this.#header(name, 0, fields) // what is wrong with them is told now
      this.#claimPath(name)
      return this.#enqueue(async () => {
        const whole = await gather(body, { entry: name, signal })
        signal.throwIfAborted() // the last piece may have come first
        this.#put(this.#header(name, whole.length, fields), whole)
      })
    }
    const header = this.#header(name, options.size, options)
    this.#claimPath(name)
    return this.#enqueue(() => this.#stream(name, header, body, options.size ?? 0, signal))
  }

  #header(name: string, size: number, options: EntryOptions): Uint8Array {
    return headerBlocks(
      headerFields({ mtime: new Date(this.#second * 1000), ...options, name }, size),
    )
  }

  #put(header: Uint8Array, body: Uint8Array | undefined): boolean {
    const size = body?.length ?? 0
    this.#blocks += (header.length + size + paddingBytes(size)) / BLOCK_BYTES
    this.#entries++
    this.#core.entries++
    return this.#go(this.#core.native.addEncoded(header, body))
  }

  // A body of known size goes out piece by piece: from its header on, only the whole archive can
  // fail.
  async #stream(
    name: string,
    header: Uint8Array,
    body: Body,
    size: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { native } = this.#core
    this.#put(header, undefined)
    this.#isInsideBody = size > 0
    let given = 0
    // What completes the body waits for the source's end: cut before it, no reader takes the entry
    // for whole.
    let last: Uint8Array | undefined
    try {
      for await (const piece of pieces(body, { entry: name, signal })) {
        if (signal.aborted) return // the piece may have come first
        given += piece.length
        if (given > size) throw wrongSize({ entry: name }, size, `at least ${given}`)
        if (piece.length === 0) continue
        if (given === size) last = piece
        else if (!this.#go(native.append(piece))) await this.#orFailure(this.#core.room())
      }
      if (signal.aborted) return
      if (given < size) throw wrongSize({ entry: name }, size, String(given))
      const padding = END_OF_ARCHIVE.subarray(0, paddingBytes(size))
      if (last) native.append(last)
      this.#isInsideBody = false
      this.#blocks += (size + padding.length) / BLOCK_BYTES
      if (!this.#go(native.append(padding))) await this.#orFailure(this.#core.room())
    } catch (error) {
      this.#takeBack('failed', error)
    }
  }

  // Behind whatever is being read. A failure of it is told by ready() or end(): nothing of that
  // entry was written.
  #enqueue(work: () => Promise<void>): false {
    const queue = (this.#queue ?? Promise.resolve()).then(async () => {
      if (this.#error !== undefined) return
      try {
        await work()
      } catch (error) {
        this.#entryErrors ??= []
        this.#entryErrors.push(error)
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
    const { markerName } = this.#core
    if (markerName === undefined || !posix.normalize(name).startsWith(markerName)) return
    throw new TarspoutError(
      'ERR_TAR_NAME',
      `the name ${JSON.stringify(name)} must not begin with the marker's, ${JSON.stringify(markerName)}: the reader takes ` +
        'every such entry for the marker; use addMarker()',
      { entry: name, field: 'name' },
    )
  }

  // Pachyderm finds it only when the commit is finished, and then the pipeline is wedged
  // (docs/pachyderm.md section 2).
  #claimPath(name: string): void {
    const { settings } = this.#core
    if (settings.nameRules !== 'pachyderm') return
    const path = posix.normalize(name)
    if (this.#core.native.claimPath(path.endsWith('/') ? path.slice(0, -1) : path)) return
    throw new TarspoutError(
      'ERR_TAR_NAME',
      `the name ${JSON.stringify(name)} must not make a folder of a file, nor a file of a folder, that this commit has`,
      { entry: name, field: 'name' },
    )
  }

  #finish(): void {
    const core = this.#core
    try {
      this.#throwErrors()
      const { markerName, separateMarker } = core
      const marker = this.#marker
      if (marker !== undefined && markerName !== undefined) {
        const header = this.#header(markerName, marker.length, MARKER_OPTIONS)
        if (separateMarker && this.#entries > 0) this.#markerHeader = header
        else this.#put(header, marker)
      }
    } catch (error) {
      this.failed(error)
      return
    }
    this.#state = 'ending'
    core.finish(core.isAlone())
    if (this.#markerHeader === undefined) core.open = undefined
    else if (this.#ended) core.beforeClose(this.#ended.promise)
  }

  // An archive of its own, once the data is delivered: a marker must not get ahead of what it
  // stands for.
  #sendMarker(header: Uint8Array, receipt: Receipt): void {
    const core = this.#core
    core.begin({
      delivered: () => this.#settle(receipt),
      failed: (error) => this.failed(error),
    })
    core.native.addEncoded(header, this.#marker)
    core.finish(false)
  }

  #settle(receipt: Receipt): void {
    this.#state = 'settled'
    this.#close()
    this.#ended?.resolve(receipt)
  }

  // Nothing more will be sent: another commit may begin, and the process need not live for this
  // one.
  #close(): void {
    if (this.#core.open === this) this.#core.open = undefined
    if (this.#ended) this.#core.channel.release()
  }

  // From `open` and `finishing`; later it is too late, or has been done.
  #takeBack(to: 'aborted' | 'failed', error: unknown): void {
    if (this.#state !== 'open' && this.#state !== 'finishing') return
    this.#state = to
    this.#error = error
    this.#core.forget(this.archive)
    this.#core.native.abortOpen(this.#isInsideBody)
    this.#close()
    this.#waits?.fail(error)
    this.#reading?.abort(error)
    this.#ended?.reject(error)
  }

  #orFailure<T>(wait: Promise<T>): Promise<T> {
    this.#waits ??= new Waits()
    return this.#waits.orFailure(wait)
  }

  async #bodiesRead(): Promise<void> {
    while (this.#queue) await this.#orFailure(this.#queue)
  }

  #throwErrors(): void {
    if (this.#error !== undefined) throw this.#error
    if (this.#entryErrors !== undefined && this.#entryErrors.length > 0)
      throw this.#entryErrors.shift()
  }

  #wrongState(call: string): unknown {
    if (this.#core.error) return this.#core.error
    if (this.#state === 'failed' && this.#error !== undefined) return this.#error
    return this.#core.stateError(
      call,
      `commit ${this.archive}, which is ${this.#state}`,
      'an open commit',
    )
  }
}

/** What the channel's template can hold, and what is only checked. */
type TemplateFields = Pick<EntryOptions, 'size' | 'mode' | 'mtime' | 'uid' | 'gid'>

// Whatever else there is needs a header of its own, or is a mistake to be told. A switch, since
// this runs for every entry.
function hasOnlyTemplateFields(fields: object, isEntry: boolean): boolean {
  if (typeof fields !== 'object' || fields === null) return false
  for (const name in fields) {
    switch (name) {
      case 'mode':
      case 'mtime':
      case 'uid':
      case 'gid':
      case 'size':
        break
      case 'name':
      case 'data':
        if (isEntry) break
        return false
      default:
        return false
    }
  }
  return true
}

// Bytes that can be handed over as they are.
function isPlain(data: unknown): data is Uint8Array {
  if (!(data instanceof Uint8Array)) return false
  if (data.length === 0) return !isDetached(data)
  return data.length <= COPIED_BYTES || !(data.buffer instanceof SharedArrayBuffer)
}
