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
  /**
   * Commits an archive: all of it or nothing. Durable once it settles.
   *
   * @throws TarspoutError `ERR_ARCHIVE` if the archive cannot be committed (a path conflict); the store can go on.
   * `ERR_STORE` if the store failed; it cannot go on.
   */
  commit(archive: ReceivedArchive): Promise<CommitRecord>
  close(): Promise<void>
}
