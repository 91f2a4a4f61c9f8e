import { TarspoutError } from '../base/errors.js'
import { type EntryFields, type EntryType, TYPEFLAGS } from './entry.js'
import { type Mtime, splitMtime } from './mtime.js'

/** An entry's fields with their defaults, of the right types: what the addon takes. */
export interface HeaderFields {
  name: string
  linkname: string
  uname: string
  gname: string
  size: number
  mode: number
  mtime: Mtime
  uid: number
  gid: number
  /** As the caller gave it, for messages. */
  type: string
  /** A character code; 0 for a type that has none. */
  typeflag: number
  devmajor: number
  devminor: number
  /** tar-stream's layout: where name, linkname or `pax` need records, both names are records. */
  namesInPax: boolean
  /** Key, value, key, value, ... */
  pax: string[] | undefined
}

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700
const DIRECTORY = typeflagOf('directory')

/**
 * Checks the types of an entry's fields and fills in the defaults. Whether a format can hold the
 * values is for the addon to say. Throws TypeError or RangeError.
 */
export function headerFields(entry: EntryFields, size: number): HeaderFields {
  if (typeof entry !== 'object' || entry === null) {
    throw new TypeError(
      `an entry must be an object, found ${entry === null ? 'null' : typeof entry}`,
    )
  }
  const typeflag = typeflagOf(entry.type ?? 'file')
  return {
    name: text('name', entry.name),
    linkname: text('linkname', entry.linkname ?? ''),
    uname: text('uname', entry.uname ?? ''),
    gname: text('gname', entry.gname ?? ''),
    size: integer('size', size),
    mode: integer('mode', entry.mode ?? (typeflag === DIRECTORY ? DIRECTORY_MODE : FILE_MODE)),
    mtime: splitMtime(entry.mtime),
    uid: integer('uid', entry.uid ?? 0),
    gid: integer('gid', entry.gid ?? 0),
    type: entry.type ?? 'file',
    typeflag,
    devmajor: integer('devmajor', entry.devmajor ?? 0),
    devminor: integer('devminor', entry.devminor ?? 0),
    namesInPax: false,
    pax: entry.pax === undefined ? undefined : records(entry.pax),
  }
}

function text(field: string, value: unknown): string {
  if (typeof value !== 'string')
    throw new TypeError(`${field} must be a string, found ${typeof value}`)
  // UTF-8 has no form for it: it would silently become another character.
  if (!value.isWellFormed()) {
    throw new TarspoutError(
      field === 'name' ? 'ERR_TAR_NAME' : 'ERR_TAR_FIELD',
      `${field} holds a lone surrogate`,
      {
        entry: field === 'name' ? value : undefined,
        field,
      },
    )
  }
  return value
}

function integer(field: string, value: unknown): number {
  if (typeof value !== 'number')
    throw new TypeError(`${field} must be a number, found ${typeof value}`)
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`${field} must be an integer of at most 2^53 - 1, found ${value}`)
  }
  return value
}

function typeflagOf(type: EntryType): number {
  if (typeof type !== 'string') throw new TypeError(`type must be a string, found ${typeof type}`)
  const flag = Object.hasOwn(TYPEFLAGS, type) ? TYPEFLAGS[type as keyof typeof TYPEFLAGS] : type
  // 0 is no typeflag: the addon refuses it with the same words as any other.
  return flag.length === 1 && flag <= '\x7f' ? flag.charCodeAt(0) : 0
}

function records(pax: Readonly<Record<string, string>>): string[] {
  if (typeof pax !== 'object' || pax === null || Array.isArray(pax)) {
    throw new TypeError('pax must be an object of strings')
  }
  return Object.entries(pax).flatMap(([key, value]) => [text('pax', key), text('pax', value)])
}
