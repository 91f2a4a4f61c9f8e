/** Calls `stop` when it is time to end; `interrupted` is whether somebody asked for it. */
export class Ending {
  interrupted = false
  readonly #timer: NodeJS.Timeout | undefined

  constructor(stop: () => void, forMs?: number) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        this.interrupted = true
        stop()
      })
    }
    this.#timer = forMs === undefined ? undefined : setTimeout(stop, forMs)
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}
