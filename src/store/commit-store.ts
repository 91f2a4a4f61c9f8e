import type { ReceivedArchive } from './received-archive.js'

/** What an archive became. */
export interface CommitRecord {
  /** The commit on the output branch. */
  readonly oid: string
  readonly branch: string
  readonly entries: number
  /** Bytes of all bodies. */
  readonly bytes: number
  readonly markers: number
  /** From the archive's first byte to the durable commit. */
  readonly durationMs: number
}

/** Where archives are committed. */
export interface CommitStore {
  /** Where archives that do not fit in memory are kept until they are whole. */
  readonly spoolFolder: string
  /**
   * Commits an archive: all of it or nothing. Durable once it settles.
   *
   * @throws TarspoutError `ERR_ARCHIVE` if the archive cannot be committed (a path conflict); the
   * store can go on. `ERR_STORE` if the store failed; it cannot go on.
   */
  commit(archive: ReceivedArchive): Promise<CommitRecord>
  /**
   * Writes what was last stored under the marker's name, a file or a folder, below `folder`.
   *
   * @returns `none`: no marker was ever stored; `missing`: markers were stored, but none of exactly
   * this name.
   */
  pullMarker(marker: string, folder: string): Promise<'pulled' | 'none' | 'missing'>
  close(): Promise<void>
}
