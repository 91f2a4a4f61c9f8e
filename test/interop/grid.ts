// The entries every reader is asked about: one archive each, so that a reader that fails fails by
// itself.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type Entry, encodeHeader } from 'tarspout'

export interface Row {
  /** The group the row belongs to in docs/format.md. */
  about: string
  title: string
  entry: Entry & { mtime: bigint }
  /** Bytes of a body that is not written but a hole in the file. */
  hole?: number
}

const GiB = 2 ** 30
const S = 1_000_000_000n
const PLAIN = {
  name: 'a.txt',
  mode: 0o640,
  mtime: 1387580181n * S,
  uid: 501,
  gid: 20,
  uname: 'maf',
  gname: 'staff',
} as const

function row(about: string, title: string, patch: Partial<Row['entry']>, hole?: number): Row {
  const entry = { ...PLAIN, ...patch }
  const bodyless = [
    'link',
    'symlink',
    'directory',
    'fifo',
    'character-device',
    'block-device',
  ].includes(entry.type ?? '')
  if (!bodyless && hole === undefined) entry.data ??= 'hello'
  if (hole !== undefined) entry.size = hole
  return hole === undefined ? { about, title, entry } : { about, title, entry, hole }
}

export const GRID: Row[] = [
  row('name', '1 byte', { name: 'a' }),
  row('name', '100 bytes', { name: 'n'.repeat(100) }),
  row('name', '101 bytes, no slash', { name: 'n'.repeat(101) }),
  row('name', '155 + 100 bytes', { name: `${'p'.repeat(155)}/${'t'.repeat(100)}` }),
  row('name', '156 + 100 bytes', { name: `${'p'.repeat(156)}/${'t'.repeat(100)}` }),
  row('name', '155 + 101 bytes', { name: `${'p'.repeat(155)}/${'t'.repeat(101)}` }),
  row('name', '200 parts', { name: `${'d/'.repeat(199)}e` }),
  row('name', '5,000 bytes in parts of 100', {
    name: `${'p'.repeat(99)}/`.repeat(49) + 'e'.repeat(100),
  }),
  row('name', 'not ASCII', { name: 'é/日本/😀' }),
  row('name', 'not ASCII, 102 bytes in 34 characters', { name: '日'.repeat(34) }),
  row('name', 'absolute, 101 bytes', { name: `/${'n'.repeat(100)}` }),
  row('name', 'a newline', { name: 'a\nb' }),
  row('name', 'a newline, not ASCII', { name: 'é\nb' }),
  row('name', 'spaces and an equals sign', { name: ' a = b ' }),
  row('linkname', '100 bytes', { type: 'symlink', linkname: 'l'.repeat(100) }),
  row('linkname', '101 bytes', { type: 'symlink', linkname: 'l'.repeat(101) }),
  row('linkname', 'not ASCII', { type: 'symlink', linkname: 'é' }),
  row('linkname', 'hard link, 101 bytes', { type: 'link', linkname: 'l'.repeat(101) }),
  row('owner', 'names of 31 bytes', { uname: 'u'.repeat(31), gname: 'g'.repeat(31) }),
  row('owner', 'names of 32 bytes', { uname: 'u'.repeat(32), gname: 'g'.repeat(32) }),
  row('owner', 'names not ASCII', { uname: 'é', gname: 'ü' }),
  row('owner', 'no names', { uname: '', gname: '' }),
  row('owner', 'ids 262143', { uid: 262143, gid: 262143 }),
  row('owner', 'ids 262144', { uid: 262144, gid: 262144 }),
  row('owner', 'ids 2097151', { uid: 2097151, gid: 2097151 }),
  row('owner', 'ids 2097152', { uid: 2097152, gid: 2097152 }),
  row('owner', 'ids 4294967294', { uid: 4294967294, gid: 4294967294 }),
  row('owner', 'ids 2097152, no names', { uid: 2097152, gid: 2097152, uname: '', gname: '' }),
  row('mtime', '1970', { mtime: 0n }),
  row('mtime', '1 s before 1970', { mtime: -S }),
  row('mtime', '3599.5 s before 1970', { mtime: -3_599_500_000_000n }),
  row('mtime', 'milliseconds', { mtime: 1387580181n * S + 123_000_000n }),
  row('mtime', 'nanoseconds', { mtime: 1387580181n * S + 123_456_789n }),
  row('mtime', '2038, past 31 bits', { mtime: 2n ** 31n * S }),
  row('mtime', '2242, the last in octal', { mtime: (2n ** 33n - 1n) * S }),
  row('mtime', '2242, past octal', { mtime: 2n ** 33n * S }),
  ...[0, 1, 511, 512, 513].map((size) => row('size', `${size}`, { data: 'x'.repeat(size) })),
  ...[2, 4, 8].flatMap((gib) =>
    [-1, 0, 1].map((d) =>
      row('size', `${gib} GiB${d === 0 ? '' : d < 0 ? ' - 1' : ' + 1'}`, {}, gib * GiB + d),
    ),
  ),
  row('mode', '0', { mode: 0 }),
  row('mode', '07777', { mode: 0o7777 }),
  row('type', 'link', { type: 'link', linkname: 'target' }),
  row('type', 'symlink', { type: 'symlink', linkname: 'target' }),
  row('type', 'character-device 1, 3', { type: 'character-device', devmajor: 1, devminor: 3 }),
  row('type', 'block-device 259, 262144', {
    type: 'block-device',
    devmajor: 259,
    devminor: 262144,
  }),
  row('type', 'directory', { type: 'directory', name: 'dir' }),
  row('type', 'directory with a slash', { type: 'directory', name: 'dir/' }),
  row('type', 'directory, name of 101 bytes and a slash', {
    type: 'directory',
    name: `${'d'.repeat(100)}/`,
  }),
  row('type', 'fifo', { type: 'fifo' }),
  row('type', 'contiguous-file', { type: 'contiguous-file' }),
  row('pax', 'a comment', { pax: { comment: 'è' } }),
  row('pax', 'a value with a newline', { pax: { 'TARSPOUT.note': 'a\n30 path=evil\n' } }),
  row('pax', 'a record of 999,999 bytes', { pax: { comment: 'c'.repeat(1_000_000 - 17) } }),
]

/** Writes the row's archive; a hole takes no room on disk. */
export function writeArchive(path: string, { entry, hole }: Row): void {
  const { data, ...fields } = entry
  const body = Buffer.from((data as string | undefined) ?? '')
  const header = encodeHeader({ ...fields, size: hole ?? body.length })
  const size = hole ?? body.length
  const file = openSync(path, 'w')
  writeSync(file, header)
  writeSync(file, body)
  // The padding and the two zero blocks are part of the hole.
  ftruncateSync(file, header.length + Math.ceil(size / 512) * 512 + 1024)
  closeSync(file)
}
