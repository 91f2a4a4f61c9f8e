// `npm run bench -- selftest`: the reader's check of archives is seen to fail, and to pass what it
// must.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { pack } from 'tar-stream'
import { encodeEntry, marker } from './lib/archive.js'
import { buildPrograms, startReader } from './lib/programs.js'
import { Workspace } from './lib/runner.js'
import { findWorkload, workloadNames } from './lib/workloads.js'

buildPrograms()
const workspace = new Workspace()
process.on('exit', () => workspace.close())

/** What the reader says of these bytes, written in pieces of `step` bytes. */
async function read(bytes, step = bytes.length) {
  const fifo = workspace.makeFifo()
  const reader = startReader(fifo, { verify: 1 })
  const stream = createWriteStream(fifo)
  for (let at = 0; at < bytes.length; at += step) {
    if (!stream.write(bytes.subarray(at, at + step))) await once(stream, 'drain')
  }
  stream.end()
  return reader.report
}

const entries = [
  { name: 'topic-0-1', data: Buffer.from('body'), mode: 0o644, mtime: new Date(1_500_000_000_000) },
  { name: 'empty', data: Buffer.alloc(0), mode: 0o600, mtime: new Date(0) },
  {
    name: `${'long-'.repeat(40)}name`,
    data: Buffer.alloc(513, 7),
    mode: 0o644,
    mtime: new Date(1000),
  },
]
const archiveOf = (list) => Buffer.concat([...list.map(encodeEntry), marker])
const change = (at, part) =>
  archiveOf(entries.map((entry, i) => (i === at ? { ...entry, ...part } : entry)))

const archive = archiveOf(entries)
const whole = await read(archive)
assert.equal(whole.entries, entries.length)
assert.equal(whole.fault, null)
assert.equal(whole.bytes, archive.length)

const cut = await read(archive, 7)
assert.equal(cut.entriesHash, whole.entriesHash, 'the same in pieces of 7 bytes')
assert.equal(cut.bytesHash, whole.bytesHash)

const packed = pack()
for (const { data, ...header } of entries) packed.entry({ ...header, size: data.length }, data)
packed.finalize()
const chunks = []
for await (const chunk of packed) chunks.push(chunk)
const other = await read(Buffer.concat(chunks))
assert.equal(other.entriesHash, whole.entriesHash, 'the same entries, spelled by tar-stream')
assert.notEqual(other.bytesHash, whole.bytesHash)

for (const [what, bytes] of [
  ['a name', change(0, { name: 'topic-0-2' })],
  ['a long name', change(2, { name: `${'long-'.repeat(40)}nam_` })],
  ['a body', change(0, { data: Buffer.from('bodY') })],
  ['a mode', change(1, { mode: 0o644 })],
  ['an mtime', change(1, { mtime: new Date(1000) })],
  ['an entry missing', archiveOf(entries.slice(1))],
  ['the order', archiveOf([entries[1], entries[0], entries[2]])],
]) {
  const changed = await read(bytes)
  assert.equal(changed.fault, null, what)
  assert.notEqual(changed.entriesHash, whole.entriesHash, `${what} changes the hash`)
}

const damaged = Buffer.from(archive)
damaged[0] ^= 1
assert.equal((await read(damaged)).fault, 'a checksum is wrong')
assert.equal(
  (await read(Buffer.concat([Buffer.alloc(512, 1), archive]))).fault,
  'a block is no header',
)

const makesTheSame = () => workloadNames.map((name) => findWorkload(name).encoded)
assert.deepEqual(makesTheSame(), makesTheSame(), 'a workload is the same whenever it is made')
for (const name of workloadNames) {
  const listed = execFileSync('tar', ['-tif', '-'], {
    input: Buffer.concat([findWorkload(name).encoded, marker]),
    encoding: 'utf8',
  })
  assert.ok(listed.split('\n').includes(findWorkload(name).cycle[0].name), `GNU tar lists ${name}`)
}
console.log('bench: the reader tells right archives from wrong ones')
