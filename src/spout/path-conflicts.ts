import { posix } from 'node:path'

// Pachyderm stores ./a, a//b and a/./b as a and a/b.
const UNCLEAN = /(?:^|\/)\.?\//

/**
 * Finds a path that is a file in one entry and a folder in another: "a" and "a/b". Pachyderm finds it only when the commit is
 * finished, and then the pipeline is wedged (PACHYDERM.md section 2).
 *
 * Without a slash in any name there can be no conflict, so names are only collected until the first one with a slash comes.
 */
export class PathConflicts {
  #names: string[] = []
  #files: Set<string> | undefined
  #folders = new Set<string>()

  /** The path `name` is in conflict with, or undefined; then it counts as sent. */
  add(entryName: string): string | undefined {
    const name = UNCLEAN.test(entryName) ? posix.normalize(entryName) : entryName
    if (!this.#files) {
      if (!name.includes('/')) {
        this.#names.push(name)
        return undefined
      }
      this.#files = new Set(this.#names)
      this.#names = []
    }
    if (this.#folders.has(name)) return `${name}/`
    const folders: string[] = []
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
      const folder = name.slice(0, slash)
      if (this.#files.has(folder)) return folder
      folders.push(folder)
    }
    for (const folder of folders) this.#folders.add(folder)
    this.#files.add(name)
    return undefined
  }
}
