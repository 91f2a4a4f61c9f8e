import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { TarspoutError } from '../base/errors.js'
import { spawnApart } from '../base/program.js'
import { gitEnvironment } from './git.js'

/**
 * Reads blobs of a repository through one `git cat-file --batch`, in pieces. One blob at a time.
 */
export class BlobReader {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  #rest: Buffer = Buffer.alloc(0)
  #pieces: AsyncIterator<Buffer>

  constructor(repository: string) {
    this.#child = spawnApart(() =>
      spawn('git', ['--git-dir', repository, 'cat-file', '--batch'], {
        env: gitEnvironment(),
        stdio: ['pipe', 'pipe', 'ignore'],
        detached: true,
      }),
    )
    this.#child.on('error', () => {}) // its output ends, which is reported
    this.#child.stdin.on('error', () => {})
    this.#pieces = this.#child.stdout[Symbol.asyncIterator]()
  }

  /** The size in bytes of a blob, whose content `content` then yields. */
  async open(oid: string): Promise<number> {
    this.#child.stdin.write(`${oid}\n`)
    let end = this.#rest.indexOf(0x0a)
    while (end < 0) {
      this.#rest = Buffer.concat([this.#rest, await this.#next()])
      end = this.#rest.indexOf(0x0a)
    }
    const [, type, size] = this.#rest.toString('latin1', 0, end).split(' ')
    this.#rest = this.#rest.subarray(end + 1)
    if (type !== 'blob') throw new TarspoutError('ERR_STORE', `${oid} is ${type}, not a blob`)
    return Number(size)
  }

  async *content(size: number): AsyncGenerator<Buffer> {
    for (let left = size; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next()
      const piece = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(piece.length)
      left -= piece.length
      yield piece
    }
    if (this.#rest.length === 0) this.#rest = await this.#next()
    this.#rest = this.#rest.subarray(1) // the newline behind each blob
  }

  close(): void {
    this.#child.stdin.end()
    this.#child.stdout.destroy()
    this.#child.kill()
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#pieces.next()
    if (done) throw new TarspoutError('ERR_STORE', 'git cat-file ended')
    return value
  }
}
