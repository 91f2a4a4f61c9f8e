/**
 * What a channel measured. Nothing is estimated; times are milliseconds, sizes bytes, the rest
 * counts since the opening.
 */
export interface FifoStats {
  /** What the engine does now. */
  state:
    | 'idle'
    | 'looking'
    | 'opening'
    | 'sending'
    | 'draining'
    | 'tearing'
    | 'holding'
    | 'lingering'
    | 'closing'
    | 'closed'
  /**
   * `'tracked'`: inotify watches the readers, so that every coming and going is seen. `'sampled'`:
   * it could not be set up (limit reached, no read permission); then one archive is in flight and
   * only a reader's absence is seen, not its quick return.
   */
  guarantee: 'tracked' | 'sampled'
  /** Accepted and not yet written. */
  bytesQueued: number
  /** Written into the FIFO, what was sent again included. */
  bytesWritten: number
  /** Taken out of the FIFO by readers: written less FIONREAD. */
  bytesConsumed: number
  /** Accepted and still kept, to be sent again if need be. */
  bytesRetained: number
  /** What the kernel granted of pipeSize (F_GETPIPE_SZ); 0 before the first opening. */
  pipeCapacity: number
  /** Written and not yet read at the last look (FIONREAD). */
  pipeOccupancy: number
  /** System calls that wrote something. */
  writes: number
  /** Those that wrote less than was given: the pipe was full then. */
  shortWrites: number
  /** Writes refused because the pipe was full. */
  eagain: number
  /** Writes refused because no reader was there. */
  epipe: number
  /** Openings of the write end. */
  opens: number
  /** How often archives were sent again. */
  replays: number
  archivesDelivered: number
  /** Time the pipe was full. */
  blockedMs: number
  /** Time something was to be sent and no reader was there. */
  waitingForReaderMs: number
  /** The single times the pipe was full; within 25 %. */
  stallMs: { p50: number; p99: number; max: number }
  /** Whether several archives may be in flight at once now. */
  pipelined: boolean
  /** Whether a reader was there at the last look. */
  hasReader: boolean
}

const STATES = [
  'idle',
  'looking',
  'opening',
  'sending',
  'draining',
  'tearing',
  'holding',
  'lingering',
  'closing',
  'closed',
] as const

/** Reads the numbers of native/binding/port.cc, Stats(), in their order. */
export function fifoStats(numbers: Float64Array): FifoStats {
  const at = (index: number): number => numbers[index] ?? 0
  return {
    state: STATES[at(0)] ?? 'closed',
    guarantee: at(1) === 1 ? 'tracked' : 'sampled',
    bytesQueued: at(2),
    bytesWritten: at(3),
    bytesConsumed: at(4),
    bytesRetained: at(5),
    pipeCapacity: at(6),
    pipeOccupancy: at(7),
    writes: at(8),
    shortWrites: at(9),
    eagain: at(10),
    epipe: at(11),
    opens: at(12),
    replays: at(13),
    archivesDelivered: at(14),
    blockedMs: at(15),
    waitingForReaderMs: at(16),
    stallMs: { p50: at(17), p99: at(18), max: at(19) },
    pipelined: at(20) === 1,
    hasReader: at(21) === 1,
  }
}
