import { readFileSync } from 'node:fs'
import type { Writable } from 'node:stream'
import test from 'ava'
import tarStream from 'tar-stream'
import { type PackHeader, pack } from 'tarspout'
import { Random } from '../support/random.js'
import { DIFFERENCES, isVoid, typeOf } from './pack-differences.js'

const MTIME = new Date(1387580181000)
const GiB = 2 ** 30
const around = (limit: number) => [limit - 1, limit, limit + 1]
// Bodies above this are not written: the header, and what comes before the body's second byte, is
// compared.
const MOST_BODY = 2000

const VALUES: { [K in keyof PackHeader]?: readonly PackHeader[K][] } = {
  name: [
    '',
    'é',
    'a\0b',
    'dir/',
    '/abs',
    './a',
    'a//b',
    '日'.repeat(34),
    ...[99, 100, 101, 255, 256, 257].map((n) => 'n'.repeat(n)),
    ...[1, 154, 155, 156].flatMap((prefix) =>
      [99, 100, 101].map((tail) => `${'p'.repeat(prefix)}/${'t'.repeat(tail)}`),
    ),
    `${'d'.repeat(60)}//${'e'.repeat(60)}`,
    `/${'d'.repeat(60)}/${'e'.repeat(60)}`,
    `/${'d'.repeat(100)}`,
    `${'d'.repeat(100)}/`,
    `${'d/'.repeat(100)}e`,
    `${'d/'.repeat(60)}`,
    `${'x'.repeat(5000)}`,
  ],
  size: [0, 1, 511, 512, 513, ...around(2 * GiB), ...around(4 * GiB), ...around(8 * GiB), null],
  mode: [0, 0o600, 0o7777, 0o100644, 0o40755, 0o120777, 0o60644, 0o20644, 0o10644, 0o140755, null],
  mtime: [
    new Date(0),
    new Date(1387580181123),
    new Date(-1000),
    new Date(-1),
    ...around(2 ** 31).map((s) => new Date(s * 1000)),
    ...around(2 ** 33).map((s) => new Date(s * 1000)),
  ],
  uid: [-1, 501, ...around(2 ** 18), ...around(2 ** 21), null],
  gid: [-1, 20, ...around(2 ** 18), ...around(2 ** 21), null],
  uname: ['maf', 'é', ...[30, 31, 32, 33].map((n) => 'u'.repeat(n)), 'a\0b', null],
  gname: ['staff', 'é', ...[30, 31, 32, 33].map((n) => 'g'.repeat(n)), 'a\0b', null],
  type: [
    'file',
    'link',
    'symlink',
    'character-device',
    'block-device',
    'directory',
    'fifo',
    'contiguous-file',
    'pax-global-header',
    'unknown',
    null,
  ],
  linkname: ['a', 'é', 'a\0', ...[99, 100, 101].map((n) => 'l'.repeat(n)), null],
  devmajor: [-1, 8, ...around(2 ** 18), ...around(2 ** 21)],
  devminor: [-1, 8, ...around(2 ** 18), ...around(2 ** 21)],
  pax: [
    null,
    {},
    { special: 'sauce' },
    { 'VENDOR.ü': 'ü\nü', n: 5 },
    { mtime: '1.5', uid: '3000000', gname: 'ü' },
    { path: 'other' },
    { size: '7', comment: 'c' },
    { mtime: 'yesterday' },
    { uid: '-1' },
    { '': 'x' },
    { 'a=b': 'c' },
    { uname: '' },
    { k: 'v'.repeat(985) },
    { k: 'v'.repeat(986) },
    { k: 'v'.repeat(20_000) },
  ],
}

type Packer = {
  entry(header: PackHeader): Writable
  finalize(): void
  destroy(): void
} & AsyncIterable<Buffer>

// The bytes of an archive of this entry, or undefined if it is refused. Headers are copied:
// tar-stream changes its.
async function archiveOf(make: () => Packer, header: PackHeader): Promise<Buffer | undefined> {
  const archive = make()
  const size = header.size ?? 0
  const chunks: Buffer[] = []
  try {
    const entry = archive.entry({ ...header })
    entry.on('error', () => {})
    if (size > MOST_BODY && !isVoid(header)) {
      entry.write('x')
      for await (const chunk of archive) {
        chunks.push(chunk)
        if (Buffer.concat(chunks).length % 512 === 1) break
      }
      return Buffer.concat(chunks)
    }
    if (!isVoid(header)) entry.end(Buffer.alloc(size, 'x'))
    archive.finalize()
    for await (const chunk of archive) chunks.push(chunk)
    return Buffer.concat(chunks)
  } catch {
    return undefined
  }
}

const make = {
  tarStream: () => tarStream.pack() as unknown as Packer,
  tarspout: () => pack() as unknown as Packer,
}

interface Result {
  same: boolean
  reasons: number[]
}

async function compare(header: PackHeader): Promise<Result> {
  const [theirs, ours] = [
    await archiveOf(make.tarStream, header),
    await archiveOf(make.tarspout, header),
  ]
  const size = isVoid(header) ? 0 : (header.size ?? 0)
  const reasons = DIFFERENCES.flatMap((difference, i) =>
    difference.applies(header, size) ? [i] : [],
  )
  return { same: theirs !== undefined && ours !== undefined && theirs.equals(ours), reasons }
}

const show = (header: PackHeader) =>
  JSON.stringify(header, (_, value) =>
    typeof value === 'string' && value.length > 300 ? `${value.length} long` : value,
  )

function* singles(): Generator<PackHeader> {
  const bases: PackHeader[] = [
    {
      name: 'a',
      mtime: MTIME,
      mode: 0o644,
      uname: 'maf',
      gname: 'staff',
      uid: 501,
      gid: 20,
      size: 12,
    },
    { name: 'd', mtime: MTIME, type: 'directory' },
    { name: 'l', mtime: MTIME, type: 'symlink', linkname: 'target' },
    { name: `${'n'.repeat(101)}`, mtime: MTIME, type: 'link', linkname: 'target', pax: { k: 'v' } },
  ]
  for (const base of bases) {
    for (const [key, values] of Object.entries(VALUES)) {
      for (const value of values as readonly unknown[]) {
        const header = { ...base, [key]: value }
        // A symlink without linkname waits for its target: pack.test.ts has it.
        if (!isSymlink(header) || header.linkname) yield header
      }
    }
  }
}

const isSymlink = (header: PackHeader) => typeOf(header) === 'symlink'

test('each value of each field: the same bytes as tar-stream, or a listed difference, and each of those is one', async (t) => {
  const proven = new Set<number>()
  let same = 0
  for (const header of singles()) {
    const result = await compare(header)
    if (result.same !== (result.reasons.length === 0)) {
      t.fail(
        `${result.same ? 'the same bytes' : 'other bytes'}, reasons ${result.reasons}: ${show(header)}`,
      )
    }
    if (result.same) same++
    if (result.reasons.length === 1) proven.add(result.reasons[0] as number)
  }
  t.true(same > 200, String(same))
  for (const [i, { when }] of DIFFERENCES.entries())
    t.true(proven.has(i), `never seen by itself: ${when}`)
})

test('4,000 random headers: the same bytes unless a listed difference applies', async (t) => {
  const random = new Random(31)
  let same = 0
  for (let i = 0; i < 4000; i++) {
    const header: Record<string, unknown> = {
      name: `f${i}`,
      mtime: MTIME,
      size: random.below(1500),
    }
    for (let changes = random.below(4); changes >= 0; changes--) {
      const key = random.pick(Object.keys(VALUES) as (keyof PackHeader)[])
      header[key] = random.pick(VALUES[key] as readonly unknown[])
    }
    const entry = header as unknown as PackHeader
    if (isSymlink(entry) && !entry.linkname) continue
    const result = await compare(entry)
    if (result.same) same++
    else if (result.reasons.length === 0) t.fail(`other bytes without a reason: ${show(entry)}`)
  }
  t.true(same > 800, String(same))
})

test('archives of many entries are the same bytes', async (t) => {
  const random = new Random(7)
  const write = async (make: () => Packer, seed: number) => {
    const each = new Random(seed)
    const archive = make()
    for (let i = 0; i < 50; i++) {
      const size = each.below(3000)
      const header = {
        name: `${'dir/'.repeat(each.below(60))}${each.below(2) ? 'é' : 'e'}${i}`,
        mtime: MTIME,
        size,
      }
      archive.entry(header).end(Buffer.alloc(size, i))
    }
    archive.finalize()
    const chunks: Buffer[] = []
    for await (const chunk of archive) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  for (let i = 0; i < 20; i++) {
    const seed = random.below(2 ** 31)
    t.deepEqual(await write(make.tarspout, seed), await write(make.tarStream, seed))
  }
})

test('docs/format.md lists these differences and no others', (t) => {
  const page = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8')
  const table = /<!-- differences: [^>]* -->([\s\S]*?)<!-- end -->/.exec(page)?.[1] ?? ''
  const rows = table.split('\n').filter((line) => line.startsWith('| '))
  const cells = rows.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  t.deepEqual(
    cells,
    DIFFERENCES.map(({ when, tarStream, tarspout }) => [when, tarStream, tarspout]),
  )
})
