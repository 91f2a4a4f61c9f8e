import { deferred } from '../base/deferred.js'
import { checkCount, checkKnown, checkMs, describe } from '../fifo/options.js'
import { Commit, type RunEntry } from './commit.js'
import type { SpoutCore } from './core.js'
import type { Receipt } from './receipt.js'
import { Waits } from './waits.js'

/**
 * How a source becomes archives. Whatever ends a run, exactly the items of delivered archives were
 * given to onDelivered:
 *
 * | what happens | the open archive | those in flight | run() |
 * |---|---|---|---|
 * | the source ends | is sent | are awaited, acknowledged | settles |
 * | the source or toEntry() throws | is sent | are awaited, acknowledged | rejects with it, after that |
 * | an entry is refused, without onRejected | is sent | are awaited, acknowledged | rejects with it, after that |
 * | an archive fails | is aborted | go on, unacknowledged | rejects with it at once |
 * | onDelivered() throws | is aborted | go on, unacknowledged | rejects with it at once |
 * | the spout is closed | is aborted | go on, unacknowledged | rejects with ERR_STATE at once |
 * | the spout's signal aborts | is aborted | are dropped | rejects with an AbortError at once |
 *
 * The source is told to stop (its `return()`) unless it ended or owes an answer; neither is waited
 * for.
 */
export interface RunOptions<T> {
  /** The entry of an item. null: nothing to write; the item is acknowledged with its archive. */
  toEntry: (item: T) => RunEntry | null
  /**
   * Hears of an item whose entry was refused (name, size, body); it is not acknowledged. Without it
   * run() rejects.
   */
  onRejected?: ((item: T, error: unknown) => void) | undefined
  /** Acknowledges: called once per archive, in order, each awaited before the next. */
  onDelivered?: ((items: T[], receipt: Receipt) => unknown) | undefined
  /** Items after which an archive ends. Default 1000. */
  maxEntries?: number | undefined
  /** Bytes after which it ends. Default 8 MiB. */
  maxBytes?: number | undefined
  /** Milliseconds after its first item when it ends. Default 200. */
  maxDelayMs?: number | undefined
}

/** What a run did. */
export interface RunSummary {
  /** Archives delivered and acknowledged, and what they held. */
  archives: number
  entries: number
  bytes: number
  /** Items acknowledged: given to onDelivered, if there is one. */
  items: number
}

const KNOWN = ['toEntry', 'onRejected', 'onDelivered', 'maxEntries', 'maxBytes', 'maxDelayMs']
const LONGEST_TIMER_MS = 2 ** 31 - 1
// Archives that were ended and are not yet acknowledged: a slow onDelivered() holds up the source.
const MOST_UNACKNOWLEDGED = 1024

/** @internal What a run needs of its spout. */
export interface RunHost {
  core: SpoutCore
  /** How to end the run from outside; undefined once it is over. */
  onStop(stop: ((error: unknown) => void) | undefined): void
}

/** @internal Spout.run(). */
export function runSource<T>(
  host: RunHost,
  source: Iterable<T> | AsyncIterable<T>,
  options: RunOptions<T>,
): Promise<RunSummary> {
  checkKnown('run()', options, KNOWN)
  for (const name of ['toEntry', 'onRejected', 'onDelivered'] as const) {
    const value: unknown = options?.[name]
    if (typeof value !== 'function' && (name === 'toEntry' || value !== undefined)) {
      throw new TypeError(`${name} must be a function, found ${describe(value)}`)
    }
  }
  if (
    source === null ||
    typeof source !== 'object' ||
    !(Symbol.asyncIterator in source || Symbol.iterator in source)
  ) {
    throw new TypeError(`source must be an iterable or async iterable, found ${describe(source)}`)
  }
  return new Run(host, source, options).start()
}

/**
 * How long a source is waited for, into sourceWaitMs. The clock is looked at only once nothing else
 * is left to run, which the next tick tells (it comes when the microtasks are done): a source that
 * answers at once costs none of it.
 */
class SourceClock {
  readonly #core: SpoutCore
  #isAsked = false
  #isTickDue = false
  #waitsSince: number | undefined
  readonly #onTick = (): void => {
    this.#isTickDue = false
    if (this.#isAsked) this.#waitsSince = performance.now()
  }

  constructor(core: SpoutCore) {
    this.#core = core
  }

  asked(): void {
    this.#isAsked = true
    if (this.#isTickDue) return
    this.#isTickDue = true
    process.nextTick(this.#onTick)
  }

  answered(): void {
    this.#isAsked = false
    if (this.#waitsSince === undefined) return
    this.#core.sourceWaitMs += performance.now() - this.#waitsSince
    this.#waitsSince = undefined
  }
}

/** An archive that was ended and is not yet acknowledged. */
interface Ended<T> {
  receipt: Promise<Receipt> | Receipt
  count: number
  items: T[]
}

class Run<T> {
  readonly #host: RunHost
  readonly #core: SpoutCore
  readonly #source: Iterable<T> | AsyncIterable<T>
  readonly #options: RunOptions<T>
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #maxDelayMs: number
  readonly #summary: RunSummary = { archives: 0, entries: 0, bytes: 0, items: 0 }
  #commit: Commit | undefined // the open archive; undefined while its items had nothing to write
  #count = 0 // items of the open archive
  #items: T[] = [] // those items, if onDelivered() is to have them
  #timer: NodeJS.Timeout | undefined // of the last archive that was begun
  #isOverdue = false // the timer came while a body was read: the archive ends after that
  readonly #unacknowledged: Ended<T>[] = [] // archives that were ended, in order
  #acknowledging: Promise<void> | undefined // all of those
  #onAcknowledged: (() => void) | undefined
  #isStopped = false
  readonly #waits = new Waits() // of the puller
  readonly #stopped = deferred<never>()

  constructor(host: RunHost, source: Iterable<T> | AsyncIterable<T>, options: RunOptions<T>) {
    this.#host = host
    this.#core = host.core
    this.#source = source
    this.#options = options
    this.#maxEntries = checkCount('maxEntries', options.maxEntries, 1000)
    this.#maxBytes = checkCount('maxBytes', options.maxBytes, 8 << 20)
    this.#maxDelayMs = checkMs('maxDelayMs', options.maxDelayMs, 200)
    this.#stopped.promise.catch(ignore)
  }

  async start(): Promise<RunSummary> {
    this.#host.onStop((error) => this.#stop(error))
    this.#core.channel.hold()
    try {
      // Whichever comes first: a source that does not answer holds nothing up.
      return await Promise.race([this.#pull(), this.#stopped.promise])
    } finally {
      this.#stop(undefined)
      this.#host.onStop(undefined)
      clearTimeout(this.#timer)
      this.#commit?.abort()
      this.#core.channel.release()
    }
  }

  #stop(error: unknown): void {
    this.#isStopped = true
    this.#stopped.reject(error)
    this.#waits.fail(error)
  }

  async #pull(): Promise<RunSummary> {
    let failure: { error: unknown } | undefined
    try {
      if (Symbol.asyncIterator in this.#source)
        await this.#pullAsync(this.#source[Symbol.asyncIterator]())
      else await this.#pullSync(this.#source[Symbol.iterator]())
    } catch (error) {
      failure = { error }
    }
    this.#endArchive()
    await this.#acknowledging
    if (failure) throw failure.error
    return this.#summary
  }

  async #pullSync(iterator: Iterator<T>): Promise<void> {
    const { turn } = this.#core
    let goesOn = false
    try {
      while (!this.#isStopped) {
        goesOn = false
        const step = iterator.next()
        if (step.done) return
        goesOn = true
        if (!this.#take(step.value)) await this.#ready(step.value)
        if (turn.count()) await turn.next()
      }
    } finally {
      if (goesOn) stopSource(iterator)
    }
  }

  async #pullAsync(iterator: AsyncIterator<T>): Promise<void> {
    const { turn } = this.#core
    const clock = new SourceClock(this.#core)
    let goesOn = false
    try {
      while (!this.#isStopped) {
        goesOn = false
        clock.asked()
        const step = await iterator.next()
        clock.answered()
        if (step.done) return
        goesOn = true
        if (this.#isStopped) return
        if (!this.#take(step.value)) await this.#ready(step.value)
        if (turn.count()) await turn.next()
      }
    } finally {
      if (goesOn) stopSource(iterator)
    }
  }

  // False: ready() must be awaited.
  #take(item: T): boolean {
    const entry = this.#options.toEntry(item)
    if (this.#isStopped) return false
    let goesOn = true
    if (entry !== null) {
      this.#commit ??= new Commit(this.#core)
      try {
        goesOn = this.#commit.addEntry(entry)
      } catch (error) {
        this.#reject(item, error)
        return true
      }
    }
    if (this.#options.onDelivered) this.#items.push(item)
    if (++this.#count === 1) this.#startTimer()
    if (this.#commit?.isReading) return false
    if (this.#isFull()) {
      this.#endArchive()
      return this.#core.hasRoom && this.#unacknowledged.length < MOST_UNACKNOWLEDGED
    }
    return goesOn
  }

  // The entry of an item was refused; or, if its archive is over, it is not about the entry.
  #reject(item: T, error: unknown): void {
    if (!this.#options.onRejected || this.#isStopped || this.#commit?.isOver) throw error
    this.#options.onRejected(item, error)
  }

  #isFull(): boolean {
    return this.#count >= this.#maxEntries || (this.#commit?.bytes ?? 0) >= this.#maxBytes
  }

  // One timer for all archives: each begins it anew, and none ends it.
  #startTimer(): void {
    if (this.#maxDelayMs > LONGEST_TIMER_MS) return
    if (this.#timer) {
      this.#timer.refresh()
      return
    }
    this.#timer = setTimeout(() => {
      // While the last item's body is read nobody knows whether it is in the archive.
      if (this.#commit?.isReading) this.#isOverdue = true
      else if (this.#count > 0) this.#endArchive()
    }, this.#maxDelayMs)
  }

  // `item`: what was taken last.
  async #ready(item: T): Promise<void> {
    const commit = this.#commit
    if (commit?.isReading) {
      try {
        await commit.ready()
      } catch (error) {
        // Its archive was ended while it waited for room, and failed then.
        if (this.#commit !== commit) throw error
        this.#count--
        this.#items.pop()
        this.#reject(item, error)
      }
      // Unless it was ended while it waited for room.
      if (this.#commit === commit && (this.#isFull() || this.#isOverdue)) this.#endArchive()
    } else if (commit) {
      await commit.ready()
    } else {
      await this.#waits.orFailure(this.#core.room())
    }
    while (this.#unacknowledged.length >= MOST_UNACKNOWLEDGED) {
      const acknowledged = new Promise<void>((resolve) => {
        this.#onAcknowledged = resolve
      })
      await this.#waits.orFailure(acknowledged)
    }
  }

  #endArchive(): void {
    this.#isOverdue = false
    const count = this.#count
    const items = this.#items
    const commit = this.#commit
    this.#count = 0
    this.#items = []
    this.#commit = undefined
    const hasEntries = commit !== undefined && commit.entries > 0
    if (this.#isStopped || count === 0 || !hasEntries) commit?.abort()
    if (this.#isStopped || count === 0) return
    const receipt = hasEntries ? commit.end() : nothingSent(this.#core)
    if (receipt instanceof Promise) receipt.catch(ignore) // until its turn nobody listens
    this.#unacknowledged.push({ receipt, count, items })
    if (this.#acknowledging) return
    this.#acknowledging = this.#acknowledge()
    this.#acknowledging.catch((error) => this.#stop(error))
  }

  async #acknowledge(): Promise<void> {
    for (let next = this.#unacknowledged[0]; next !== undefined; next = this.#unacknowledged[0]) {
      const { count, items } = next
      const receipt = await next.receipt
      if (this.#isStopped) return
      await this.#options.onDelivered?.(items, receipt)
      this.#summary.archives += receipt.archive === 0 ? 0 : 1
      this.#summary.entries += receipt.entries
      this.#summary.bytes += receipt.bytes
      this.#summary.items += count
      this.#unacknowledged.shift()
      this.#onAcknowledged?.()
    }
    this.#acknowledging = undefined
  }
}

// Not awaited: a source that hangs would hang us. What it says to that is not what the run ended
// with.
function stopSource(iterator: Iterator<unknown> | AsyncIterator<unknown>): void {
  try {
    Promise.resolve(iterator.return?.()).catch(ignore)
  } catch {}
}

function ignore(): void {}

function nothingSent(core: SpoutCore): Receipt {
  return {
    archive: 0,
    entries: 0,
    bytes: 0,
    attempts: 0,
    confirmed: core.confirmed,
    deliveredAt: Date.now(),
    blockedMs: 0,
  }
}
