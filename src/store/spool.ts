import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const MEMORY_BYTES = 4 << 20
const READ_BYTES = 256 << 10

/**
 * The bodies of one archive, one behind the other, until the archive is known to be whole: in
 * memory while they fit, then in a file that no folder names any more, so that whatever kills the
 * process also frees it.
 */
export class Spool {
  readonly #folder: string
  #memory = Buffer.allocUnsafe(64 << 10)
  #fd: number | undefined
  #length = 0

  /** @param folder where the file is made; it should be on the disk that the commits go to. */
  constructor(folder: string) {
    this.#folder = folder
  }

  get length(): number {
    return this.#length
  }

  append(bytes: Uint8Array): void {
    const end = this.#length + bytes.length
    if (this.#fd === undefined && end > MEMORY_BYTES) this.#moveToFile()
    if (this.#fd !== undefined) {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#length + done)
      }
    } else {
      if (end > this.#memory.length) {
        const larger = Buffer.allocUnsafe(
          Math.min(MEMORY_BYTES, Math.max(end, this.#memory.length * 2)),
        )
        this.#memory.copy(larger, 0, 0, this.#length)
        this.#memory = larger
      }
      this.#memory.set(bytes, this.#length)
    }
    this.#length = end
  }

  /** The bytes from `offset` on, in pieces. They are good until the next `append` or `clear`. */
  *read(offset: number, size: number): Generator<Buffer> {
    if (this.#fd === undefined) {
      if (size > 0) yield this.#memory.subarray(offset, offset + size)
      return
    }
    for (let done = 0; done < size; ) {
      const piece = Buffer.allocUnsafe(Math.min(READ_BYTES, size - done))
      const got = readSync(this.#fd, piece, 0, piece.length, offset + done)
      if (got === 0) throw new Error(`the spool file ends at ${offset + done}`)
      yield piece.subarray(0, got)
      done += got
    }
  }

  /** Forgets everything; the next archive begins. */
  clear(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    this.#length = 0
  }

  #moveToFile(): void {
    const path = join(this.#folder, `tarspout-spool-${process.pid}-${Date.now()}`)
    this.#fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
    for (let done = 0; done < this.#length; ) {
      done += writeSync(this.#fd, this.#memory, done, this.#length - done, done)
    }
  }
}
