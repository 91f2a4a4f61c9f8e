import type { NativeChannel, Verdict } from '../addon.js'
import { isFlatName } from '../tar/name-rules.js'

/** Bytes of the largest body that can be gathered. */
export const MOST_GATHERED = 1024

// What addMany() takes at once.
const MOST_ENTRIES = 128
const MOST_NAME = 100
const BODIES_BYTES = 32 << 10

/** Small entries with simple names, gathered: one call into the addon for each costs more than all that is done here. */
export class Batch {
  readonly #native: NativeChannel
  readonly #sizes = new Uint16Array(2 * MOST_ENTRIES)
  readonly #sizeBytes = new Uint8Array(this.#sizes.buffer)
  readonly #bodies = new Uint8Array(BODIES_BYTES)
  #names = ''
  #count = 0
  #used = 0 // of #bodies

  constructor(native: NativeChannel) {
    this.#native = native
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Takes a copy of an entry with a small body, if its name allows. Where that makes it full, {@link flush} is due. */
  take(name: string, body: Uint8Array | undefined): boolean {
    if (name.length > MOST_NAME || !isFlatName(name)) return false
    const size = body === undefined ? 0 : body.length
    if (body !== undefined) this.#bodies.set(body, this.#used)
    const at = 2 * this.#count
    this.#sizes[at] = name.length
    this.#sizes[at + 1] = size
    this.#used += size
    this.#names += name
    this.#count++
    return true
  }

  get isFull(): boolean {
    return this.#count === MOST_ENTRIES || this.#used > BODIES_BYTES - MOST_GATHERED
  }

  /** Hands over what was gathered. */
  flush(): Verdict {
    const verdict = this.#native.addMany(this.#names, this.#sizeBytes, this.#bodies, this.#count)
    this.#names = ''
    this.#count = 0
    this.#used = 0
    return verdict
  }
}
