import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { TarspoutError } from '../base/errors.js'
import { runProgram } from '../base/program.js'
import { encodeHeader } from '../tar/header.js'
import type { CommitRecord, CommitStore } from './commit-store.js'
import type { ReceivedArchive, ReceivedEntry } from './received-archive.js'

const BLOCK_BYTES = 512
const MARKER_BRANCH = 'marker'

export interface PachctlStoreOptions {
  /** The Pachyderm repository, for a spout that of its pipeline. */
  repo: string
  /** Default `master`. */
  branch?: string | undefined
  /** Replace a file that an entry names again, instead of appending to it. Default false. */
  overwrite?: boolean | undefined
}

/**
 * Commits to a repository of Pachyderm 2.x through its `pachctl` program, so that a spout written
 * for 1.x runs unchanged as the command of a 2.x spout pipeline. A commit is started, filled and
 * finished for each archive, and is durable once `finish commit` has ended.
 */
export class PachctlStore implements CommitStore {
  readonly spoolFolder = tmpdir()
  readonly #repo: string
  readonly #branch: string
  readonly #overwrite: boolean

  constructor(options: PachctlStoreOptions) {
    this.#repo = options.repo
    this.#branch = options.branch ?? 'master'
    this.#overwrite = options.overwrite ?? false
  }

  async commit(archive: ReceivedArchive): Promise<CommitRecord> {
    const files = archive.entries.filter((entry) => !entry.isMarker)
    const markers = archive.entries.filter((entry) => entry.isMarker)
    const oid = await this.#commitEntries(this.#branch, files, archive, this.#overwrite)
    for (const marker of markers) await this.#commitEntries(MARKER_BRANCH, [marker], archive, true)
    return {
      oid,
      branch: this.#branch,
      entries: archive.entries.length,
      bytes: archive.bytes,
      markers: markers.length,
      durationMs: performance.now() - archive.startedAt,
    }
  }

  async pullMarker(marker: string, folder: string): Promise<'pulled' | 'none' | 'missing'> {
    const target = join(folder, marker)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    const { status } = await runProgram('pachctl', [
      'get',
      'file',
      `${this.#repo}@${MARKER_BRANCH}:/${marker}`,
      '-r',
      '-o',
      target,
    ])
    return status === 0 ? 'pulled' : 'none'
  }

  async close(): Promise<void> {}

  async #commitEntries(
    branch: string,
    entries: readonly ReceivedEntry[],
    archive: ReceivedArchive,
    overwrite: boolean,
  ): Promise<string> {
    const commit = (await must(['start', 'commit', `${this.#repo}@${branch}`])).trim()
    const target = `${this.#repo}@${commit}`
    if (entries.length > 0) {
      const append = overwrite ? [] : ['--append']
      await must(
        ['put', 'file', `${target}:/`, '--untar', ...append, '-f', '-'],
        tarOf(entries, archive),
      )
    }
    await must(['finish', 'commit', target])
    return commit
  }
}

/** The entries as a tar archive, under their cleaned names. */
function* tarOf(
  entries: readonly ReceivedEntry[],
  archive: ReceivedArchive,
): Generator<Uint8Array> {
  for (const { path, offset, size } of entries) {
    yield encodeHeader({ name: path, size, mode: 0o600 })
    yield* archive.spool.read(offset, size)
    yield Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
  }
  yield Buffer.alloc(2 * BLOCK_BYTES)
}

async function must(args: readonly string[], input?: Iterable<Uint8Array>): Promise<string> {
  const { status, output, complaint } = await runProgram('pachctl', args, input)
  if (status === 0) return output
  throw new TarspoutError('ERR_STORE', `pachctl ${args.join(' ')}: ${complaint}`)
}
