// What is sent. Every workload is an endless repetition of one short cycle of entries (about 256
// KiB to 1 MiB, so that it stays in the caches for everybody, the C writer too); a case sends as
// many of them as its time allows.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { encodeEntry, marker } from './archive.js'

const KiB = 1024
const MiB = 1024 * KiB
const chunkBytes = 256 * KiB
const cycleBytesAimed = 256 * KiB

/** A seeded generator of numbers in [0, 1): the same entries in every process (mulberry32). */
function randomNumbers(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const queueName = (i) => `topic-${i % 4}-${1_000_000 + i}`
const longName = (i) => `${'a-topic-with-a-long-name.'.repeat(6)}-${i % 4}-${1_000_000 + i}`

function logNormal(medianBytes, sigma) {
  return (random) => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
    return Math.min(MiB, Math.round(medianBytes * Math.exp(sigma * normal)))
  }
}

const fixed = (bytes) => () => bytes

/**
 * name, title; sizes: body bytes; unit: what the rate counts; entriesPerArchive: absent means all
 * of them in one archive; connection: for workloads of many archives; reader: options of the C
 * reader; count: a fixed number of entries instead of as many as the time allows; uncounted: so
 * many archives of a run come before those whose latency counts; fresh: each body a new buffer, so
 * that what a writer holds back shows in its memory; rounds: at most so many; note: what a reader
 * of its table should know.
 */
const definitions = [
  { name: 'empty', title: 'Empty bodies', sizes: fixed(0) },
  { name: '100B', title: 'Bodies of 100 B', sizes: fixed(100), quick: true, chart: true },
  { name: '1KiB', title: 'Bodies of 1 KiB', sizes: fixed(KiB) },
  { name: '4KiB', title: 'Bodies of 4 KiB', sizes: fixed(4 * KiB) },
  { name: '64KiB', title: 'Bodies of 64 KiB', sizes: fixed(64 * KiB), quick: true, chart: true },
  { name: '1MiB', title: 'Bodies of 1 MiB', sizes: fixed(MiB), quick: true, chart: true },
  {
    name: 'mix',
    title: 'A queue: log-normal bodies (median 1 KiB), names topic-partition-offset',
    sizes: logNormal(KiB, 1.5),
    cycle: 256,
  },
  {
    name: 'long-names',
    title: 'Names of 160 B, which need a pax extended header; bodies of 100 B',
    sizes: fixed(100),
    entryName: longName,
  },
  {
    name: 'commits',
    title: 'One entry of 1 KiB per archive, the write end kept open',
    sizes: fixed(KiB),
    entriesPerArchive: 1,
    connection: 'persistent',
    quick: true,
    chart: true,
  },
  {
    name: 'commits-per-archive',
    title:
      'One entry of 1 KiB per archive, the write end closed after each, a reader that then opens again',
    sizes: fixed(KiB),
    entriesPerArchive: 1,
    connection: 'per-archive',
    note: 'Tarspout keeps the write end open for 2 ms after each archive, which readers need to finish the commit (docs/delivery.md, rule 7); the others close at once.',
  },
  {
    name: 'slow-reader',
    title: 'A reader that takes 100 MB/s; bodies of 64 KiB, each its own memory',
    sizes: fixed(64 * KiB),
    reader: { pace: 100_000_000 },
    count: 600,
    fresh: true,
    rounds: 1,
    metric: 'backpressure',
    note: 'Tarspout begins to send an archive when it is complete or larger than highWaterMark, 16 MiB here, so that one given up before leaves nothing behind: the reader waits that long for its first byte.',
  },
  {
    name: 'latency',
    title:
      'Latency: from the first call for an archive of one 1 KiB entry to its receipt, one every 2 ms',
    sizes: fixed(KiB),
    entriesPerArchive: 1,
    connection: 'persistent',
    pauseMs: 2,
    count: 130,
    uncounted: 30,
    quick: true,
    metric: 'latency',
  },
]

export const mode = 0o644
export const mtime = new Date(1_500_000_000_000)

/** One workload, its cycle made. What each case sends of it is a Load. */
export class Workload {
  #definition
  #encoded

  constructor(definition) {
    this.#definition = definition
    const random = randomNumbers(17)
    const sizes = []
    let total = 0
    while (definition.cycle ? sizes.length < definition.cycle : total < cycleBytesAimed) {
      const size = definition.sizes(random)
      sizes.push(size)
      total += 512 + Math.ceil(size / 512) * 512
    }
    const entryName = definition.entryName ?? queueName
    this.cycle = sizes.map((size, i) => {
      const data = Buffer.alloc(size)
      for (let at = 0; at < size; at++) data[at] = random() * 256
      return { name: entryName(i), data, size, mode, mtime }
    })
  }

  get name() {
    return this.#definition.name
  }
  get title() {
    return this.#definition.title
  }
  get note() {
    return this.#definition.note
  }
  get metric() {
    return this.#definition.metric ?? 'throughput'
  }
  get quick() {
    return this.#definition.quick ?? false
  }
  get chart() {
    return this.#definition.chart ?? false
  }
  get reader() {
    return this.#definition.reader ?? {}
  }
  get fixedCount() {
    return this.#definition.count
  }
  get maxRounds() {
    return this.#definition.rounds ?? Infinity
  }
  get entriesPerArchive() {
    return this.#definition.entriesPerArchive
  }
  get connection() {
    return this.#definition.connection ?? 'persistent'
  }
  get uncounted() {
    return this.#definition.uncounted
  }
  get pauseMs() {
    return this.#definition.pauseMs
  }
  get fresh() {
    return this.#definition.fresh ?? false
  }

  /** The cycle as bytes: entries only, or whole archives where each holds one entry. */
  get encoded() {
    this.#encoded ??= Buffer.concat(
      this.cycle.flatMap((entry) =>
        this.entriesPerArchive ? [encodeEntry(entry), marker] : [encodeEntry(entry)],
      ),
    )
    return this.#encoded
  }

  /** Bytes of one archive, where each holds one entry (all are of one size). */
  get archiveBytes() {
    return this.encoded.length / this.cycle.length
  }

  /** The number of entries nearest to `wanted` that ends with a whole cycle (or archive). */
  roundCount(wanted) {
    const unit = this.entriesPerArchive ? 1 : this.cycle.length
    return Math.max(1, Math.round(wanted / unit)) * unit
  }

  /** Bytes that `count` entries make, by the bench's own encoder. */
  bytesOf(count) {
    return (
      (count / this.cycle.length) * this.encoded.length +
      (this.entriesPerArchive ? 0 : marker.length)
    )
  }
}

/**
 * What one run sends: `count` entries of a workload. The second argument of every contender's
 * run().
 */
export class Load {
  #workload
  #fresh
  #isWarming
  /**
   * When the last entry was taken, and each archive's first call and receipt (ns, process.hrtime).
   */
  lastTakenAt = 0n
  beganAt = []
  receiptsAt = []

  /** @param warming only to make the writer warm: without the pauses */
  constructor(workload, count, folder, warming = false) {
    this.#workload = workload
    this.#isWarming = warming
    this.#fresh = workload.fresh
    this.count = count
    this.entriesPerArchive = workload.entriesPerArchive ?? count
    this.archiveCount = count / this.entriesPerArchive
    this.connection = workload.connection
    this.pauseMs = workload.pauseMs
    /**
     * The workload's folder: `cycle.bin` (see Workload.encoded) and `files/`, the cycle as files.
     */
    this.folder = folder
    this.cycle = workload.cycle
    this.archiveBytes = workload.archiveBytes
  }

  /** Entry i: { name, data, size, mode, mtime }. Shared: not to be changed. */
  at(i) {
    if (i === this.count - 1) this.lastTakenAt = process.hrtime.bigint()
    const entry = this.cycle[i % this.cycle.length]
    return this.#fresh ? { ...entry, data: Buffer.from(entry.data) } : entry
  }

  *entries(first = 0, end = this.count) {
    for (let i = first; i < end; i++) yield this.at(i)
  }

  /** Archive k as bytes already encoded, end-of-archive marker included, in chunks of 256 KiB. */
  *chunks(k) {
    const { encoded } = this.#workload
    if (this.#workload.entriesPerArchive) {
      const at = (k % this.cycle.length) * this.archiveBytes
      yield encoded.subarray(at, at + this.archiveBytes)
      return
    }
    for (let sent = 0; sent < this.count; sent += this.cycle.length) {
      for (let at = 0; at < encoded.length; at += chunkBytes) {
        const chunk = encoded.subarray(at, at + chunkBytes)
        yield this.#fresh ? Buffer.from(chunk) : chunk
      }
    }
    this.lastTakenAt = process.hrtime.bigint()
    yield marker
  }

  /** Between one archive and the next. */
  pause() {
    return this.#isWarming ? nextTurn() : sleep(this.pauseMs)
  }

  /** Called right before the first call for an archive. */
  beginning() {
    if (this.pauseMs) this.beganAt.push(process.hrtime.bigint())
  }

  /** Called when the receipt has come, by contenders that have one. */
  received() {
    if (this.pauseMs) this.receiptsAt.push(process.hrtime.bigint())
  }
}

export const workloadNames = definitions.map(({ name }) => name)

export function findWorkload(name) {
  const definition = definitions.find((candidate) => candidate.name === name)
  if (!definition)
    throw new RangeError(`no workload ${name}; there are: ${workloadNames.join(', ')}`)
  return new Workload(definition)
}

/** The files a workload's folder holds for the contenders that are other programs. */
export const cycleFile = (folder) => join(folder, 'cycle.bin')
export const filesFolder = (folder) => join(folder, 'files')
export const readNames = (folder) => readFileSync(join(folder, 'names'), 'utf8').split('\n')
