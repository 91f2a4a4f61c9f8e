import { Header, Parser, type ReadEntry } from 'tar'
import { TarspoutError } from '../base/errors.js'
import { show } from '../names/entry-path.js'
import type { ReceivedArchive } from '../store/received-archive.js'
import { checkPaxRecords } from './pax-records.js'

const BLOCK_BYTES = 512
const READ_BYTES = 1 << 20
// Go's archive/tar, which Pachyderm reads with, has the same limit for pax headers and long names.
const MAX_META_BYTES = 1 << 20
const MAX_ENTRIES = 1_000_000
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES)

/**
 * What is being read:
 *
 *     start ──> header <──────────────┐
 *       │         │ ├─> body, meta ───┘
 *       │         └─> end (511 bytes) ──> last (1 byte) ──> done
 *       └─ zero blocks before the first header are skipped where the reader's generation skips them
 */
type State = 'start' | 'header' | 'meta' | 'body' | 'end' | 'last' | 'done'

export interface ArchiveParserOptions {
  /** Skip zero blocks before the first header (Pachyderm 1.11.3 and later). */
  skipZeroBlocks: boolean
  /**
   * Throw what is refused at once (Pachyderm before 1.11.3), instead of reading the archive to its
   * end.
   */
  stopAtRefusal: boolean
}

/**
 * Takes an archive apart without ever asking for a byte behind it: node-tar parses, this class
 * knows how much may be read next. The two zero blocks are read as 512, 511 and 1 bytes, so that
 * the caller can put off the last one.
 *
 * Push at most `want` bytes at a time. `push` returns false where the caller decides when to go on:
 * before the last byte (`state` is `last`) and after it (`done`).
 */
export class ArchiveParser {
  readonly #archive: ReceivedArchive
  readonly #options: ArchiveParserOptions
  readonly #tar = new Parser({ maxMetaEntrySize: MAX_META_BYTES })
  #state: State = 'start'
  #block = Buffer.allocUnsafe(BLOCK_BYTES)
  #filled = 0
  #remain = 0 // of a body or meta body, padding included
  #padding = 0 // bytes of #remain that are padding
  #meta: Buffer[] = []
  #metaBytes = 0
  #seen: ReadEntry | undefined
  #warning: string | undefined

  constructor(archive: ReceivedArchive, options: ArchiveParserOptions) {
    this.#archive = archive
    this.#options = options
    this.#tar.on('entry', (entry: ReadEntry) => {
      this.#seen = entry
      entry.on('data', (bytes: Buffer) => archive.body(bytes))
    })
    this.#tar.on('ignoredEntry', (entry: ReadEntry) => {
      this.#seen = entry
    })
    this.#tar.on('warn', (_code: string, message: string) => {
      this.#warning ??= message
    })
  }

  get state(): State {
    return this.#state
  }

  /** How many bytes may be read next. All of them belong to this archive. */
  get want(): number {
    switch (this.#state) {
      case 'start':
      case 'header':
      case 'done':
        return BLOCK_BYTES - this.#filled
      case 'meta':
      case 'body':
        // The next header belongs to this archive too, at least as its first zero block.
        return Math.min(this.#remain + BLOCK_BYTES, READ_BYTES)
      case 'end':
        return BLOCK_BYTES - 1 - this.#filled
      default:
        return 1
    }
  }

  /**
   * @throws TarspoutError `ERR_ARCHIVE`: this is no tar, and where the next archive begins cannot
   * be told.
   */
  push(bytes: Buffer): boolean {
    if (this.#archive.tarBytes === 0) this.#archive.startedAt = performance.now()
    let at = 0
    while (at < bytes.length) {
      const rest = bytes.length - at
      const take = this.#state === 'meta' || this.#state === 'body' ? this.#remain : this.want
      const piece = at === 0 && rest <= take ? bytes : bytes.subarray(at, at + Math.min(rest, take))
      this.#take(piece)
      at += piece.length
      this.#archive.tarBytes += piece.length
      // Zero blocks that are skipped belong to no archive.
      if (this.#state === 'start' && this.#filled === 0) this.#archive.tarBytes = 0
    }
    return this.#state !== 'last' && this.#state !== 'done'
  }

  /**
   * The end of the file was reached.
   *
   * @returns whether an archive ended: at an entry boundary, in padding or after one zero block
   * every Pachyderm takes what it has for a whole archive.
   * @throws TarspoutError `ERR_ARCHIVE` in the middle of a header or a body
   */
  endOfFile(): boolean {
    const inPadding = this.#state === 'body' && this.#remain <= this.#padding
    if (this.#state === 'start' && this.#filled === 0) return false
    if (this.#state === 'last' || this.#state === 'done' || this.#state === 'end') return true
    if (inPadding || (this.#state === 'header' && this.#filled === 0 && this.#metaBytes === 0))
      return true
    if (this.#state === 'body') this.#archive.body(this.#block.subarray(0, this.#filled))
    const what =
      this.#state === 'body'
        ? `${this.#remain - this.#padding} bytes of a body`
        : 'the rest of a header'
    throw this.#invalid(`the writer left before it had sent ${what}`)
  }

  #take(bytes: Buffer): void {
    switch (this.#state) {
      case 'start':
      case 'header':
        this.#takeHeader(bytes)
        return
      case 'meta':
        this.#takeMeta(bytes)
        return
      case 'body':
        this.#takeBody(bytes)
        return
      case 'end':
        if (!bytes.equals(ZERO_BLOCK.subarray(0, bytes.length))) {
          throw this.#invalid('a zero block is followed by something else')
        }
        this.#filled += bytes.length
        if (this.#filled < BLOCK_BYTES - 1) return
        this.#state = 'last'
        return
      case 'last':
        if (bytes[0] !== 0) throw this.#invalid('a zero block is followed by something else')
        this.#filled = 0
        this.#archive.hasEndMarker = true
        this.#state = 'done'
        return
      case 'done':
        throw new Error('bytes pushed into an archive that is done')
    }
  }

  #takeHeader(bytes: Buffer): void {
    bytes.copy(this.#block, this.#filled)
    this.#filled += bytes.length
    if (this.#filled < BLOCK_BYTES) return
    this.#filled = 0
    const block = this.#block
    if (block.equals(ZERO_BLOCK)) {
      if (this.#state === 'start' && this.#options.skipZeroBlocks) return
      this.#state = 'end'
      return
    }
    if (
      this.#state === 'start' &&
      ((block[0] === 0x1f && block[1] === 0x8b) || block.readUInt32BE() === 0x28b52ffd)
    ) {
      throw this.#invalid('it is compressed; a spout sends plain tar')
    }
    this.#startEntry(block)
  }

  #startEntry(block: Buffer): void {
    const type = String.fromCharCode(block[156] ?? 0)
    this.#seen = undefined
    this.#tar.write(Buffer.from(block))
    if (this.#warning !== undefined) throw this.#invalid(this.#warning)
    if ('xXgLK'.includes(type)) {
      const size = new Header(block).size
      if (size === undefined) throw this.#invalid('a header states no size')
      if (size > MAX_META_BYTES)
        throw this.#invalid(
          `${size} bytes of pax header or long name, ${MAX_META_BYTES} are the limit`,
        )
      if (type === 'g')
        this.#refuse('a pax global header, which Pachyderm stores as an empty file of that name')
      this.#metaBytes = size
      this.#setRemain(size)
      this.#state = size > 0 ? 'meta' : 'header'
      this.#meta.length = 0
      return
    }
    const entry = this.#seen as ReadEntry | undefined
    if (entry === undefined) throw this.#invalid('a header that cannot be read')
    this.#metaBytes = 0
    const name = entry.path
    const size = entry.header.size
    if (size === undefined) throw this.#invalid(`entry ${show(name)} states no size`, name)
    // Readers disagree on whether a body follows these: Go reads one behind `name/` and none behind
    // a link, node-tar has it the other way. Behind a directory (5) neither does, whatever size it
    // states.
    const isHeaderOnly = '123456'.includes(type) || (name.endsWith('/') && type !== '7')
    if (isHeaderOnly && type !== '5' && !statesNoSize(block)) {
      throw this.#invalid(`entry ${show(name)} is a ${entry.type} with a body`, name)
    }
    if (type === 'S')
      throw this.#invalid(`entry ${show(name)} is sparse, which Pachyderm cannot commit`, name)
    if (this.#archive.entries.length >= MAX_ENTRIES) {
      this.#refuse(`more than ${MAX_ENTRIES} entries`)
    } else if (isHeaderOnly || !'\x0007'.includes(type)) {
      this.#refuse(`entry ${show(name)} is a ${entry.type}; a spout sends regular files only`, name)
    } else {
      this.#archive.begin(name)
    }
    if (this.#options.stopAtRefusal && this.#archive.refusal) throw this.#archive.refusal
    this.#setRemain(entry.startBlockSize > 0 ? size : 0)
    this.#state = this.#remain > 0 ? 'body' : 'header'
  }

  /**
   * Hands whole blocks on: of anything else node-tar would keep a view, and the caller's buffer is
   * used again.
   */
  #takeBody(bytes: Buffer): void {
    this.#remain -= bytes.length
    let at = 0
    if (this.#filled > 0) {
      at = bytes.copy(this.#block, this.#filled, 0, BLOCK_BYTES - this.#filled)
      this.#filled += at
      if (this.#filled < BLOCK_BYTES) return
      this.#tar.write(Buffer.from(this.#block))
    }
    this.#filled = (bytes.length - at) % BLOCK_BYTES
    const whole = bytes.subarray(at, bytes.length - this.#filled)
    if (whole.length > 0) this.#tar.write(whole)
    bytes.copy(this.#block, 0, bytes.length - this.#filled)
    if (this.#remain === 0) this.#state = 'header'
  }

  #takeMeta(bytes: Buffer): void {
    // Gathered first: node-tar decodes piece by piece, which would break characters of several
    // bytes.
    this.#meta.push(Buffer.from(bytes))
    this.#remain -= bytes.length
    if (this.#remain > 0) return
    const body = Buffer.concat(this.#meta)
    this.#meta.length = 0
    const type = this.#block[156]
    if (type === 0x78 || type === 0x58 || type === 0x67) {
      checkPaxRecords(body.subarray(0, this.#metaBytes), this.#archive.tarBytes)
    }
    this.#tar.write(body)
    if (this.#warning !== undefined) throw this.#invalid(this.#warning)
    this.#state = 'header'
  }

  #setRemain(size: number): void {
    this.#padding = (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES
    this.#remain = size + this.#padding
  }

  #refuse(why: string, entry?: string): void {
    this.#archive.refuse(new TarspoutError('ERR_ARCHIVE', why, { entry }))
  }

  #invalid(why: string, entry?: string): TarspoutError {
    return new TarspoutError('ERR_ARCHIVE', `at byte ${this.#archive.tarBytes}: ${why}`, {
      entry,
      offset: this.#archive.tarBytes,
    })
  }
}

function statesNoSize(block: Buffer): boolean {
  return /^[0 \0]*$/.test(block.toString('latin1', 124, 136))
}
