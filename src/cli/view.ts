import type { ReceiverProgress } from '../receiver/receiver.js'
import type { ProcessorEvent } from '../runner/processor.js'
import type { RunnerEvent } from '../runner/runner.js'
import { formatBytes, formatCount, formatEvent } from './report.js'

const REFRESH_MS = 100
const WINDOW_MS = 2000
const STALL_MS = 1000
const BAR = 8

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

interface Sample {
  readonly at: number
  readonly entries: number
  readonly bytes: number
  readonly waitedMs: number
  /** Share of the pipe's capacity. */
  readonly full: number
}

/**
 * On a terminal: one status line that is kept up to date, and a line for each event but commits.
 */
export class LiveView implements View {
  readonly #plain = new PlainView()
  readonly #progress: () => ReceiverProgress | undefined
  readonly #timer: NodeJS.Timeout
  #samples: Sample[] = []
  #commits = 0
  #entries = 0
  #bytes = 0
  #failures = 0
  #restarts = 0
  #jobs = 0
  #stalls = 0
  #isStalled = false
  // Characters of the line that is shown.
  #drawn = 0

  /** @param progress of the spout's receiver, while it is running */
  constructor(progress: () => ReceiverProgress | undefined) {
    this.#progress = progress
    this.#timer = setInterval(() => this.#draw(), REFRESH_MS)
    this.#timer.unref()
    process.stdout.on('resize', this.#fit)
  }

  show(pipeline: string, event: RunnerEvent | ProcessorEvent): void {
    if (event.event === 'commit') {
      this.#commits++
      this.#entries += event.entries
      this.#bytes += event.bytes
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
    process.stdout.off('resize', this.#fit)
    this.#draw()
    process.stdout.write('\n')
  }

  #draw(): void {
    const width = (process.stdout.columns || 80) - 1
    let line = ''
    for (const fact of this.#facts()) {
      const longer = line === '' ? fact : `${line} · ${fact}`
      if (longer.length > width) break
      line = longer
    }
    process.stdout.write(`\r\x1b[K${line}`)
    this.#drawn = line.length
  }

  /** A terminal that became narrower has wrapped the line: all its rows are cleared. */
  readonly #fit = (): void => {
    const wrapped = Math.ceil(this.#drawn / (process.stdout.columns || 80)) - 1
    if (wrapped > 0) process.stdout.write(`\x1b[${wrapped}A\r\x1b[J`)
    this.#draw()
  }

  /** What is known, the most important first: a narrow terminal shows what fits. */
  #facts(): string[] {
    const facts = [formatCount(this.#commits, 'commit')]
    if (this.#failures > 0) facts.push(`${this.#failures} not committed`)
    if (this.#restarts > 0) facts.push(formatCount(this.#restarts, 'restart'))
    const progress = this.#progress()
    if (progress) facts.push(...this.#flow(progress))
    if (this.#jobs > 0) facts.push(formatCount(this.#jobs, 'job'))
    if (this.#stalls > 0) facts.push(formatCount(this.#stalls, 'stall'))
    facts.push(formatCount(this.#entries, 'entry', 'entries'), `${formatBytes(this.#bytes)} in all`)
    return facts
  }

  /** How fast it goes, and who waits for whom. */
  #flow({ bytes, waitedMs, waitingMs, archiveBytes, filling }: ReceiverProgress): string[] {
    const full = filling.capacity > 0 ? filling.unread / filling.capacity : 0
    const now = { at: performance.now(), entries: this.#entries, bytes, waitedMs, full }
    // After a broken archive another receiver counts from 0 on.
    this.#samples = this.#samples.filter(
      ({ at, bytes }) => at > now.at - WINDOW_MS && bytes <= now.bytes,
    )
    this.#samples.push(now)
    const first = this.#samples[0] ?? now
    const ms = Math.max(now.at - first.at, REFRESH_MS)
    const perSecond = (what: 'entries' | 'bytes') => ((now[what] - first[what]) * 1000) / ms
    const pipe = this.#samples.reduce((sum, { full }) => sum + full, 0) / this.#samples.length
    const busy =
      first === now ? 0 : Math.min(1, Math.max(0, 1 - (now.waitedMs - first.waitedMs) / ms))

    const isStalled = archiveBytes > 0 && waitingMs >= STALL_MS
    if (isStalled && !this.#isStalled) this.#stalls++
    this.#isStalled = isStalled
    const flow: string[] = []
    if (waitingMs >= STALL_MS) {
      const where = isStalled
        ? `stalled in an archive, ${formatBytes(archiveBytes)} of it came`
        : 'waiting'
      flow.push(`${where} (${Math.floor(waitingMs / 1000)} s)`)
    }
    flow.push(
      `${Math.round(perSecond('entries')).toLocaleString('en-US')} entries/s`,
      `${formatBytes(perSecond('bytes'))}/s`,
      `pipe ${bar(pipe)} ${percent(pipe)}`,
      `busy ${percent(busy)}`,
    )
    return flow
  }
}

function bar(share: number): string {
  const full = Math.round(share * BAR)
  return '█'.repeat(full) + '░'.repeat(BAR - full)
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
