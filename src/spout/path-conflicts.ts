import { posix } from 'node:path'

// Pachyderm stores ./a, a//b, a/./b and a/. as a, a/b, a/b and a.
const UNCLEAN = /(?:^|\/)\.?(?:\/|$)/

/**
 * Finds a path that is a file in one entry and a folder in another: "a" and "a/b". Pachyderm finds it only when the commit is
 * finished, and then the pipeline is wedged (PACHYDERM.md section 2).
 *
 * Without a slash in any name there can be no conflict, so names are only collected until the first one with a slash comes.
 */
export class PathConflicts {
  #names: string[] = []
  #files: Set<string> | undefined
  readonly #folders = new Set<string>()
  #name = '' // what find() looked at last
  #foldersOfName: string[] = []

  /** The path in the commit that `entryName` is in conflict with, or undefined. */
  find(entryName: string): string | undefined {
    const hasSlash = entryName.includes('/')
    const name = hasSlash && UNCLEAN.test(entryName) ? posix.normalize(entryName) : entryName
    this.#name = name
    if (!this.#files) {
      if (!hasSlash) return undefined
      this.#files = new Set(this.#names)
      this.#names = []
    }
    if (this.#folders.has(name)) return `${name}/`
    this.#foldersOfName = []
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
      const folder = name.slice(0, slash)
      if (this.#files.has(folder)) return folder
      this.#foldersOfName.push(folder)
    }
    return undefined
  }

  /** The name find() looked at last, and found nothing, is in the commit from here on. */
  take(): void {
    if (!this.#files) {
      this.#names.push(this.#name)
      return
    }
    for (const folder of this.#foldersOfName) this.#folders.add(folder)
    this.#files.add(this.#name)
  }
}
