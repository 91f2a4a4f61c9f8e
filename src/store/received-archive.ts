import type { TarspoutError } from '../base/errors.js'
import { isMarkerName, storedPath } from '../names/entry-path.js'
import { Spool } from './spool.js'

/**
 * One entry as it was received. Type, mode, owner and times are not kept: Pachyderm does not store
 * them either.
 */
export interface ReceivedEntry {
  /** The cleaned path it is stored under. */
  readonly path: string
  readonly isMarker: boolean
  /** Where its body is in the spool, and how much of it came. */
  readonly offset: number
  size: number
}

/** An archive on its way from the FIFO to a commit. */
export class ReceivedArchive {
  readonly entries: ReceivedEntry[] = []
  readonly spool: Spool
  readonly #marker: string | undefined
  #open: ReceivedEntry | undefined
  /** The first reason not to commit this archive, though it is a valid one. */
  refusal: TarspoutError | undefined
  /** Bytes of tar read so far, headers and padding included. */
  tarBytes = 0
  startedAt = 0
  /**
   * Whether it ended with two zero blocks. Without them every Pachyderm still takes it for whole.
   */
  hasEndMarker = false

  constructor(folder: string, marker: string | undefined) {
    this.spool = new Spool(folder)
    this.#marker = marker
  }

  /** Bytes of all bodies. */
  get bytes(): number {
    return this.spool.length
  }

  begin(name: string): void {
    this.#open = undefined
    if (this.refusal !== undefined) return
    try {
      const path = storedPath(name)
      this.#open = {
        path,
        isMarker: isMarkerName(name, this.#marker),
        offset: this.spool.length,
        size: 0,
      }
      this.entries.push(this.#open)
    } catch (error) {
      this.refuse(error as TarspoutError)
    }
  }

  body(bytes: Uint8Array): void {
    if (this.refusal !== undefined || this.#open === undefined) return
    this.spool.append(bytes)
    this.#open.size += bytes.length
  }

  refuse(error: TarspoutError): void {
    this.refusal ??= error
  }

  clear(): void {
    this.spool.clear()
    this.entries.length = 0
    this.#open = undefined
    this.refusal = undefined
    this.tarBytes = 0
    this.startedAt = 0
    this.hasEndMarker = false
  }
}
