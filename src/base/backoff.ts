import { setTimeout as delay } from 'node:timers/promises'

const FIRST_MS = 500
const FACTOR = 1.5
const MAX_MS = 15_000

/**
 * Pachyderm's pauses between attempts: 0.5 s, half as much again each time up to 15 s, give or take
 * a half.
 */
export class Backoff {
  #nextMs = FIRST_MS

  /** How long to pause now, in milliseconds. */
  next(): number {
    const ms = this.#nextMs * (0.5 + Math.random())
    this.#nextMs = Math.min(this.#nextMs * FACTOR, MAX_MS)
    return ms
  }

  /** Pauses; ends early, without an error, when `signal` is aborted. */
  async pause(signal: AbortSignal): Promise<void> {
    await delay(this.next(), undefined, { signal }).catch(() => {})
  }

  reset(): void {
    this.#nextMs = FIRST_MS
  }
}
