/**
 * Calls `stop` when it is time to end; from then on `isDue`. `interrupted` is whether somebody
 * asked for it.
 */
export class Ending {
  isDue = false
  interrupted = false
  readonly #timer: NodeJS.Timeout | undefined

  constructor(stop: () => void, forMs?: number) {
    const end = () => {
      this.isDue = true
      stop()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        this.interrupted = true
        end()
      })
    }
    this.#timer = forMs === undefined ? undefined : setTimeout(end, forMs)
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}
