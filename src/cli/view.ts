import type { ProcessorEvent } from '../pachyderm/processor.js'
import type { RunnerEvent } from '../pachyderm/runner.js'
import { formatBytes, formatCount, formatEvent } from './report.js'

const REFRESH_MS = 100
const WINDOW_MS = 2000

/** Shows the events of a run. */
export interface View {
  show(pipeline: string, event: RunnerEvent | ProcessorEvent): void
  close(): void
}

/** One JSON object a line. */
export class JsonView implements View {
  show(pipeline: string, event: RunnerEvent | ProcessorEvent): void {
    console.log(JSON.stringify({ pipeline, ...event }))
  }

  close(): void {}
}

/** One line an event, each with the pipeline's name before it. */
export class PlainView implements View {
  show(pipeline: string, event: RunnerEvent | ProcessorEvent): void {
    const line = `${pipeline}${event.event === 'output' ? ' |' : ':'} ${formatEvent(event)}`
    if (event.event === 'failure') console.error(line)
    else console.log(line)
  }

  close(): void {}
}

/** On a terminal: one status line that is kept up to date, and a line for each event but commits. */
export class LiveView implements View {
  readonly #plain = new PlainView()
  readonly #timer: NodeJS.Timeout
  readonly #recent: { at: number; entries: number; bytes: number }[] = []
  #commits = 0
  #entries = 0
  #bytes = 0
  #failures = 0
  #restarts = 0
  #jobs = 0
  #last = performance.now()

  constructor() {
    this.#timer = setInterval(() => this.#draw(), REFRESH_MS)
    this.#timer.unref()
  }

  show(pipeline: string, event: RunnerEvent | ProcessorEvent): void {
    if (event.event === 'commit') {
      this.#last = performance.now()
      this.#commits++
      this.#entries += event.entries
      this.#bytes += event.bytes
      this.#recent.push({ at: this.#last, entries: event.entries, bytes: event.bytes })
      return
    }
    if (event.event === 'job') {
      this.#jobs++
      return
    }
    if (event.event === 'failure') this.#failures++
    if (event.event === 'exit' && event.restarts) this.#restarts++
    process.stdout.write('\r\x1b[K')
    this.#plain.show(pipeline, event)
    this.#draw()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#draw()
    process.stdout.write('\n')
  }

  #draw(): void {
    const now = performance.now()
    while (this.#recent[0] !== undefined && this.#recent[0].at < now - WINDOW_MS) this.#recent.shift()
    const rate = (what: 'entries' | 'bytes') =>
      (this.#recent.reduce((sum, each) => sum + each[what], 0) * 1000) / WINDOW_MS
    const facts = [
      formatCount(this.#commits, 'commit'),
      formatCount(this.#entries, 'entry', 'entries'),
      `${Math.round(rate('entries')).toLocaleString('en-US')} entries/s`,
      `${formatBytes(rate('bytes'))}/s`,
      `${formatBytes(this.#bytes)} in all`,
    ]
    if (now - this.#last > 5000) facts.push(`waiting for ${Math.round((now - this.#last) / 1000)} s`)
    if (this.#jobs > 0) facts.push(formatCount(this.#jobs, 'job'))
    if (this.#restarts > 0) facts.push(formatCount(this.#restarts, 'restart'))
    if (this.#failures > 0) facts.push(`${this.#failures} not committed`)
    const width = (process.stdout.columns || 80) - 1
    process.stdout.write(`\r\x1b[K${facts.join(' · ').slice(0, width)}`)
  }
}
