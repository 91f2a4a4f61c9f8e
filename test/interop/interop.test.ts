import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { disagreements } from './compare.js'
import { GRID, type Row, writeArchive } from './grid.js'
import { knownLimits, LIMITS } from './limits.js'
import { type Archive, type Found, READERS } from './readers.js'

const folder = mkdtempSync(join(tmpdir(), 'tarspout-interop-'))
const archives: Archive[] = GRID.map((row, i) => {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${i}.tar`)
  writeArchive(path, row)
  return { row, path }
})
test.after.always(() => rmSync(folder, { recursive: true }))

// These come with this package or with what building it needs.
const ALWAYS_THERE = ['GNU tar', 'Python tarfile', 'node-tar', 'tar-stream extract']
const PINNED = ['node-tar', 'tar-stream extract']

const titleOf = (row: Row) => `${row.about}: ${row.title}`

for (const reader of READERS) {
  test(`${reader.name} reads what was written, but for its known limits`, async (t) => {
    const version = reader.version()
    if (version === undefined) {
      const message = `${reader.name} was not asked: this test needs ${reader.needs}`
      // In CI, and for readers that have to be there, that is no excuse.
      t.false(process.env.CI !== undefined || ALWAYS_THERE.includes(reader.name), message)
      t.log(message)
      return
    }
    const found = await reader.read(archives)
    t.is(found.length, GRID.length)
    let agreed = 0
    for (const [i, row] of GRID.entries()) {
      const differs = disagreements(row, found[i] as Found | Error)
      const known = knownLimits(reader.name, row)
      const unknown = differs.filter((field) => !known.includes(field))
      if (unknown.length > 0) t.fail(`${titleOf(row)}: ${unknown.join(', ')}: ${shown(found[i])}`)
      if (differs.length === 0) agreed++
    }
    t.true(agreed >= 50, `agreed in ${agreed} of ${GRID.length} rows`)
    t.log(`${reader.name} ${version}: agrees in ${agreed} of ${GRID.length} rows`)
    if (!PINNED.includes(reader.name)) return
    for (const limit of LIMITS.filter((limit) => limit.reader === reader.name)) {
      const seen = GRID.some(
        (row, i) => limit.applies(row) && disagreements(row, found[i] as Found | Error).length > 0,
      )
      t.true(seen, `a limit that is none any more: ${limit.why}`)
    }
  })
}

test('a reader that tells something else is noticed, in every field', (t) => {
  const row = GRID[0] as Row
  t.deepEqual(disagreements(row, { size: 5, uid: 501, uname: 'maf' }), [])
  const wrong: Found = {
    name: 'b',
    typeflag: '5',
    size: 6,
    mode: 0,
    mtime: 0n,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    linkname: 'x',
    devmajor: 1,
    devminor: 1,
    body: 'x',
  }
  t.deepEqual(disagreements(row, wrong).sort(), Object.keys(wrong).sort())
  t.deepEqual(disagreements(row, new Error('no')), ['refused (no)'])
  t.deepEqual(disagreements(row, { mtime: row.entry.mtime + 1n, mtimeWithin: 1n }), [])
  t.deepEqual(disagreements(row, { mtime: row.entry.mtime + 2n, mtimeWithin: 1n }), ['mtime'])
})

function shown(found: Found | Error | undefined): string {
  if (found instanceof Error) return found.message
  return JSON.stringify(found, (_, value) =>
    typeof value === 'bigint' ? `${value}n` : value,
  ).slice(0, 400)
}
