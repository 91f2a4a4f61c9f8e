import { TarspoutError } from '../base/errors.js'
import { show } from './entry-path.js'

/**
 * A path that would be both file and folder. Pachyderm finds it when the commit is finished, and
 * the pipeline then waits for ever.
 */
export class PathConflict extends TarspoutError {
  constructor(path: string, what: string) {
    super(
      'ERR_ARCHIVE',
      `path conflict: ${show(path)} is ${what}, and cannot be both file and folder`,
      {
        entry: path,
      },
    )
  }
}

/** All folders that lead to these files. */
export function foldersOf(files: Iterable<string>): Set<string> {
  const folders = new Set<string>()
  for (const path of files) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at)
      if (folders.has(folder)) break
      folders.add(folder)
    }
  }
  return folders
}

/** @throws PathConflict for a file that is also one of the folders */
export function checkPaths(files: Iterable<string>, folders: ReadonlySet<string>): void {
  for (const path of files) if (folders.has(path)) throw new PathConflict(path, 'a folder, too')
}
