import { setImmediate as nextTurn } from 'node:timers/promises'

// So long at most shall the event loop wait for a source that never does.
const TURN_MS = 2
const ITEMS_PER_LOOK = 64

/** The current turn of the event loop: how long entries have been added in it. */
export class Turn {
  #items = 0
  #began: number | undefined // the first look in this turn
  /** Whether it has lasted too long. */
  isOver = false

  /** Asked after each item: whether the event loop should have its turn. */
  count(): boolean {
    if (++this.#items % ITEMS_PER_LOOK !== 0) return false
    const now = performance.now()
    if (this.#began === undefined) {
      this.#began = now
      setImmediate(() => {
        this.#began = undefined
        this.isOver = false
      })
    } else if (now - this.#began > TURN_MS) this.isOver = true
    return this.isOver
  }

  /** Gives it its turn. */
  async next(): Promise<void> {
    await nextTurn()
  }
}
