// Fewer are not worth cutting off those who wait no more, which moves the others.
const LEAST_CUT = 256

/**
 * Who waits for which archive. They are numbered from 1 on as they are added, and mostly taken in
 * that order, which a Map takes three times as long for.
 */
export class Pending<Listener> {
  #listeners: (Listener | undefined)[] = []
  #first = 1 // the archive of the first of them
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Answers with its number. */
  add(listener: Listener): number {
    this.#size++
    return this.#first + this.#listeners.push(listener) - 1
  }

  /** Who waited for it; undefined if nobody does any more. */
  take(archive: number): Listener | undefined {
    const at = archive - this.#first
    const listener = this.#listeners[at]
    if (listener === undefined) return undefined
    this.#listeners[at] = undefined
    this.#size--
    const { length } = this.#listeners
    if (length > LEAST_CUT && this.#size < length / 2) this.#cut()
    return listener
  }

  // Those before the first who waits.
  #cut(): void {
    const found = this.#listeners.findIndex((listener) => listener !== undefined)
    const gone = found < 0 ? this.#listeners.length : found
    this.#listeners.splice(0, gone)
    this.#first += gone
  }

  /** The archives that someone waits for, in order. */
  archives(): number[] {
    return this.#listeners.flatMap((listener, i) => (listener === undefined ? [] : this.#first + i))
  }
}
