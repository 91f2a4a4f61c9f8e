import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** The lines a process prints, to be waited for. */
export class Lines {
  /** Every line so far. */
  readonly all: string[] = []
  readonly #wakers = new Set<() => void>()
  #taken = 0
  #over = false

  constructor(output: Readable | null) {
    if (!output) throw new Error('no output')
    createInterface({ input: output })
      .on('line', (line) => {
        this.all.push(line)
        this.#wake()
      })
      .on('close', () => {
        this.#over = true
        this.#wake()
      })
  }

  #wake() {
    for (const waker of this.#wakers) waker()
    this.#wakers.clear()
  }

  /**
   * The next line that begins so; lines before it are passed over. Fails if the output ends first.
   */
  async next(beginning: string): Promise<string> {
    for (;;) {
      while (this.#taken < this.all.length) {
        const line = this.all[this.#taken++] ?? ''
        if (line.startsWith(beginning)) return line
      }
      if (this.#over)
        throw new Error(`the process ended before "${beginning}": ${this.all.join(', ')}`)
      await new Promise<void>((resolve) => this.#wakers.add(resolve))
    }
  }
}
