import type { Allowances } from './judge.js'
import type { PlanLimits } from './plan.js'

export type WriterKind = 'tarspout' | 'createWriteStream' | 'net.Socket'
export type Generation = 'A' | 'B' | 'C'
export type Connection = 'per-archive' | 'persistent'
export type Confirm = 'read' | 'committed'

/** One way a reader misbehaves; every reader's options are those of test/readers/reader.cc. */
export interface Fault {
  readonly name: string
  readonly reader?: readonly string[]
  /** Options of a prober that runs beside the reader. */
  readonly prober?: readonly string[]
  /** Milliseconds until the supervisor starts a reader again that was killed. */
  readonly restartMs?: number
  /**
   * Milliseconds (from, to) between the first archive a writer is told about and its death; another
   * one goes on.
   */
  readonly killWriterMs?: readonly [number, number]
  /** The capacity the writer asks the pipe for. */
  readonly pipeSize?: number
  readonly highWaterMark?: number
  readonly zeroCopy?: boolean
  /** Milliseconds between the starts of two archives. */
  readonly everyMs?: number
  /** Smaller archives than the usual. */
  readonly limits?: PlanLimits
  /** Readers it is for; default all. */
  readonly generations?: readonly Generation[]
  /**
   * Whether a reader takes an archive with it that it has read whole: only confirm 'committed'
   * survives that.
   */
  readonly losesRead?: boolean
  /** Whether a spout may give an archive up (ERR_DELIVERY_UNCERTAIN): told so, its user knows. */
  readonly mayReject?: boolean
  /** Whether a thousand archives take minutes of waiting. */
  readonly isLong?: boolean
  /**
   * Whether it is seen to strike (closes, kills, stalls, probes are counted): a row in which it
   * never does proves nothing.
   */
  readonly strikes?: boolean
}

export interface Row {
  readonly writer: WriterKind
  readonly reader: Generation | 'Go A' | 'Go B' | 'Go C'
  readonly fault: Fault
  readonly connection: Connection
  readonly confirm: Confirm | undefined
}

const ms = (n: number) => String(n)
const us = (n: number) => String(n)
const mib = String(1 << 20)
const closing = (percent: number, reopenUs: number, ...more: string[]) => [
  ...['--close-within', mib, '--close-percent', String(percent), '--reopen-us', us(reopenUs)],
  ...more,
]

// Of one archive in five, so that a thousand of them take seconds, not minutes.
const slow = ['--read-delay-us', us(40), '--read-max', '4096', '--read-percent', '20']

const alone = { everyMs: 2, limits: { maxEntries: 3, maxBytes: 3000 } }

// Packed until they are written, and on their way before they are whole.
const many = {
  limits: { maxEntries: 2000, maxBytes: 1000, hasLongNames: false },
  highWaterMark: 256 << 10,
}

const manySmall: readonly Fault[] = [
  { name: 'many small entries', ...many },
  {
    ...many,
    name: 'many small entries, closes, reopens at once',
    strikes: true,
    reader: closing(10, 0),
  },
  {
    ...many,
    name: 'many small entries, killed at a byte',
    strikes: true,
    losesRead: true,
    reader: ['--kill-within', mib, '--kill-percent', '5'],
  },
  {
    ...many,
    name: 'many small entries, stalls 10 ms',
    strikes: true,
    reader: ['--stall-within', mib, '--stall-percent', '50', '--stall-ms', ms(10)],
  },
  { ...many, name: 'many small entries, slow reads', reader: slow },
]

const closesAtOnce: Fault = {
  name: 'closes, reopens at once',
  strikes: true,
  reader: closing(10, 0),
}

// The same with zeroCopy.
const mapped = (fault: Fault): Fault => ({
  ...fault,
  zeroCopy: true,
  name: `mapped, ${fault.name}`,
})

export const faults: readonly Fault[] = [
  { name: 'none' },
  { name: 'finishes in 0 to 20 ms', reader: ['--finish-max-ms', ms(20)] },
  { name: 'finishes in 0 to 300 ms', isLong: true, reader: ['--finish-max-ms', ms(300)] },
  {
    name: 'small archives 20 ms apart, finishes in 50 ms',
    isLong: true,
    reader: ['--finish-ms', ms(50)],
    everyMs: 20,
    limits: { maxEntries: 3, maxBytes: 3000 },
  },
  // Alone on their way, so that the thread that ends them writes them.
  { name: 'small archives 2 ms apart', ...alone },
  {
    ...alone,
    name: 'small archives 2 ms apart, closes, reopens at once',
    strikes: true,
    reader: ['--close-within', '5000', '--close-percent', '10', '--reopen-us', us(0)],
  },
  {
    ...alone,
    name: 'small archives 2 ms apart, killed at a byte',
    strikes: true,
    losesRead: true,
    reader: ['--kill-within', '5000', '--kill-percent', '5'],
  },
  {
    ...alone,
    name: 'small archives 2 ms apart, prober each 3 ms',
    strikes: true,
    mayReject: true,
    prober: ['--every-us', us(3000)],
  },
  ...manySmall,
  ...manySmall.filter(({ reader }) => reader !== slow).map(mapped),
  mapped({ ...many, name: 'many small entries, 4 KiB pipe', pipeSize: 4096 }),
  mapped(closesAtOnce),
  { name: 'starts late', reader: ['--start-ms', ms(700)] },
  { name: 'slow reads', reader: slow },
  { name: 'tiny reads', reader: ['--read-max', '61', '--read-percent', '10'] },
  { name: '4 KiB pipe', reader: ['--finish-max-ms', ms(5)], pipeSize: 4096 },
  closesAtOnce,
  { name: 'closes often, reopens at once', isLong: true, strikes: true, reader: closing(40, 0) },
  { name: 'closes once', strikes: true, reader: closing(100, 0, '--close-times', '1') },
  { name: 'closes, reopens in 100 us', strikes: true, reader: closing(10, 100) },
  { name: 'closes, reopens in 20 ms', strikes: true, reader: closing(10, 20_000) },
  { name: 'closes, reopens in 200 ms', strikes: true, reader: closing(5, 200_000) },
  {
    name: 'closes before the first byte',
    strikes: true,
    reader: ['--close-at', '0', '--close-percent', '30'],
  },
  {
    name: 'closes after the first header',
    strikes: true,
    reader: ['--close-at', '512', '--close-percent', '10'],
  },
  {
    name: 'closes, comes back from errors in 1 ms',
    strikes: true,
    reader: closing(5, 0, '--backoff-ms', '1', '--backoff-max-ms', '1'),
  },
  {
    name: 'closes; a tar error ends reader, FIFO and writer',
    strikes: true,
    reader: closing(5, 0, '--on-error', 'exit'),
    generations: ['C'],
  },
  {
    name: 'killed at a byte',
    strikes: true,
    losesRead: true,
    reader: ['--kill-within', mib, '--kill-percent', '5', '--finish-max-ms', ms(5)],
  },
  {
    name: 'killed at a byte, back in 100 ms',
    strikes: true,
    losesRead: true,
    reader: ['--kill-within', mib, '--kill-percent', '5', '--finish-max-ms', ms(5)],
    restartMs: 100,
  },
  {
    name: 'killed while finishing',
    strikes: true,
    losesRead: true,
    reader: ['--kill-finishing-percent', '10', '--finish-max-ms', ms(20)],
  },
  {
    name: 'killed while finishing, back in 100 ms',
    strikes: true,
    losesRead: true,
    reader: ['--kill-finishing-percent', '10', '--finish-max-ms', ms(20)],
    restartMs: 100,
  },
  {
    name: 'stalls 300 ms',
    isLong: true,
    strikes: true,
    reader: ['--stall-within', mib, '--stall-percent', '10', '--stall-ms', ms(300)],
  },
  // Faster than an archive is read: a prober cannot be told from a reader that comes back, so some
  // archives are given up.
  {
    name: 'prober each 0.3 ms',
    isLong: true,
    strikes: true,
    mayReject: true,
    prober: ['--every-us', us(300)],
    limits: { maxEntries: 10, maxBytes: 100_000 },
  },
  { name: 'prober each 20 ms', strikes: true, prober: ['--every-us', us(20_000)] },
  {
    name: 'prober each 20 ms, alone for 700 ms',
    strikes: true,
    prober: ['--every-us', us(20_000)],
    reader: ['--start-ms', ms(700)],
  },
  {
    name: 'prober each 400 ms, slow reads',
    strikes: true,
    prober: ['--every-us', us(400_000)],
    reader: slow,
  },
  {
    name: 'prober each 20 ms, stalls 100 ms',
    strikes: true,
    prober: ['--every-us', us(20_000), '--hold-us', us(100)],
    reader: ['--stall-within', mib, '--stall-percent', '10', '--stall-ms', ms(100)],
  },
  {
    name: 'writer killed',
    strikes: true,
    killWriterMs: [0, 300],
    reader: ['--finish-max-ms', ms(5)],
  },
]

const generations: readonly Generation[] = ['A', 'B', 'C']

/** Those that Go's own archive/tar needs no plan for. */
const goFaults = [
  'none',
  'finishes in 0 to 20 ms',
  '4 KiB pipe',
  'prober each 20 ms',
  'writer killed',
]

function* generateRows(): Generator<Row> {
  for (const fault of faults) {
    for (const reader of fault.generations ?? generations) {
      for (const connection of ['per-archive', 'persistent'] as const) {
        for (const confirm of ['read', 'committed'] as const) {
          yield { writer: 'tarspout', reader, fault, connection, confirm }
        }
      }
    }
  }
  for (const fault of faults.filter(({ name }) => goFaults.includes(name))) {
    for (const reader of ['Go A', 'Go B', 'Go C'] as const) {
      for (const connection of ['per-archive', 'persistent'] as const) {
        for (const confirm of ['read', 'committed'] as const) {
          yield { writer: 'tarspout', reader, fault, connection, confirm }
        }
      }
    }
  }
  for (const fault of faults.filter(({ zeroCopy }) => !zeroCopy)) {
    for (const reader of fault.generations ?? generations) {
      yield {
        writer: 'createWriteStream',
        reader,
        fault,
        connection: 'per-archive',
        confirm: undefined,
      }
      for (const connection of ['per-archive', 'persistent'] as const) {
        yield { writer: 'net.Socket', reader, fault, connection, confirm: undefined }
      }
    }
  }
}

/** Every row of the table. */
export const rows: readonly Row[] = [...generateRows()]

/** The name of a row, which `--rows` filters by. */
export function titleOf(row: Row): string {
  const parts = [row.writer, row.reader, row.fault.name, row.connection, row.confirm]
  return parts.filter((part) => part !== undefined).join(' / ')
}

/**
 * What a row may show: losses, where a spout was told only that an archive was read and its reader
 * then died over it; rejections, where the fault cannot be told from a reader that comes and goes
 * without end.
 */
export function allowances(row: Row): Allowances {
  return {
    mayLose: row.confirm !== 'committed' && row.fault.losesRead === true,
    mayReject: row.fault.mayReject === true,
  }
}
