import { createHash } from 'node:crypto'
import { TYPEFLAGS } from '../tar/header-oracle.js'
import type { Row } from './grid.js'
import type { Found } from './readers.js'

/** What a reader should find in the row's archive. */
export function expected({ entry, hole }: Row): Required<Omit<Found, 'mtimeWithin'>> {
  const data = Buffer.from((entry.data as string | undefined) ?? '')
  return {
    name: entry.name,
    typeflag: TYPEFLAGS[entry.type ?? 'file'],
    size: hole ?? data.length,
    mode: entry.mode,
    mtime: entry.mtime,
    uid: entry.uid,
    gid: entry.gid,
    uname: entry.uname,
    gname: entry.gname,
    linkname: entry.linkname ?? '',
    devmajor: entry.devmajor ?? 0,
    devminor: entry.devminor ?? 0,
    body: createHash('sha256').update(data).digest('hex'),
  }
}

/** The fields a reader tells otherwise, or its error. An empty list: it agrees. */
export function disagreements(row: Row, found: Found | Error): string[] {
  if (found instanceof Error) return [`refused (${found.message})`]
  const want = expected(row)
  return (Object.keys(want) as (keyof typeof want)[]).filter((field) => {
    const told = found[field]
    if (told === undefined) return false
    // Some readers put a slash behind a directory's name.
    if (field === 'name') return withoutSlash(String(told)) !== withoutSlash(want.name ?? '')
    if (field === 'mtime') {
      const off = (told as bigint) - (want.mtime ?? 0n)
      return (off < 0n ? -off : off) > (found.mtimeWithin ?? 0n)
    }
    return told !== want[field]
  })
}

const withoutSlash = (name: string) => (name.length > 1 ? name.replace(/\/$/, '') : name)
