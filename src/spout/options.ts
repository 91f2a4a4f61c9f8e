import { join } from 'node:path'
import {
  checkBytes,
  checkChoice,
  checkCount,
  checkFlag,
  checkKnown,
  checkPath,
  describe,
  FIFO_OPTIONS,
  type FifoSettings,
  fifoSettings,
} from '../fifo/options.js'
import { checkName, type NameRules } from '../names/name-rules.js'
import { encodeHeader } from '../tar/header.js'

export interface SpoutOptions {
  /**
   * The FIFO, or a symbolic link to it; never created. Default: `$PFS_DIR/out`, and `/pfs/out`
   * without PFS_DIR.
   */
  path?: string | undefined
  /**
   * `'per-archive'` (default): the write end is closed after each delivered archive, as Pachyderm's
   * spout documentation says. `'persistent'`: it stays open, and several archives are in flight at
   * once while the readers are quiet.
   */
  connection?: 'per-archive' | 'persistent' | undefined
  /**
   * `'read'` (default): an archive is delivered when the reader took its last byte. `'committed'`:
   * when the reader has also finished it, which shows in its reading on (docs/delivery.md).
   */
  confirm?: 'read' | 'committed' | undefined
  /**
   * Bytes of one archive kept for sending again; what is released beyond cannot be
   * (ERR_REPLAY_LIMIT). Default 64 MiB.
   */
  retainBytes?: number | undefined
  /** Keep more than that in an unlinked temporary file. Default false. */
  spill?: boolean | undefined
  /**
   * How often an archive is sent before its commit fails with ERR_DELIVERY_UNCERTAIN. Default 32.
   */
  maxAttempts?: number | undefined
  /**
   * Bytes queued from which on add() returns false, and from which on an archive is sent before it
   * is whole. Default 16 MiB.
   */
  highWaterMark?: number | undefined
  /**
   * Bytes of pipe to ask the kernel for (F_SETPIPE_SZ, pipe(7)); what it refuses is halved. Default
   * 1 MiB.
   */
  pipeSize?: number | undefined
  /**
   * Map memory into the pipe instead of copying it (vmsplice(2)); README, "Zero copy". Default
   * false.
   */
  zeroCopy?: boolean | undefined
  /**
   * `'pachyderm'` (default): a name Pachyderm would refuse is refused by add(). `'tar'`: any name
   * tar can hold.
   */
  nameRules?: NameRules | undefined
  /** Entries of this name are the marker; addMarker() and readMarker() need it. */
  markerName?: string | undefined
  /**
   * `'same'` (default): the marker is its archive's last entry. `'separate'`: an archive of its
   * own, for 1.12 and 1.13, sent once its data is delivered; the next commit begins after that.
   */
  markerArchive?: 'same' | 'separate' | undefined
  /** Aborts every wait with an AbortError and closes the spout at once. */
  signal?: AbortSignal | undefined
  /**
   * Milliseconds an archive waits for a reader before its commit fails with ERR_FIFO_NO_READER.
   * Default Infinity.
   */
  readerTimeoutMs?: number | undefined
}

/** The options with their defaults, checked. */
export interface SpoutSettings extends FifoSettings {
  path: string
  persistent: boolean
  committed: boolean
  retainBytes: number
  spill: boolean
  maxAttempts: number
  nameRules: NameRules
  markerName: string | undefined
  separateMarker: boolean
}

const KNOWN = [
  ...FIFO_OPTIONS,
  'path',
  'connection',
  'confirm',
  'retainBytes',
  'spill',
  'maxAttempts',
  'nameRules',
  'markerName',
  'markerArchive',
]

/** Throws TypeError for an unknown option or a wrong type, RangeError for a value out of range. */
export function spoutSettings(options: SpoutOptions): SpoutSettings {
  checkKnown('openSpout()', options, KNOWN)
  const nameRules = checkChoice('nameRules', options.nameRules, ['pachyderm', 'tar'])
  return {
    ...fifoSettings(options),
    path: checkPath(
      options.path === undefined ? join(process.env.PFS_DIR ?? '/pfs', 'out') : options.path,
    ),
    persistent:
      checkChoice('connection', options.connection, ['per-archive', 'persistent']) === 'persistent',
    committed: checkChoice('confirm', options.confirm, ['read', 'committed']) === 'committed',
    retainBytes: checkBytes('retainBytes', options.retainBytes, 64 << 20),
    spill: checkFlag('spill', options.spill),
    maxAttempts: Math.min(checkCount('maxAttempts', options.maxAttempts, 32), 0xffff_ffff),
    nameRules,
    markerName: checkMarkerName(options.markerName, nameRules),
    separateMarker:
      checkChoice('markerArchive', options.markerArchive, ['same', 'separate']) === 'separate',
  }
}

// Pachyderm refuses the marker "out" (docs/pachyderm.md section 4): /pfs/out is the FIFO.
function checkMarkerName(name: unknown, rules: NameRules): string | undefined {
  if (name === undefined) return undefined
  if (typeof name !== 'string')
    throw new TypeError(`markerName must be a string, found ${describe(name)}`)
  const rule = name === 'out' ? 'must not be "out", which is the FIFO' : checkName(name, rules)
  if (rule) throw new RangeError(`markerName ${JSON.stringify(name)} ${rule}`)
  try {
    encodeHeader({ name })
  } catch (error) {
    throw new RangeError(`markerName: ${(error as Error).message}`)
  }
  return name
}
