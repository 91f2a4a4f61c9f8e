import type { NativeChannel } from '../addon.js'
import { abortError } from '../base/abort.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { TarspoutError } from '../base/errors.js'
import { Channel, type ChannelListener } from '../fifo/channel.js'
import type { EntryFields } from '../tar/entry.js'
import { Batch } from './batch.js'
import type { Commit } from './commit.js'
import type { SpoutSettings } from './options.js'
import { Pending } from './pending.js'
import { Turn } from './turn.js'

/** Hears how an archive ended: one of the two, once, also before its end was written. */
export interface ArchiveListener {
  delivered(attempts: number, blockedMs: number, deliveredAt: number): void
  failed(error: Error): void
}

/** The header fields that add() can change in the channel's template. */
export type TemplateOptions = Pick<EntryFields, 'mode' | 'mtime' | 'uid' | 'gid'>

// A microtask without the resource that queueMicrotask() makes for each.
const SETTLED = Promise.resolve()

// V8 drops what it compiled for the objects of a class when a garbage collection finds none of
// them. So one of each is kept: a closed core for the next spout, in each core its latest commit
// for the next one, and an Immediate (turn.ts).
const kept: { core?: SpoutCore } = {}

/**
 * What the commits of one spout share: the channel, the archives on their way, and the wait for
 * room. Numbers archives from 1 on.
 */
export class SpoutCore {
  readonly settings: SpoutSettings
  // What every commit asks for, once more: V8 gives the settings of each spout a hidden class of
  // their own, and compiled code does not outlive that.
  readonly confirmed: 'read' | 'committed'
  readonly markerName: string | undefined
  readonly separateMarker: boolean
  readonly channel: Channel
  /** Whether the last answer of the engine was to go on. */
  hasRoom = true
  readonly turn = new Turn()
  /**
   * Of whom the next commit has to wait: one that can be added to, or that still has a marker to
   * send.
   */
  open: Commit | undefined
  /** Only to be kept, see above. */
  latest: Commit | undefined
  entries = 0
  sourceWaitMs = 0
  /** What ended the spout before its time: an AbortError. */
  error: Error | undefined
  readonly #batch: Batch
  readonly #pending = new Pending<ArchiveListener>()
  readonly #listener: ChannelListener
  readonly #closed = deferred<void>()
  #room: Deferred<void> | undefined
  #handsOver = false
  readonly #handOver = (): void => {
    this.#handsOver = false
    this.channel.native.handOver()
  }
  #beforeClose: Promise<unknown> = Promise.resolve()
  // What the channel's template has.
  #mode = 0o600
  #mtimeMs = Number.NaN // none yet; no integer, which V8 would keep another way than what comes
  #uid = 0
  #gid = 0

  /** @param owner the spout: while anything is pending it is not collected */
  constructor(settings: SpoutSettings, owner: object) {
    this.settings = settings
    this.confirmed = settings.committed ? 'committed' : 'read'
    this.markerName = settings.markerName
    this.separateMarker = settings.separateMarker
    this.#listener = {
      delivered: (archive, attempts, blockedMs, deliveredAt) => {
        this.#pending.take(archive)?.delivered(attempts, blockedMs, deliveredAt)
      },
      failed: (archive, error) => this.#fail(archive, error),
      room: () => this.#giveRoom(),
      closed: () => {
        kept.core = this
        this.#closed.resolve()
        this.#giveRoom()
      },
    }
    this.channel = new Channel(
      {
        path: settings.path,
        raw: false,
        persistent: settings.persistent,
        committed: settings.committed,
        zeroCopy: settings.zeroCopy,
        spill: settings.spill,
        checkNames: settings.nameRules === 'pachyderm',
        retainBytes: settings.retainBytes,
        highWaterMark: settings.highWaterMark,
        pipeSize: settings.pipeSize,
        maxAttempts: settings.maxAttempts,
        readerTimeoutMs: settings.readerTimeoutMs,
      },
      owner,
      this.#listener,
    )
    this.#batch = new Batch(this.channel.native)
  }

  /**
   * The engine's calls, for what comes after the entries that are gathered: those are handed over
   * first.
   */
  get native(): NativeChannel {
    if (!this.#batch.isEmpty) this.hasRoom = this.#batch.flush() === 0
    return this.channel.native
  }

  /**
   * Gathers an entry of the template to hand it over together with others. False: it is none for
   * that.
   */
  gather(name: string, body: Uint8Array | undefined): boolean {
    if (!this.#batch.take(name, body)) return false
    if (this.#batch.isFull) this.hasRoom = this.#batch.flush() === 0
    return true
  }

  /**
   * Whether add() can write an entry with these options from the channel's header template, which
   * is changed to fit: only mode, whole seconds and owners that a plain header holds.
   *
   * @param second the default mtime, in seconds since 1970
   */
  fitsTemplate(options: TemplateOptions | undefined, second: number): boolean {
    let mode = 0o600
    let uid = 0
    let gid = 0
    let mtimeMs = second * 1000
    if (options !== undefined) {
      mode = options.mode ?? mode
      uid = options.uid ?? uid
      gid = options.gid ?? gid
      if (options.mtime !== undefined) {
        if (!(options.mtime instanceof Date)) return false
        mtimeMs = options.mtime.getTime()
      }
    }
    if (mode === this.#mode && mtimeMs === this.#mtimeMs && uid === this.#uid && gid === this.#gid)
      return true
    const mtime = mtimeMs / 1000
    const { isSafeInteger } = Number
    if (!isSafeInteger(mode) || !isSafeInteger(mtime) || !isSafeInteger(uid) || !isSafeInteger(gid))
      return false
    if (!this.native.setTemplate(mode, mtime, uid, gid)) return false
    this.#mode = mode
    this.#mtimeMs = mtimeMs
    this.#uid = uid
    this.#gid = gid
    return true
  }

  /** Begins an archive, and says its number. */
  begin(listener: ArchiveListener): number {
    return this.#pending.add(listener)
  }

  /**
   * Whether nothing stands before the open archive, so that it may be written by end() itself. Once
   * in a turn of the event loop: where many are ended at once, the engine gets them together.
   */
  isAlone(): boolean {
    return this.#pending.size === 1 && this.turn.claim()
  }

  /**
   * Ends the open archive: at once if it {@link isAlone}, else with those that the same piece of
   * code ends.
   */
  finish(isAlone: boolean): void {
    this.hasRoom = this.native.finish(isAlone)
    if (isAlone || this.#handsOver) return
    this.#handsOver = true
    SETTLED.then(this.#handOver)
  }

  /** The open archive was taken back: nobody waits for it. */
  forget(archive: number): void {
    this.#pending.take(archive)
  }

  /** Settles when less than highWaterMark is queued. Rejects with an AbortError. */
  async room(): Promise<void> {
    if (this.error) throw this.error
    if (this.hasRoom) return
    this.#room ??= deferred()
    this.channel.hold()
    try {
      this.native.wantRoom()
      await this.#room.promise
    } finally {
      this.channel.release()
    }
  }

  /** Everything pending fails with an AbortError. */
  abort(reason: unknown): void {
    if (this.error) return
    this.error = abortError(reason)
    this.channel.abort(reason)
    for (const archive of this.#pending.archives()) this.#fail(archive, this.error)
    this.#room?.reject(this.error)
    this.#room = undefined
  }

  /** Keeps the channel open until `work`, which will still send something, has settled. */
  beforeClose(work: Promise<unknown>): void {
    this.#beforeClose = work.catch(() => {})
  }

  /** Settles when everything ended was delivered or has failed, and the write end is closed. */
  async close(lingerMs: number): Promise<void> {
    this.channel.hold()
    try {
      await this.#beforeClose
      this.native.close(lingerMs)
      await this.#closed.promise
    } finally {
      this.channel.release()
    }
  }

  /** The error for a call that the state does not allow. */
  stateError(call: string, state: string, allowed: string): TarspoutError {
    return new TarspoutError('ERR_STATE', `${call}() needs ${allowed}, found ${state}`, {
      path: this.settings.path,
    })
  }

  #fail(archive: number, error: Error): void {
    this.#pending.take(archive)?.failed(error)
  }

  #giveRoom(): void {
    this.hasRoom = true
    this.#room?.resolve()
    this.#room = undefined
  }
}
