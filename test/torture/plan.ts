import { crc32 } from 'node:zlib'

export interface PlannedEntry {
  readonly name: string
  readonly size: number
  /** Where its body lies in the pool. */
  readonly offset: number
}

export interface PlanLimits {
  /** Most entries of an archive; default 50. */
  readonly maxEntries?: number
  /** Largest body in bytes; default 1 MiB. */
  readonly maxBytes?: number
  /** Default: one name in 20 is longer than 100 bytes. */
  readonly hasLongNames?: boolean
}

const poolBytes = 6 << 20

/** A seeded generator of 32-bit numbers (splitmix32), so that a run repeats exactly. */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}

/** CRC-32 as the readers write it: eight hexadecimal digits. */
export function hashOf(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0')
}

/**
 * What the writer sends, made from a seed by writer and judge alike: archive n has 1 to 50 entries
 * of 0 to 1 MiB, most of them small (a mean archive has about 0.6 MB), their bodies slices of one
 * pool of random bytes. Names say archive and entry; a few are longer than 100 bytes, so that they
 * need a pax record.
 */
export class Plan {
  readonly #seed: number
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #hasLongNames: boolean
  readonly #pool: Uint8Array

  constructor(seed: number, limits: PlanLimits = {}) {
    this.#seed = seed
    this.#maxEntries = limits.maxEntries ?? 50
    this.#maxBytes = limits.maxBytes ?? 1 << 20
    this.#hasLongNames = limits.hasLongNames ?? true
    const words = new Uint32Array(poolBytes / 4)
    const random = randomOf(seed)
    for (let i = 0; i < words.length; i++) words[i] = random()
    this.#pool = new Uint8Array(words.buffer)
  }

  /** The entries of one archive, in order. */
  archive(number: number): PlannedEntry[] {
    const random = randomOf(Math.imul(this.#seed, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35))
    const count = 1 + (random() % this.#maxEntries)
    return Array.from({ length: count }, (_, entry) => {
      const tail = random() % 20 === 0 && this.#hasLongNames ? `-${'long'.repeat(30)}` : ''
      const size = this.#size(random)
      return { name: `a${number}-e${entry}${tail}`, size, offset: random() % (poolBytes - size) }
    })
  }

  /** The body of an entry: a view of the pool, never to be changed. */
  body(entry: PlannedEntry): Uint8Array {
    return this.#pool.subarray(entry.offset, entry.offset + entry.size)
  }

  /** The hash of the first `size` bytes of an entry's body. */
  hash(entry: PlannedEntry, size = entry.size): string {
    return hashOf(this.#pool.subarray(entry.offset, entry.offset + size))
  }

  // One in eight lies at an edge of a block; the rest spread over the powers of two, the small ones
  // more often.
  #size(random: () => number): number {
    const edges = [0, 1, 511, 512, 513, 1024, 4096, 65536]
    const choice = random() % 8
    const edge = edges[random() % edges.length] ?? 0
    const exponent = (random() / 2 ** 32) ** 3
    const size = Math.floor((this.#maxBytes + 1) ** exponent) - 1
    return Math.min(choice === 0 ? edge : size, this.#maxBytes)
  }
}
