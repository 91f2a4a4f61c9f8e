import { constants } from 'node:fs'
import type { EntryFields } from '../tar/entry.js'
import { type HeaderFields, headerFields } from '../tar/fields.js'

/**
 * The header `pack.entry()` takes: tar-stream's, so null stands for absent, `pax` may hold numbers,
 * and a header that comes from tar-stream's extract is good as it is. It is read once, at the call,
 * and never changed.
 */
export interface PackHeader {
  name: string
  /**
   * Bytes of the body. Default: what the body given to `entry()` has, else 0. Set to 0 for types
   * that have no body.
   */
  size?: number | null | undefined
  /**
   * Permission bits; file type bits give the type where `type` does not. Default 0o644, for
   * directories 0o755.
   */
  mode?: number | null | undefined
  /** Default: now, in whole seconds. */
  mtime?: Date | bigint | null | undefined
  uid?: number | null | undefined
  gid?: number | null | undefined
  uname?: string | null | undefined
  gname?: string | null | undefined
  /** Default: by `mode`; `'directory'` for a name that ends in a slash; else `'file'`. */
  type?: EntryFields['type'] | null
  /** A symlink without one takes its body for it. */
  linkname?: string | null | undefined
  devmajor?: number | null | undefined
  devminor?: number | null | undefined
  /**
   * Further records. `path`, `linkpath` and `size` are left out: name, linkname and size say it.
   */
  pax?: Readonly<Record<string, string | number>> | null | undefined
  /** What extract adds; not used. */
  byteOffset?: number
}

const PERMISSIONS = 0o7777
const FILE_MODE = 0o644
const DIRECTORY_MODE = 0o755
const OWNED_RECORDS = new Set(['path', 'linkpath', 'size'])

/** The type of an entry, as tar-stream finds it. */
export function typeOf(header: PackHeader): string {
  if (header.type) return header.type
  switch ((header.mode ?? 0) & constants.S_IFMT) {
    case constants.S_IFBLK:
      return 'block-device'
    case constants.S_IFCHR:
      return 'character-device'
    case constants.S_IFDIR:
      return 'directory'
    case constants.S_IFIFO:
      return 'fifo'
    case constants.S_IFLNK:
      return 'symlink'
  }
  // Every reader takes such a name for a directory; tar-stream writes the typeflag of a file.
  return typeof header.name === 'string' && header.name.endsWith('/') ? 'directory' : 'file'
}

/** The fields of a header, tar-stream's defaults filled in. Throws as {@link headerFields}. */
export function packFields(
  header: PackHeader,
  type: string,
  size: number,
  linkname: string,
): HeaderFields {
  const mode = header.mode ?? (type === 'directory' ? DIRECTORY_MODE : FILE_MODE)
  const pax = header.pax
    ? Object.entries(header.pax).filter(([key]) => !OWNED_RECORDS.has(key))
    : []
  const fields = headerFields(
    {
      name: header.name,
      mode: typeof mode === 'number' ? mode & PERMISSIONS : mode,
      mtime: header.mtime ?? new Date(Math.floor(Date.now() / 1000) * 1000),
      uid: header.uid ?? undefined,
      gid: header.gid ?? undefined,
      uname: header.uname ?? undefined,
      gname: header.gname ?? undefined,
      type,
      linkname,
      devmajor: header.devmajor ?? undefined,
      devminor: header.devminor ?? undefined,
      pax:
        pax.length === 0
          ? undefined
          : Object.fromEntries(pax.map(([key, value]) => [key, recordText(value)])),
    },
    size,
  )
  return { ...fields, namesInPax: true }
}

function recordText(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new TypeError(`pax must be an object of strings and numbers, found ${typeof value}`)
  }
  return String(value)
}
