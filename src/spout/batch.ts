import type { NativeChannel, Verdict } from '../addon.js'
import { putFlatName } from '../names/name-rules.js'

/** Bytes of the largest body that can be gathered. */
export const MOST_GATHERED = 1024

// What a template's header holds of a name.
const MOST_NAME = 100
const SIZES_BYTES = 4
const RECORDS_BYTES = 32 << 10
const LARGEST_RECORD = SIZES_BYTES + MOST_NAME + MOST_GATHERED
const MOST_ENTRIES = 128

// As a method of the array V8 looks it up anew for each entry, which takes half as long as the
// copying.
const { set } = Uint8Array.prototype

/**
 * Small entries with simple names, gathered as the records that native/tar/packed_entries.h
 * describes: one call into the addon for each costs more than all that is done here.
 */
export class Batch {
  readonly #native: NativeChannel
  readonly #records = new Uint8Array(RECORDS_BYTES)
  #used = 0
  #count = 0

  constructor(native: NativeChannel) {
    this.#native = native
  }

  get isEmpty(): boolean {
    return this.#used === 0
  }

  get isFull(): boolean {
    return this.#used > RECORDS_BYTES - LARGEST_RECORD || this.#count === MOST_ENTRIES
  }

  /**
   * Takes a copy of an entry with a small body, if its name allows. Where that makes it full,
   * {@link flush} is due.
   */
  take(name: string, body: Uint8Array | undefined): boolean {
    const records = this.#records
    const at = this.#used
    const length = name.length
    if (length > MOST_NAME || !putFlatName(name, records, at + SIZES_BYTES)) return false
    const size = body === undefined ? 0 : body.length
    records[at] = length
    records[at + 1] = 0
    records[at + 2] = size
    records[at + 3] = size >> 8
    const bodyAt = at + SIZES_BYTES + length
    if (body !== undefined) set.call(records, body, bodyAt)
    this.#used = bodyAt + size
    this.#count++
    return true
  }

  /** Hands over what was gathered. */
  flush(): Verdict {
    const verdict = this.#native.addMany(this.#records, this.#used)
    this.#used = 0
    this.#count = 0
    return verdict
  }
}
