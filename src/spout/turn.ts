import { setImmediate as nextTurn } from 'node:timers/promises'

// So long at most shall the event loop wait for a source that never does.
const TURN_MS = 1
const ITEMS_PER_LOOK = 64

/**
 * The current turn of the event loop: how long entries have been added in it, and what is to happen
 * in it only once.
 */
export class Turn {
  #items = 0
  #isWatched = false
  #began: number | undefined // the first look in this turn
  #isClaimed = false
  /** Only to be kept, see core.ts. */
  latest: NodeJS.Immediate | undefined
  /** Whether it has lasted too long. */
  isOver = false

  /** Asked after each item: whether the event loop should have its turn. */
  count(): boolean {
    if (++this.#items % ITEMS_PER_LOOK !== 0) return false
    this.#watch()
    const now = performance.now()
    this.#began ??= now
    if (now - this.#began > TURN_MS) this.isOver = true
    return this.isOver
  }

  /** True the first time in a turn. */
  claim(): boolean {
    if (this.#isClaimed) return false
    this.#watch()
    this.#isClaimed = true
    return true
  }

  /** Gives it its turn. */
  async next(): Promise<void> {
    await nextTurn()
  }

  // The next turn begins anew.
  #watch(): void {
    if (this.#isWatched) return
    this.#isWatched = true
    this.latest = setImmediate(() => {
      this.#isWatched = false
      this.#began = undefined
      this.#isClaimed = false
      this.isOver = false
    })
  }
}
