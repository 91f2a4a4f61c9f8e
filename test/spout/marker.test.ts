import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { Commit, SpoutOptions } from 'tarspout'
import {
  archiveSize,
  Cat,
  fifoFor,
  outcome,
  pattern,
  readArchive,
  spoutFor,
  standInFor,
  wholeOf,
} from '../support/spout.js'
import { generations } from '../support/stand-in.js'

/** What a reader reads of some commits, archive by archive. */
async function sent(
  t: Parameters<typeof fifoFor>[0],
  options: SpoutOptions,
  fills: readonly ((commit: Commit) => unknown)[],
) {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, {
    connection: 'persistent',
    markerName: 'marker',
    ...options,
  })
  const cat = new Cat(t, fifo.path)
  const receipts = []
  for (const fill of fills) {
    const commit = spout.beginCommit()
    await fill(commit)
    receipts.push(await commit.end())
  }
  await spout.close()
  const bytes = await cat.bytes
  const archives = []
  // Two zero blocks end an archive; no body here has any.
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(Buffer.alloc(1024), start) + 1024
    const aligned = start + Math.ceil((end - start) / 512) * 512
    const entries = await readArchive(bytes.subarray(start, aligned))
    archives.push(
      entries.map(({ name, body }) => [name, body.length > 20 ? body.length : body.toString()]),
    )
    start = aligned
  }
  return { archives, receipts, bytes, spout }
}

test('the marker is the last entry of its archive, whenever it was set; set again, the last one counts', async (t) => {
  const { archives, receipts } = await sent(t, {}, [
    (commit) => {
      commit.addMarker('early')
      commit.add('a', 'a')
      commit.addMarker(Buffer.from('late'))
      commit.add('b', 'b')
    },
    (commit) => commit.add('c', 'c'),
    (commit) => commit.addMarker('alone'),
    (commit) => {
      commit.add(
        'd',
        (async function* () {
          yield 'd'
        })(),
      )
      commit.addMarker(pattern(20_000))
    },
    (commit) => commit.addMarker(''),
  ])
  t.deepEqual(archives, [
    [
      ['a', 'a'],
      ['b', 'b'],
      ['marker', 'late'],
    ],
    [['c', 'c']],
    [['marker', 'alone']],
    [
      ['d', 'd'],
      ['marker', 20_000],
    ],
    [['marker', '']],
  ])
  t.deepEqual(
    receipts.map(({ entries, bytes }) => [entries, bytes]),
    [
      [3, archiveSize(1, 1, 4)],
      [1, archiveSize(1)],
      [1, archiveSize(5)],
      [2, archiveSize(1, 20_000)],
      [1, archiveSize(0)],
    ],
  )
})

test("markerArchive: 'separate' sends the marker in an archive behind its own", async (t) => {
  const { archives, receipts, bytes, spout } = await sent(t, { markerArchive: 'separate' }, [
    (commit) => {
      commit.addMarker('one')
      commit.add('a', 'a')
    },
    (commit) => commit.addMarker('two'),
    (commit) => commit.add('b', 'b'),
  ])
  t.deepEqual(archives, [[['a', 'a']], [['marker', 'one']], [['marker', 'two']], [['b', 'b']]])
  t.deepEqual(
    receipts.map(({ archive, entries }) => [archive, entries]),
    [
      [1, 1],
      [3, 1],
      [4, 1],
    ],
  )
  t.is(bytes.length, archiveSize(1) + archiveSize(3) + archiveSize(3) + archiveSize(1))
  t.is(spout.stats().archivesDelivered, 4)
})

test("end() with markerArchive: 'separate' settles when the marker was delivered too", async (t) => {
  const fifo = fifoFor(t)
  const reader = standInFor(t, fifo, 'C')
  const spout = await spoutFor(t, fifo, {
    markerName: 'marker',
    markerArchive: 'separate',
    confirm: 'committed',
  })
  const commit = spout.beginCommit()
  commit.add('a', 'a')
  commit.addMarker('m')
  await commit.end()
  t.deepEqual(
    reader.commits().map(({ entries }) => entries.map(({ name }) => name)),
    [['a'], ['marker']],
  )
})

for (const generation of generations) {
  test(`${generation}: markers come to the reader with the data before them, in order`, async (t) => {
    for (const markerArchive of ['same', 'separate'] as const) {
      const fifo = fifoFor(t)
      const reader = standInFor(t, fifo, generation)
      const spout = await spoutFor(t, fifo, { markerName: 'marker', markerArchive })
      const ends: Promise<unknown>[] = []
      for (let i = 0; i < 5; i++) {
        const commit = spout.beginCommit()
        commit.add(`${i}`, `${i}`)
        commit.addMarker(`${i}`.repeat(i + 1))
        ends.push(commit.end())
        // A marker of its own waits for its data, and the next commit for it; the last one's is
        // sent by close().
        if (markerArchive === 'separate' && i < 4) await ends[i]
      }
      await spout.close()
      await Promise.all(ends)
      const entries = wholeOf(await reader.stop()).flatMap(({ entries }) => entries)
      t.deepEqual(
        entries.map(({ name, size }) => [name, size]),
        Array.from({ length: 5 }, (_, i) => [
          [`${i}`, 1],
          ['marker', i + 1],
        ]).flat(),
      )
    }
  })
}

// Pachyderm compares strings, not parts of paths.
const NAMES: [name: string, outcome: string][] = [
  ['marker', 'ERR_TAR_NAME'],
  ['./marker', 'ERR_TAR_NAME'],
  ['marker/below', 'ERR_TAR_NAME'],
  ['markers.csv', 'ERR_TAR_NAME'],
  ['marker-2', 'ERR_TAR_NAME'],
  ['mark', 'ok'],
  ['a/marker', 'ok'],
  ['Marker', 'ok'],
  ['my marker', 'ok'],
]

test("a name that begins with the marker's is refused, on both ways into an archive", async (t) => {
  const { archives } = await sent(t, {}, [
    async (commit) => {
      for (const options of [undefined, { mode: 0o600 }]) {
        for (const [name, expected] of NAMES) {
          t.is(await outcome(() => commit.add(name, 'x', options)), expected, name)
        }
      }
      t.is(await outcome(() => commit.add('marker', ['x'])), 'ERR_TAR_NAME')
    },
  ])
  const good = NAMES.filter(([, expected]) => expected === 'ok').map(([name]) => [name, 'x'])
  t.deepEqual(archives, [[...good, ...good]])
})

test('without markerName such names are files like any', async (t) => {
  const { archives } = await sent(t, { markerName: undefined }, [
    (commit) => commit.add('marker', 'x'),
  ])
  t.deepEqual(archives, [[['marker', 'x']]])
})

test('addMarker() and readMarker() need markerName, and addMarker() bytes or a string', async (t) => {
  const without = await spoutFor(t, fifoFor(t))
  t.is(await outcome(() => without.beginCommit().addMarker('m')), 'ERR_STATE')
  t.is(await outcome(() => without.readMarker()), 'ERR_STATE')
  const commit = (await spoutFor(t, fifoFor(t), { markerName: 'marker' })).beginCommit()
  for (const wrong of [undefined, null, 5, {}, ['m']]) {
    t.is(await outcome(() => commit.addMarker(wrong as unknown as string)), 'TypeError')
  }
})

test('a separate marker is not sent when its data could not be delivered', async (t) => {
  const fifo = fifoFor(t)
  const closing = ['--close-at', '700', '--close-times', '1', '--reopen-us', '20000']
  const reader = standInFor(t, fifo, 'B', ...closing, '--backoff-ms', '1', '--backoff-max-ms', '1')
  const spout = await spoutFor(t, fifo, {
    markerName: 'marker',
    markerArchive: 'separate',
    maxAttempts: 1,
  })
  const lost = spout.beginCommit()
  lost.add('lost', Buffer.alloc(5000))
  lost.addMarker('too far')
  t.is(await outcome(() => lost.end()), 'ERR_DELIVERY_UNCERTAIN')
  const next = spout.beginCommit()
  next.add('next', 'next')
  await next.end()
  await spout.close()
  const names = wholeOf(await reader.stop()).flatMap(({ entries }) =>
    entries.map(({ name }) => name),
  )
  t.true(names.includes('next'))
  t.false(names.includes('marker'))
})

test('a commit that is aborted or failed leaves no marker', async (t) => {
  const { archives } = await sent(t, {}, [
    (commit) => commit.add('a', 'a'),
    (commit) => commit.add('b', 'b'),
  ])
  t.deepEqual(archives, [[['a', 'a']], [['b', 'b']]])
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { markerName: 'marker' })
  const cat = new Cat(t, fifo.path)
  const aborted = spout.beginCommit()
  aborted.addMarker('gone')
  aborted.abort()
  const failed = spout.beginCommit()
  failed.addMarker('gone too')
  failed.add('a', [], { size: 1 })
  t.is(await outcome(() => failed.end()), 'ERR_TAR_SIZE')
  const next = spout.beginCommit()
  next.add('next', 'next')
  await next.end()
  t.deepEqual(
    (await readArchive(await cat.bytes)).map(({ name }) => name),
    ['next'],
  )
})

test('readMarker() reads the file beside the FIFO, and is undefined on the first run', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { markerName: 'marker' })
  const place = join(dirname(fifo.path), 'marker')
  t.is(await spout.readMarker(), undefined)
  // As Pachyderm has it: a link that leads nowhere until there is a marker.
  symlinkSync(join(fifo.folder, 'scratch/marker'), place)
  t.is(await spout.readMarker(), undefined)
  writeFileSync(place, 'state')
  t.is((await spout.readMarker())?.toString(), 'state')
  writeFileSync(place, '')
  t.is((await spout.readMarker())?.length, 0)
  const other = await spoutFor(t, fifoFor(t), { markerName: 'deep/marker' })
  t.is(await other.readMarker(), undefined)
  mkdirSync(join(dirname(other.path), 'deep/marker'), { recursive: true })
  t.is(await outcome(() => other.readMarker()), 'EISDIR')
})
