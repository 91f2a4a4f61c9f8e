/**
 * Waits that end early when what they wait for cannot come any more. A wait that is over leaves
 * nothing behind.
 */
export class Waits {
  readonly #rejects = new Set<(error: unknown) => void>()
  #failure: { error: unknown } | undefined

  /** Settles as `wait` does, or rejects with what {@link fail} is told, whichever comes first. */
  orFailure<T>(wait: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure) reject(this.#failure.error)
      this.#rejects.add(reject)
      wait.then(resolve, reject).finally(() => this.#rejects.delete(reject))
    })
  }

  /** Ends all waits, the coming ones too. Later calls do nothing. */
  fail(error: unknown): void {
    if (this.#failure) return
    this.#failure = { error }
    for (const reject of this.#rejects) reject(error)
    this.#rejects.clear()
  }
}
