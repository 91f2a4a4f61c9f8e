import { setImmediate as nextTurn } from 'node:timers/promises'
import { checkCount, checkKnown, checkMs, describe } from '../fifo/options.js'
import type { Body } from '../tar/entry.js'
import type { Commit, EntryOptions } from './commit.js'
import type { SpoutCore } from './core.js'
import type { Receipt } from './receipt.js'
import type { Spout } from './spout.js'

/** What toEntry() makes of an item: add()'s arguments. */
export interface RunEntry extends EntryOptions {
  name: string
  data?: Body | undefined
}

/**
 * How a source becomes archives. Whatever ends a run, exactly the items of delivered archives were given to onDelivered:
 *
 * | what happens | the open archive | those in flight | run() |
 * |---|---|---|---|
 * | the source ends | is sent | are awaited, acknowledged | settles |
 * | the source or toEntry() throws | is sent | are awaited, acknowledged | rejects with it, after that |
 * | an entry is refused, without onRejected | is sent | are awaited, acknowledged | rejects with it, after that |
 * | an archive fails | is aborted | go on, unacknowledged | rejects with it at once |
 * | onDelivered() throws | is aborted | go on, unacknowledged | rejects with it at once |
 * | the spout's signal aborts | is aborted | are dropped | rejects with an AbortError at once |
 */
export interface RunOptions<T> {
  /** The entry of an item. null: nothing to write; the item is acknowledged with its archive. */
  toEntry: (item: T) => RunEntry | null
  /** Hears of an item whose entry was refused (name, size, body); it is not acknowledged. Without it run() rejects. */
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
  /** Items given to onDelivered. */
  items: number
}

const KNOWN = ['toEntry', 'onRejected', 'onDelivered', 'maxEntries', 'maxBytes', 'maxDelayMs']
// A source that never waits must not keep the event loop for longer.
const TURN_MS = 2
const ITEMS_PER_LOOK = 64
// Archives that were ended and are not yet acknowledged: a slow onDelivered() holds up the source.
const MOST_UNACKNOWLEDGED = 1024

/** @internal Spout.run(). */
export function runSource<T>(
  spout: Spout,
  core: SpoutCore,
  source: Iterable<T> | AsyncIterable<T>,
  options: RunOptions<T>,
): Promise<RunSummary> {
  checkKnown('run()', options, KNOWN)
  if (typeof options?.toEntry !== 'function') {
    throw new TypeError(`toEntry must be a function, found ${describe(options?.toEntry)}`)
  }
  if (
    source === null ||
    typeof source !== 'object' ||
    !(Symbol.asyncIterator in source || Symbol.iterator in source)
  ) {
    throw new TypeError(`source must be an iterable or async iterable, found ${describe(source)}`)
  }
  return new Run(spout, core, source, options).start()
}

class Run<T> {
  readonly #spout: Spout
  readonly #core: SpoutCore
  readonly #source: Iterable<T> | AsyncIterable<T>
  readonly #options: RunOptions<T>
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #maxDelayMs: number
  readonly #summary: RunSummary = { archives: 0, entries: 0, bytes: 0, items: 0 }
  #commit: Commit | undefined // the open archive; undefined while its items had nothing to write
  #items: T[] = [] // of the open archive
  #timer: NodeJS.Timeout | undefined
  #acknowledged: Promise<void> = Promise.resolve() // everything ended so far
  #unacknowledged = 0
  #onAcknowledged: (() => void) | undefined
  #isStopped = false
  #stop: (error: unknown) => void = () => {}

  constructor(spout: Spout, core: SpoutCore, source: Iterable<T> | AsyncIterable<T>, options: RunOptions<T>) {
    this.#spout = spout
    this.#core = core
    this.#source = source
    this.#options = options
    this.#maxEntries = checkCount('maxEntries', options.maxEntries, 1000)
    this.#maxBytes = checkCount('maxBytes', options.maxBytes, 8 << 20)
    this.#maxDelayMs = checkMs('maxDelayMs', options.maxDelayMs, 200)
  }

  async start(): Promise<RunSummary> {
    const stopped = new Promise<never>((_, reject) => {
      this.#stop = (error) => {
        this.#isStopped = true
        reject(error)
      }
    })
    const { signal } = this.#core.settings
    const onAbort = (): void => this.#stop(this.#core.error)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#core.channel.hold()
    try {
      // Whichever comes first: a source that does not answer holds nothing up.
      return await Promise.race([this.#pull(), stopped])
    } finally {
      this.#isStopped = true
      clearTimeout(this.#timer)
      this.#commit?.abort()
      signal?.removeEventListener('abort', onAbort)
      this.#core.channel.release()
    }
  }

  async #pull(): Promise<RunSummary> {
    let failure: { error: unknown } | undefined
    try {
      if (Symbol.asyncIterator in this.#source) await this.#pullAsync(this.#source[Symbol.asyncIterator]())
      else await this.#pullSync(this.#source[Symbol.iterator]())
    } catch (error) {
      failure = { error }
    }
    this.#endArchive()
    await this.#acknowledged
    if (failure) throw failure.error
    return this.#summary
  }

  async #pullSync(iterator: Iterator<T>): Promise<void> {
    let turnBegan = performance.now()
    let count = 0
    let isDone = false
    try {
      while (!this.#isStopped) {
        const step = iterator.next()
        if (step.done) {
          isDone = true
          return
        }
        if (!this.#take(step.value)) await this.#ready()
        if (++count % ITEMS_PER_LOOK === 0 && performance.now() - turnBegan > TURN_MS) {
          await nextTurn()
          turnBegan = performance.now()
        }
      }
    } finally {
      if (!isDone) iterator.return?.()
    }
  }

  async #pullAsync(iterator: AsyncIterator<T>): Promise<void> {
    let turnBegan = performance.now()
    let count = 0
    let isAnswering = true
    try {
      while (!this.#isStopped) {
        isAnswering = false
        const asked = performance.now()
        const step = await iterator.next()
        isAnswering = true
        this.#core.sourceWaitMs += performance.now() - asked
        if (step.done || this.#isStopped) {
          isAnswering = !step.done
          return
        }
        if (!this.#take(step.value)) await this.#ready()
        if (++count % ITEMS_PER_LOOK === 0 && performance.now() - turnBegan > TURN_MS) {
          await nextTurn()
          turnBegan = performance.now()
        }
      }
    } finally {
      // Not awaited: a source that hangs would hang us. One that has not answered, or has ended, is not asked at all.
      if (isAnswering) iterator.return?.()?.then(undefined, () => {})
    }
  }

  // False: ready() must be awaited.
  #take(item: T): boolean {
    const entry = this.#options.toEntry(item)
    let goOn = true
    if (entry !== null) {
      this.#commit ??= this.#spout.beginCommit()
      try {
        const { name, data, ...fields } = entry
        goOn = this.#commit.add(name, data, hasAny(fields) ? fields : undefined)
      } catch (error) {
        if (!this.#options.onRejected || this.#isStopped) throw error
        this.#options.onRejected(item, error)
        return true
      }
    }
    this.#items.push(item)
    if (this.#items.length >= this.#maxEntries || (this.#commit?.bytes ?? 0) >= this.#maxBytes) {
      this.#endArchive()
      return this.#core.hasRoom && this.#unacknowledged < MOST_UNACKNOWLEDGED
    }
    if (this.#items.length === 1) this.#timer = setTimeout(() => this.#endArchive(), this.#maxDelayMs)
    return goOn
  }

  async #ready(): Promise<void> {
    const commit = this.#commit
    if (commit) {
      try {
        await commit.ready()
      } catch (error) {
        // The entry just added was an iterable that failed.
        const item = this.#items.pop() as T
        if (!this.#options.onRejected || this.#isStopped || this.#core.error) throw error
        this.#options.onRejected(item, error)
      }
    } else {
      await this.#core.room()
    }
    while (this.#unacknowledged >= MOST_UNACKNOWLEDGED && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#onAcknowledged = resolve
      })
    }
  }

  #endArchive(): void {
    clearTimeout(this.#timer)
    const items = this.#items
    const commit = this.#commit
    this.#items = []
    this.#commit = undefined
    if (this.#isStopped || items.length === 0) {
      commit?.abort()
      return
    }
    const receipt = commit ? commit.end() : nothingSent(this.#core)
    this.#unacknowledged++
    const before = this.#acknowledged
    this.#acknowledged = this.#acknowledge(before, receipt, items)
    this.#acknowledged.catch((error) => this.#stop(error))
  }

  async #acknowledge(before: Promise<void>, receipt: Promise<Receipt> | Receipt, items: T[]): Promise<void> {
    const settled = await Promise.resolve(receipt).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    await before
    if ('error' in settled) throw settled.error
    if (this.#isStopped) return
    await this.#options.onDelivered?.(items, settled.value)
    this.#summary.archives += settled.value.archive === 0 ? 0 : 1
    this.#summary.entries += settled.value.entries
    this.#summary.bytes += settled.value.bytes
    this.#summary.items += items.length
    this.#unacknowledged--
    this.#onAcknowledged?.()
  }
}

function hasAny(fields: object): boolean {
  for (const _ in fields) return true
  return false
}

function nothingSent(core: SpoutCore): Receipt {
  return {
    archive: 0,
    entries: 0,
    bytes: 0,
    attempts: 0,
    confirmed: core.settings.committed ? 'committed' : 'read',
    deliveredAt: Date.now(),
    blockedMs: 0,
  }
}
