import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { git } from './git.js'

// Looking an object up asks one pack after the other.
const PACKS_A_ROUND = 256
// Packs of this size are left as they are: large files are not written again and again.
const LARGE_PACK_BYTES = 256 << 20

/**
 * The pack files of a repository. Each checkpoint writes one; after so many they are put together.
 */
export class Packs {
  readonly folder: string
  readonly #repository: string
  // Since they were last put together.
  #count = 0

  constructor(repository: string) {
    this.#repository = repository
    this.folder = join(repository, 'objects/pack')
  }

  /** Counts what earlier runs left. */
  count(): void {
    this.#count = this.#names().length
  }

  added(): void {
    this.#count++
  }

  get areMany(): boolean {
    return this.#count >= PACKS_A_ROUND
  }

  /** Puts the small ones together. Nobody may have them open. */
  async putTogether(): Promise<void> {
    if (this.#count > 1) {
      const isLarge = (name: string) => statSync(join(this.folder, name)).size >= LARGE_PACK_BYTES
      const large = this.#names().filter(isLarge)
      const keep = large.map((name) => `--keep-pack=${name}`)
      await this.#git('repack', '-d', '--quiet', '--geometric=2', ...keep)
    }
    this.#count = 0
  }

  /** Removes what no branch leads to. Nobody may have a pack open. */
  async collectGarbage(): Promise<void> {
    if (this.#count > 0) await this.#git('gc', '--quiet', '--prune=now')
  }

  /** Removes what a git that was killed had not finished. */
  removeUnfinished(): void {
    for (const name of readdirSync(this.folder))
      if (/^\.?tmp[_-]/.test(name)) rmSync(join(this.folder, name), { force: true })
  }

  async #git(...args: string[]): Promise<void> {
    await git(['--git-dir', this.#repository, ...args])
  }

  #names(): string[] {
    return readdirSync(this.folder).filter((name) => name.endsWith('.pack'))
  }
}
