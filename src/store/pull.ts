import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { storedPath } from '../names/entry-path.js'
import { BlobReader } from './blob-reader.js'
import { git } from './git.js'

/**
 * Writes a path of a commit, file or folder, below `folder`.
 *
 * @returns how many files that were; 0 if the commit has no such path.
 */
export async function pull(
  repository: string,
  commit: string,
  path: string,
  folder: string,
): Promise<number> {
  const args = ['--git-dir', repository, '--literal-pathspecs', 'ls-tree', '-r', '-z', commit]
  const listing = await git(path === '' ? args : [...args, '--', path])
  const files = listing.split('\0').filter((line) => line !== '')
  if (files.length === 0) return 0
  const blobs = new BlobReader(repository)
  try {
    for (const line of files) {
      const [facts = '', name = ''] = line.split('\t')
      const target = join(folder, storedPath(name))
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
      const size = await blobs.open(facts.split(' ')[2] ?? '')
      await pipeline(blobs.content(size), createWriteStream(target, { flags: 'wx' }))
    }
  } finally {
    blobs.close()
  }
  return files.length
}
