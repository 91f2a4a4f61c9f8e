// What readers are known to make otherwise, each with its reason. Anything else is a failure of the
// interop test.
import type { Row } from './grid.js'

export interface Limit {
  reader: string
  fields: string[]
  applies: (row: Row) => boolean
  why: string
}

const isAscii = (text: string | undefined) => Buffer.byteLength(text ?? '') === (text ?? '').length
const needsOwnerRecord = (name: string | undefined) => !isAscii(name) || (name ?? '').length > 31
const S = 1_000_000_000n
const needsTimeRecord = ({ entry }: Row) =>
  entry.mtime < 0n || entry.mtime % S !== 0n || entry.mtime / S >= 2n ** 33n
const needsIdRecord = ({ entry }: Row) => (entry.uid ?? 0) > 2097151

export const LIMITS: Limit[] = [
  {
    reader: 'GNU tar',
    fields: ['mtime'],
    applies: ({ entry }) => entry.mtime < 0n && entry.mtime % S !== 0n,
    why: 'lists a time before 1970 with a fraction wrongly (1.34), extracts it rightly',
  },
  {
    reader: 'busybox',
    fields: ['mtime'],
    applies: needsTimeRecord,
    why: 'reads no pax mtime: whole seconds where the header has them, else 1970',
  },
  {
    reader: 'busybox',
    fields: ['uname', 'gname'],
    applies: ({ entry }) => needsOwnerRecord(entry.uname) || needsOwnerRecord(entry.gname),
    why: 'reads no pax uname and gname',
  },
  {
    reader: 'busybox',
    fields: ['uid', 'gid'],
    applies: needsIdRecord,
    why: 'reads no pax uid and gid',
  },
  {
    reader: 'busybox',
    fields: ['size'],
    applies: ({ hole }) => (hole ?? 0) >= 8 * 2 ** 30,
    why: 'reads no pax size, so it cannot read bodies from 8 GiB on',
  },
  {
    reader: 'busybox',
    fields: ['name'],
    applies: ({ entry }) => entry.name.startsWith('/'),
    why: 'removes leading slashes, by design',
  },
  {
    reader: 'node-tar',
    fields: ['name'],
    applies: ({ entry }) => entry.name.includes('\n') && !isAscii(entry.name),
    why: 'reads pax line by line, so it misses a path with a newline',
  },
  {
    reader: 'tar-stream extract',
    fields: ['mtime'],
    applies: needsTimeRecord,
    why: 'reads no pax mtime: whole seconds where the header has them, else 1970',
  },
  {
    reader: 'tar-stream extract',
    fields: ['uid', 'gid'],
    applies: needsIdRecord,
    why: 'reads no pax uid and gid',
  },
  {
    reader: 'tar-stream extract',
    fields: ['uname', 'gname'],
    applies: ({ entry }) => needsOwnerRecord(entry.uname) || needsOwnerRecord(entry.gname),
    why: 'reads no pax uname and gname',
  },
]

/** The fields of a row the reader is known to tell otherwise. */
export function knownLimits(reader: string, row: Row): string[] {
  return LIMITS.filter((limit) => limit.reader === reader && limit.applies(row)).flatMap(
    (limit) => limit.fields,
  )
}
