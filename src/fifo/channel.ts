import { addon, NativeChannel, REPORT_FIELDS } from '../addon.js'
import { events } from './events.js'
import { FAILURES, type FailureFacts, failureError } from './failure.js'

/**
 * What the engine reports about one channel, already told apart. Called on the event loop, in the
 * engine's order.
 */
export interface ChannelListener {
  /** The write end was opened (raw channels only). */
  opened?(): void
  /** `deliveredAt`: ms since 1970, of when this was heard. */
  delivered(archive: number, attempts: number, blockedMs: number, deliveredAt: number): void
  failed(archive: number, error: Error): void
  /** A raw channel lost its reader or cannot be used: everything pending failed. */
  broken?(error: Error): void
  room(): void
  closed(): void
}

export interface ChannelSettings {
  path: string
  raw: boolean
  persistent: boolean
  committed: boolean
  zeroCopy: boolean
  spill: boolean
  checkNames: boolean
  retainBytes: number
  highWaterMark: number
  pipeSize: number
  maxAttempts: number
  readerTimeoutMs: number
}

// native/engine/messages.h, Report::Kind.
const KIND = {
  opened: 0,
  delivered: 1,
  failed: 2,
  broken: 3,
  room: 4,
  readerLost: 5,
  readerBack: 6,
  foreignWriter: 7,
  replay: 8,
  closed: 9,
}

// About 285 years; the engine counts in nanoseconds of 64 bits.
const LONGEST_MS = 2 ** 43

// Owners of channels with something pending: not collected, although nobody else may hold them.
const busy = new Set<object>()

/**
 * One FIFO's channel into the engine, its reports and its hold on the process: while something is
 * pending the process lives and the owner is not collected; idle, both may go.
 */
export class Channel {
  readonly native: NativeChannel
  readonly path: string
  readonly #settings: ChannelSettings
  readonly #owner: object
  #pending = 0
  #reason: unknown

  /**
   * Opens the channel at once: only checks and a claim, no wait for a reader.
   *
   * @param owner what holds this channel and the listener: dropping it closes the FIFO
   * @param listener hears the reports; held weakly
   * @throws TarspoutError ERR_FIFO_NOT_A_FIFO, ERR_FIFO_BUSY; errors of the system (ENOENT, EACCES,
   * ...)
   */
  constructor(settings: ChannelSettings, owner: object, listener: ChannelListener) {
    this.path = settings.path
    this.#settings = settings
    this.#owner = owner
    const weak = new WeakRef(listener)
    const weakThis = new WeakRef(this)
    const opened = addon.openChannel(
      settings.path,
      [
        settings.retainBytes,
        settings.highWaterMark,
        settings.pipeSize,
        settings.maxAttempts,
        settings.readerTimeoutMs <= LONGEST_MS ? Math.ceil(settings.readerTimeoutMs) : -1,
      ],
      [
        settings.raw,
        settings.persistent,
        settings.committed,
        settings.zeroCopy,
        settings.spill,
        settings.checkNames,
      ],
      (reports) => {
        const channel = weakThis.deref()
        const hearer = weak.deref()
        if (channel && hearer) channel.#report(reports, hearer)
      },
    )
    if (Array.isArray(opened)) {
      throw failureError(FAILURES[opened[0]] ?? 'system', { ...this.#facts(), errno: opened[1] })
    }
    this.native = new NativeChannel(opened)
  }

  /** Something is pending from here on. */
  hold(): void {
    if (this.#pending++ === 0) {
      this.native.keepAlive(true)
      busy.add(this.#owner)
    }
  }

  /** One thing less is pending. */
  release(): void {
    if (--this.#pending === 0) {
      this.native.keepAlive(false)
      busy.delete(this.#owner)
    }
  }

  /** Everything pending fails with an AbortError, the write end is closed at once. */
  abort(reason: unknown): void {
    this.#reason = reason
    this.native.abortAll()
  }

  #facts(): FailureFacts {
    const { path, readerTimeoutMs, retainBytes } = this.#settings
    return { path, readerTimeoutMs, retainBytes, reason: this.#reason }
  }

  #report(reports: Float64Array, listener: ChannelListener): void {
    const { path } = this
    const now = Date.now()
    for (let i = 0; i < reports.length; i += REPORT_FIELDS) {
      const archive = reports[i + 2] as number
      const attempts = reports[i + 3] as number
      switch (reports[i]) {
        case KIND.delivered: {
          const blockedMs = reports[i + 5] as number
          if (events.delivered.hasSubscribers)
            events.delivered.publish({ path, archive, attempts, blockedMs })
          listener.delivered(archive, attempts, blockedMs, now)
          break
        }
        case KIND.failed: {
          const error = this.#error(reports, i)
          if (events.failed.hasSubscribers) events.failed.publish({ path, archive, error })
          listener.failed(archive, error)
          break
        }
        case KIND.broken:
          listener.broken?.(this.#error(reports, i))
          break
        case KIND.room:
          listener.room()
          break
        case KIND.opened:
          events.opened.publish({ path })
          listener.opened?.()
          break
        case KIND.readerLost:
          events.readerLost.publish({ path })
          break
        case KIND.readerBack:
          events.readerBack.publish({ path })
          break
        case KIND.foreignWriter:
          events.foreignWriter.publish({ path })
          break
        case KIND.replay:
          events.replayed.publish({ path, archive, attempts })
          break
        case KIND.closed:
          listener.closed()
          break
      }
    }
  }

  #error(reports: Float64Array, i: number): Error {
    return failureError(FAILURES[reports[i + 1] as number] ?? 'system', {
      ...this.#facts(),
      attempts: reports[i + 3] as number,
      errno: reports[i + 4] as number,
    })
  }
}
