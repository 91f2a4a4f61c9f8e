import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Body, Commit, EntryOptions, Spout, SpoutOptions } from 'tarspout'
import { Random } from '../support/random.js'
import {
  archiveSize,
  Cat,
  fifoFor,
  HeldReader,
  outcome,
  pattern,
  type ReadEntry,
  readArchive,
  runScript,
  spoutFor,
  standInFor,
  until,
  wholeOf,
  writerFor,
} from '../support/spout.js'
import { generations } from '../support/stand-in.js'
import { hashOf } from '../torture/plan.js'

/** Fills one commit and gives what a reader reads of it. */
async function sent(
  t: ExecutionContext,
  fill: (commit: Commit) => unknown,
  options: SpoutOptions = {},
): Promise<ReadEntry[]> {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, options)
  const cat = new Cat(t, fifo.path)
  const commit = spout.beginCommit()
  await fill(commit)
  const receipt = await commit.end()
  const bytes = await cat.bytes
  t.is(receipt.bytes, bytes.length)
  const entries = await readArchive(bytes)
  t.is(receipt.entries, entries.length)
  return entries
}

const namesOf = (entries: readonly { name: string }[]) => entries.map(({ name }) => name)

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.length)
  new Uint8Array(memory).set(bytes)
  return memory
}

function* cut(bytes: Uint8Array): Generator<Uint8Array> {
  yield bytes.subarray(0, 1)
  yield bytes.subarray(1, 1)
  for (let at = 1; at < bytes.length; at += 70_000) yield bytes.subarray(at, at + 70_000)
}

async function* cutLater(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (const piece of cut(bytes)) {
    await null
    yield piece
  }
}

/** The same bytes in every form a body can have. */
const BODIES: Record<string, (bytes: Buffer) => Body> = {
  string: (bytes) => bytes.toString(),
  Buffer: (bytes) => bytes,
  Uint8Array: (bytes) => new Uint8Array(bytes),
  'a view of a part': (bytes) =>
    new Uint8Array(Buffer.concat([Buffer.from('..'), bytes])).subarray(2),
  Uint8ClampedArray: (bytes) => new Uint8ClampedArray(bytes),
  Int8Array: (bytes) => new Int8Array(bytes),
  DataView: (bytes) => new DataView(new Uint8Array(bytes).buffer),
  ArrayBuffer: (bytes) => new Uint8Array(bytes).buffer,
  SharedArrayBuffer: (bytes) => shared(bytes),
  'a view of a SharedArrayBuffer': (bytes) => new Uint8Array(shared(bytes)),
  'an array': (bytes) => [...cut(bytes)],
  'a generator': (bytes) => cut(bytes),
  'an async generator': (bytes) => cutLater(bytes),
  'a Node stream': (bytes) => Readable.from(cut(bytes)),
  'a web stream': (bytes) => new Blob([bytes]).stream() as unknown as AsyncIterable<Uint8Array>,
}
// Blocks, what is copied and not borrowed, the engine's chunks, highWaterMark.
const HIGH_WATER = 4 << 20
const EDGES = [0, 512, 16 << 10, 256 << 10, HIGH_WATER]
const SIZES = EDGES.flatMap((edge) => [edge - 1, edge, edge + 1]).filter((size) => size >= 0)

for (const [form, make] of Object.entries(BODIES)) {
  test(`${form} arrives as it is, with its size stated and not, at every edge`, async (t) => {
    const whole = pattern(HIGH_WATER + 1)
    const options = [undefined, {}, 'size'] as const
    const entries = await sent(
      t,
      async (commit) => {
        for (const size of SIZES) {
          for (const option of options) {
            const more = commit.add(
              `${size}-${option === undefined ? 'plain' : option === 'size' ? 'size' : 'options'}`,
              make(whole.subarray(0, size)),
              option === 'size' ? { size } : option,
            )
            if (!more) await commit.ready()
          }
        }
      },
      { highWaterMark: HIGH_WATER },
    )
    t.is(entries.length, SIZES.length * options.length)
    for (const { name, body } of entries) {
      const size = Number(name.split('-')[0])
      t.true(body.equals(whole.subarray(0, size)), `${name}: ${body.length} bytes`)
    }
  })
}

test('entries of every size lie whole one behind the other across the edges of chunks', async (t) => {
  const random = new Random(7)
  const whole = pattern(40_000)
  const sizes = Array.from({ length: 1500 }, () => random.below(random.pick([600, 20_000, 40_000])))
  const entries = await sent(t, async (commit) => {
    for (const [i, size] of sizes.entries()) {
      if (!commit.add(`${i}`, whole.subarray(0, size), i % 3 === 0 ? { uid: i } : undefined))
        await commit.ready()
    }
  })
  t.deepEqual(
    entries.map(({ name, body, header }) => [name, body.length, header.uid]),
    sizes.map((size, i) => [`${i}`, size, i % 3 === 0 ? i : 0]),
  )
  t.true(entries.every(({ body }) => body.equals(whole.subarray(0, body.length))))
})

test('entries of all kinds keep the order of the calls, in runs of any length', async (t) => {
  const random = new Random(11)
  const whole = pattern(40_000)
  const kinds = [
    'plain',
    'plain',
    'plain',
    'text',
    'other time',
    'folder',
    'long name',
    'pax',
    'large',
    'read',
  ]
  const expected: [string, number, number][] = []
  const entries = await sent(t, async (commit) => {
    for (let i = 0; i < 4000; ) {
      const kind = random.pick(kinds)
      for (
        const stop = Math.min(4000, i + 1 + random.below(random.pick([3, 40, 300])));
        i < stop;
        i++
      ) {
        const size =
          kind === 'large' ? 1025 + random.below(30_000) : random.below(random.pick([200, 1025]))
        const name =
          kind === 'folder' ? `d/${i}` : kind === 'long name' ? `${i}-`.padEnd(130, 'n') : `${i}`
        const data = whole.subarray(i % 1000, (i % 1000) + size)
        const isRead = kind === 'read' && i % 4 === 0
        const body = kind === 'text' ? 't'.repeat(size) : isRead ? [data] : data
        const time = kind === 'other time' ? 1000 * i : 5000
        const mtime = new Date(time + (kind === 'pax' ? 500 : 0))
        if (!commit.add(name, body, { mtime })) await commit.ready()
        expected.push([name, size, mtime.getTime()])
      }
    }
  })
  t.deepEqual(
    entries.map(({ name, body, header }) => {
      const { mtime } = header.pax ?? {}
      return [name, body.length, mtime ? Number(mtime) * 1000 : header.mtime?.getTime()]
    }),
    expected,
  )
  for (const { name, body } of entries) {
    const from = Number.parseInt(name.replace('d/', ''), 10) % 1000
    const isText =
      body.length > 0 && body[0] === 't'.charCodeAt(0) && body.every((byte) => byte === body[0])
    t.true(isText || body.equals(whole.subarray(from, from + body.length)), name)
  }
})

test('nothing of an aborted commit is in the next one, however many entries it had', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  for (const count of [1, 17, 100, 1000, 3000]) {
    const aborted = spout.beginCommit()
    for (let i = 0; i < count; i++) aborted.add(`aborted-${i}`, `${i}`)
    aborted.abort()
    const cat = new Cat(t, fifo.path)
    const commit = spout.beginCommit()
    for (let i = 0; i < 20; i++) commit.add(`${i}`, `${count}`)
    await commit.end()
    t.deepEqual(
      (await readArchive(await cat.bytes)).map(({ name, body }) => [name, body.toString()]),
      Array.from({ length: 20 }, (_, i) => [`${i}`, `${count}`]),
    )
  }
})

test('commits handed over together with one that is taken back keep their memory', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  const send = (name: string, count: number) => {
    const commit = spout.beginCommit()
    for (let i = 0; i < count; i++) commit.add(`${name}-${i}`, Buffer.alloc(10 << 10, name))
    return commit
  }
  // The first one is handed over by itself and fills a chunk of memory; the one taken back begins
  // in that of those before it, and ends in another.
  const counts = { first: 24, second: 1, third: 1, last: 100 }
  const ended = [send('first', 24).end(), send('second', 1).end(), send('third', 1).end()]
  send('aborted', 40).abort()
  await delay(20) // what the engine gives back is used again
  ended.push(send('last', 100).end())
  const reader = standInFor(t, fifo, 'C')
  await Promise.all(ended)
  const archives = await reader.stop()
  t.deepEqual(
    archives.map(({ entries }) => entries.map(({ name, hash }) => `${name} ${hash}`)),
    Object.entries(counts).map(([name, count]) =>
      Array.from(
        { length: count },
        (_, i) => `${name}-${i} ${hashOf(Buffer.alloc(10 << 10, name))}`,
      ),
    ),
  )
})

test('an entry without data is an empty file', async (t) => {
  const entries = await sent(t, (commit) => {
    commit.add('a')
    commit.add('b', undefined, { mode: 0o644 })
    commit.add('c', '', { size: 0 })
  })
  t.deepEqual(
    entries.map(({ name, body, header }) => [name, body.length, header.type, header.mode]),
    [
      ['a', 0, 'file', 0o600],
      ['b', 0, 'file', 0o644],
      ['c', 0, 'file', 0o600],
    ],
  )
})

test('shared memory is sent as it was when it was added, however much there is', async (t) => {
  const sizes = [100, 16 << 10, (16 << 10) + 1, 300_000]
  const entries = await sent(t, (commit) => {
    for (const size of sizes) {
      const memory = shared(pattern(size))
      commit.add(`${size}`, new Uint8Array(memory))
      commit.add(`${size}-whole`, memory)
      new Uint8Array(memory).fill(0)
    }
  })
  t.true(entries.every(({ name, body }) => body.equals(pattern(Number(name.split('-')[0])))))
})

test('strings are sent as UTF-8', async (t) => {
  const text = 'é😀\0'.repeat(9000)
  const [small, large] = await sent(t, (commit) => {
    commit.add('small', 'é😀')
    commit.add('large', text)
  })
  t.is(small?.body.toString(), 'é😀')
  t.true(large?.body.equals(Buffer.from(text)))
})

test('entries keep the order of the calls behind bodies that are still read', async (t) => {
  async function* slow(text: string) {
    for (const letter of text) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      yield letter
    }
  }
  const large = pattern(300_000)
  const calls: [string, Body | undefined, EntryOptions?][] = [
    ['0', 'first'],
    ['1', slow('gathered')],
    ['2', 'behind'],
    ['3', large],
    ['4', slow('streamed'), { size: 8 }],
    ['5', undefined],
    ['6', large, { mode: 0o640 }],
    ['7', slow('again')],
    ['8', [], { size: 0 }],
    ['9', 'last'],
  ]
  const entries = await sent(t, (commit) => {
    const answers = calls.map(([name, data, options]) => commit.add(name, data, options))
    t.deepEqual(answers, [true, ...Array(9).fill(false)])
  })
  const expected = [
    'first',
    'gathered',
    'behind',
    large.toString(),
    'streamed',
    '',
    large.toString(),
    'again',
    '',
  ]
  t.deepEqual(namesOf(entries), '0123456789'.split(''))
  t.deepEqual(
    entries.map(({ body }) => body.toString()),
    [...expected, 'last'],
  )
})

test('an entry added when the first of two bodies was read still waits for the second', async (t) => {
  const entries = await sent(t, async (commit) => {
    let goOn = (): void => {}
    const waits = new Promise<void>((resolve) => {
      goOn = resolve
    })
    commit.add('a', ['a'])
    commit.add(
      'b',
      (async function* () {
        await waits
        yield 'b'
      })(),
    )
    await until('the first is in', () => commit.entries === 1)
    await new Promise(setImmediate)
    t.false(commit.add('c', 'c'))
    goOn()
  })
  t.deepEqual(namesOf(entries), ['a', 'b', 'c'])
})

test('ready() settles once the bodies before it were read, and add() goes on', async (t) => {
  const entries = await sent(t, async (commit) => {
    t.false(
      commit.add(
        'a',
        (async function* () {
          yield 'a'
        })(),
      ),
    )
    await commit.ready()
    t.true(commit.add('b', 'b'))
  })
  t.deepEqual(namesOf(entries), ['a', 'b'])
})

test('header fields are written as given, and have the defaults the documentation states', async (t) => {
  const before = Math.floor(Date.now() / 1000) * 1000
  const pax = { comment: 'é', 'VENDOR.key': 'v' }
  const fields: Record<string, EntryOptions> = {
    options: {},
    mode: { mode: 0o4755 },
    seconds: { mtime: new Date(1_700_000_000_000) },
    milliseconds: { mtime: new Date(1_700_000_000_123) },
    nanoseconds: { mtime: 1_700_000_000_123_456_789n },
    'before 1970': { mtime: new Date(-1500) },
    owner: { uid: 1000, gid: 2_097_151, uname: 'someone', gname: 'some' },
    'large owner': { uid: 2_097_152, gid: Number.MAX_SAFE_INTEGER },
    pax: { pax },
  }
  const entries = await sent(t, (commit) => {
    commit.add('plain', 'body')
    for (const [name, options] of Object.entries(fields)) commit.add(name, 'body', options)
  })
  const after = Date.now()
  t.true(entries.every(({ body, header }) => body.toString() === 'body' && header.type === 'file'))
  const of = (name: string) => {
    const found = entries.find((entry) => entry.name === name)?.header
    if (!found) throw new Error(`${name} is missing`)
    return found
  }
  for (const name of ['plain', 'options']) {
    const { mode, uid, gid, mtime, uname, gname, pax } = of(name)
    t.deepEqual(
      { mode, uid, gid, uname, gname, pax },
      { mode: 0o600, uid: 0, gid: 0, uname: '', gname: '', pax: null },
    )
    t.true(
      mtime &&
        mtime.getTime() >= before &&
        mtime.getTime() <= after &&
        mtime.getTime() % 1000 === 0,
      name,
    )
  }
  t.is(of('mode').mode, 0o4755)
  t.is(of('seconds').mtime?.getTime(), 1_700_000_000_000)
  t.is(of('seconds').pax, null)
  t.is(of('milliseconds').pax?.mtime, '1700000000.123')
  t.is(of('nanoseconds').pax?.mtime, '1700000000.123456789')
  t.is(of('before 1970').pax?.mtime, '-1.5')
  t.like(of('owner'), { uid: 1000, gid: 2_097_151, uname: 'someone', gname: 'some', pax: null })
  t.like(of('large owner').pax, { uid: '2097152', gid: `${Number.MAX_SAFE_INTEGER}` })
  t.like(of('pax').pax, pax)
})

test('names too long for a header block are whole in a pax record, on the short way too', async (t) => {
  const names = [
    'n'.repeat(99),
    'n'.repeat(100),
    'n'.repeat(101),
    `${'d'.repeat(155)}/${'n'.repeat(100)}`,
    `${'d'.repeat(156)}/${'n'.repeat(100)}`,
    `${'d/'.repeat(130)}n`,
    `${'d/'.repeat(2000)}n`,
  ]
  const entries = await sent(
    t,
    (commit) => {
      for (const name of names) commit.add(name, name)
      commit.add('é'.repeat(200), 'é'.repeat(200))
    },
    { nameRules: 'tar' },
  )
  t.deepEqual(namesOf(entries), [...names, 'é'.repeat(200)])
  t.true(entries.every(({ name, body }) => body.toString() === name))
})

test('names that only a pax header holds, whatever the bodies', async (t) => {
  const expected: [name: string, size: number][] = []
  for (const size of [0, 100, 5000, 16_384, 16_385, 70_000]) {
    for (const length of [100, 101, 255, 256, 1023, 1024, 1025, 4000]) {
      expected.push([`${'n'.repeat(length - 6)}${String(size).padStart(6, '-')}`, size])
    }
  }
  const entries = await sent(t, async (commit) => {
    for (const [name, size] of expected) if (!commit.add(name, pattern(size))) await commit.ready()
    t.throws(() => commit.add(`${expected[1]?.[0]}/below`), { code: 'ERR_TAR_NAME' })
  })
  t.deepEqual(
    entries.map(({ name, body }) => [name, body.equals(pattern(body.length)) && body.length]),
    expected,
  )
})

const REFUSED: Record<string, [call: (commit: Commit) => unknown, code: string]> = {
  'an empty name': [(c) => c.add('', 'x'), 'ERR_TAR_NAME'],
  'a name of a dot': [(c) => c.add('.', 'x'), 'ERR_TAR_NAME'],
  'a name with ..': [(c) => c.add('a/../b', 'x'), 'ERR_TAR_NAME'],
  'a name that leaves': [(c) => c.add('../b', 'x'), 'ERR_TAR_NAME'],
  'an absolute name': [(c) => c.add('/b', 'x'), 'ERR_TAR_NAME'],
  'a name of a folder': [(c) => c.add('b/', 'x'), 'ERR_TAR_NAME'],
  'a NUL': [(c) => c.add('a\0b', 'x'), 'ERR_TAR_NAME'],
  'a line feed': [(c) => c.add('a\nb', 'x'), 'ERR_TAR_NAME'],
  'an umlaut': [(c) => c.add('ä', 'x'), 'ERR_TAR_NAME'],
  'half a character': [(c) => c.add('a\ud800', 'x'), 'ERR_TAR_NAME'],
  ...Object.fromEntries(
    [...'*?[]{}!()@+^'].map((glob) => [
      `a ${glob}`,
      [(c: Commit) => c.add(`a${glob}`, 'x'), 'ERR_TAR_NAME'] as const,
    ]),
  ),
  'a name of a wrong type': [(c) => c.add(5 as unknown as string, 'x'), 'TypeError'],
  'no name': [(c) => c.add(undefined as unknown as string), 'TypeError'],
  'a body of a wrong type': [(c) => c.add('b', 5 as unknown as string), 'TypeError'],
  'a null body': [(c) => c.add('b', null as unknown as string), 'TypeError'],
  'a body shorter than its size': [(c) => c.add('b', 'x', { size: 2 }), 'ERR_TAR_SIZE'],
  'a body longer than its size': [
    (c) => c.add('b', pattern(20_000), { size: 19_999 }),
    'ERR_TAR_SIZE',
  ],
  'a size without a body': [(c) => c.add('b', undefined, { size: 1 }), 'ERR_TAR_SIZE'],
  'a negative size': [(c) => c.add('b', [], { size: -1 }), 'ERR_TAR_SIZE'],
  'a size of half a byte': [(c) => c.add('b', [], { size: 0.5 }), 'RangeError'],
  'detached memory': [
    (c) => {
      const body = new Uint8Array(8)
      structuredClone(body.buffer, { transfer: [body.buffer] })
      c.add('b', body)
    },
    'ERR_TAR_BODY',
  ],
  'a mode of 13 bits': [(c) => c.add('b', 'x', { mode: 0o10000 }), 'ERR_TAR_FIELD'],
  'a mode of a wrong type': [
    (c) => c.add('b', 'x', { mode: '600' as unknown as number }),
    'TypeError',
  ],
  'a time of a wrong type': [(c) => c.add('b', 'x', { mtime: 5 as unknown as Date }), 'TypeError'],
  'an invalid time': [(c) => c.add('b', 'x', { mtime: new Date(Number.NaN) }), 'RangeError'],
  'a negative owner': [(c) => c.add('b', 'x', { uid: -1 }), 'ERR_TAR_FIELD'],
  'a pax record for the name': [(c) => c.add('b', 'x', { pax: { path: 'c' } }), 'ERR_TAR_FIELD'],
  'pax of a wrong type': [
    (c) => c.add('b', 'x', { pax: [] as unknown as Record<string, string> }),
    'TypeError',
  ],
  'options of a wrong type': [(c) => c.add('b', 'x', 5 as unknown as EntryOptions), 'TypeError'],
  'null options': [(c) => c.add('b', 'x', null as unknown as EntryOptions), 'TypeError'],
  'options that do not exist': [
    (c) => c.add('b', 'x', { modes: 1 } as unknown as EntryOptions),
    'TypeError',
  ],
  'a type of entry': [
    (c) => c.add('b', '', { type: 'directory' } as unknown as EntryOptions),
    'TypeError',
  ],
  'a body that fails while it is gathered': [
    async (c) => {
      c.add('b', failing())
      await c.ready()
    },
    'ERR_TAR_BODY',
  ],
  'a piece of a wrong type': [
    async (c) => {
      c.add('b', [1] as unknown as Body)
      await c.ready()
    },
    'TypeError',
  ],
}

async function* failing(pieces = 1): AsyncGenerator<string> {
  for (let i = 0; i < pieces; i++) yield 'x'
  throw new Error('source')
}

test('a refused entry leaves nothing in the archive, which goes on', async (t) => {
  const expected: string[] = []
  const entries = await sent(t, async (commit) => {
    for (const [what, [call, code]] of Object.entries(REFUSED)) {
      const { bytes, entries } = commit
      t.is(await outcome(() => call(commit)), code, what)
      t.deepEqual({ bytes: commit.bytes, entries: commit.entries }, { bytes, entries }, what)
      commit.add(`good-${expected.length}`, what)
      expected.push(what)
    }
  })
  t.deepEqual(
    entries.map(({ name, body }) => `${name} ${body}`),
    expected.map((what, i) => `good-${i} ${what}`),
  )
})

test('a refused name is named by the error', async (t) => {
  const commit = (await spoutFor(t, fifoFor(t))).beginCommit()
  t.throws(() => commit.add('a*', 'x'), { code: 'ERR_TAR_NAME', message: /"a\*".*\* at 1/ })
  t.like(
    t.throws(() => commit.add('a*', 'x')),
    { entry: 'a*', field: 'name' },
  )
  t.like(
    t.throws(() => commit.add('b', 'x', { size: 3 })),
    { entry: 'b', field: 'size' },
  )
})

const TAR_NAMES: Record<string, string> = {
  'ä*?[]{}!()@+^': 'ok',
  'a\nb': 'ok',
  '/absolute': 'ok',
  '../outside': 'ok',
  '.': 'ok',
  '': 'ERR_TAR_NAME',
  'a\0b': 'ERR_TAR_NAME',
  'a/': 'ERR_TAR_NAME',
  'a\ud800': 'ERR_TAR_NAME',
  ['*'.repeat(120)]: 'ok',
  [`${'a'.repeat(200)}\ud800`]: 'ERR_TAR_NAME',
  [`${'a'.repeat(200)}\0`]: 'ERR_TAR_NAME',
  [`${'a'.repeat(200)}/`]: 'ERR_TAR_NAME',
}

test("nameRules: 'tar' takes every name tar can hold", async (t) => {
  const entries = await sent(
    t,
    async (commit) => {
      for (const options of [undefined, {}]) {
        for (const [name, code] of Object.entries(TAR_NAMES)) {
          t.is(await outcome(() => commit.add(name, 'x', options)), code, JSON.stringify(name))
        }
      }
      commit.add('file', 'x')
      commit.add('file/below', 'x')
    },
    { nameRules: 'tar' },
  )
  const good = Object.keys(TAR_NAMES).filter((name) => TAR_NAMES[name] === 'ok')
  t.deepEqual(namesOf(entries), [...good, ...good, 'file', 'file/below'])
})

const CONFLICTS: [names: string[], refused: string | undefined][] = [
  [['a', 'a/b'], 'a/b'],
  [['a/b', 'a'], 'a'],
  [['a/b/c', 'a/b'], 'a/b'],
  [['a/b/c', 'a'], 'a'],
  [['a', 'b', 'a/b/c/d'], 'a/b/c/d'],
  [['./a', 'a/b'], 'a/b'],
  [['a', './a/b'], './a/b'],
  [['a//b', 'a/b/c'], 'a/b/c'],
  [['a/./b/c', 'a/b'], 'a/b'],
  [['a/.', 'a/b'], 'a/b'],
  [['a/b', 'a/.'], 'a/.'],
  [['a', 'a'], undefined],
  [['a/b', 'a/c', 'a/b'], undefined],
  [['ab', 'a/b', 'a b/c', 'a-'], undefined],
]

test('a path that is a file and a folder in one commit is refused', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  for (const [names, refused] of CONFLICTS) {
    for (const [options, others] of [
      [undefined, 0],
      [{}, 0],
      [undefined, 20],
      [undefined, 200],
    ] as const) {
      const commit = spout.beginCommit()
      for (const [i, name] of names.entries()) {
        for (let k = 0; k < others; k++) commit.add(`other-${i}-${k}`, 'x')
        const isRefused = i === names.length - 1 && refused !== undefined
        t.is(
          await outcome(() => commit.add(name, 'x', options)),
          isRefused ? 'ERR_TAR_NAME' : 'ok',
          names.join(),
        )
      }
      t.is(await outcome(() => commit.add('other/name', 'x', options)), 'ok')
      commit.abort()
    }
  }
})

/** The files of a commit, as a reader sees them: what is a file cannot be a folder. */
class Tree {
  readonly #files = new Set<string>()
  readonly #folders = new Set<string>()

  add(path: string): boolean {
    const parts = path.split('/')
    const parents = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))
    if (this.#folders.has(path) || parents.some((parent) => this.#files.has(parent))) return false
    this.#files.add(path)
    for (const parent of parents) this.#folders.add(parent)
    return true
  }
}

test('whatever names come in whatever order, those are refused that are in conflict with one before', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  const random = new Random(3)
  let refused = 0
  for (let round = 0; round < 300; round++) {
    const commit = spout.beginCommit()
    const tree = new Tree()
    const depth = 1 + random.below(4)
    const letters = 2 + random.below(6)
    let folder = ''
    for (let i = 0; i < 150; i++) {
      // Mostly in one folder for a while, as topics and partitions are.
      const part = () => 'abcdefgh'[random.below(letters)] ?? ''
      if (random.below(8) === 0)
        folder = Array.from({ length: random.below(depth) }, () => `${part()}/`).join('')
      const path = folder + part() + (random.below(2) === 0 ? i : '')
      const spelled = random.below(20) === 0 ? `./${path}` : path
      const isGood = tree.add(path)
      if (!isGood) refused++
      const found = await outcome(() =>
        commit.add(spelled, random.below(30) === 0 ? Buffer.alloc(2000) : 'x'),
      )
      t.is(found, isGood ? 'ok' : 'ERR_TAR_NAME', `${round}: ${spelled}`)
    }
    commit.abort()
  }
  t.true(refused > 1000)
})

test('a commit of thousands of folders refuses what is in conflict', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  const commit = spout.beginCommit()
  for (let folder = 0; folder < 3000; folder++) {
    for (const name of ['a', 'b', 'c/d']) commit.add(`${folder}/${name}`, 'x')
  }
  for (const folder of [0, 500, 1022, 1023, 1024, 1025, 2999]) {
    t.is(await outcome(() => commit.add(`${folder}/e`, 'x')), 'ok')
    t.is(await outcome(() => commit.add(`${folder}/c`, 'x')), 'ERR_TAR_NAME')
    t.is(await outcome(() => commit.add(`${folder}`, 'x')), 'ERR_TAR_NAME')
    t.is(await outcome(() => commit.add(`${folder}/a/x`, 'x')), 'ERR_TAR_NAME')
  }
})

test('the name of an entry that was refused is not taken', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  const commit = spout.beginCommit()
  t.is(await outcome(() => commit.add('a', 'x', { size: 5 })), 'ERR_TAR_SIZE')
  t.is(await outcome(() => commit.add('b', 5 as unknown as string)), 'TypeError')
  t.is(await outcome(() => commit.add('c', 'x', { mode: -1 })), 'ERR_TAR_FIELD')
  t.is(await outcome(() => commit.add('d/e', 'x', { uid: -1 })), 'ERR_TAR_FIELD')
  for (const name of ['a/b', 'b/c', 'c/d', 'd'])
    t.is(await outcome(() => commit.add(name, 'x')), 'ok', name)
})

test('a gathered body that fails costs its entry only, told by ready()', async (t) => {
  const entries = await sent(t, async (commit) => {
    commit.add('a', 'a')
    commit.add('b', failing(3))
    commit.add('c', 'c')
    t.is(await outcome(() => commit.ready()), 'ERR_TAR_BODY')
    t.is(await outcome(() => commit.ready()), 'ok')
    commit.add('d', 'd')
  })
  t.deepEqual(namesOf(entries), ['a', 'c', 'd'])
})

test('each of several failed bodies is told, in order', async (t) => {
  const entries = await sent(t, async (commit) => {
    commit.add('a', failing())
    commit.add('b', [1] as unknown as Body)
    commit.add('c', 'c')
    const told = [1, 2, 3].map(() => outcome(() => commit.ready()))
    t.deepEqual(await Promise.all(told), ['ERR_TAR_BODY', 'TypeError', 'ok'])
  })
  t.deepEqual(namesOf(entries), ['c'])
})

for (const settled of [false, true]) {
  test(`a failed entry nobody was told of fails end() and the commit, its body ${settled ? 'read' : 'unread'} by then`, async (t) => {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo)
    const cat = new Cat(t, fifo.path)
    const commit = spout.beginCommit()
    let isRead = false
    commit.add('a', 'a')
    commit.add(
      'b',
      (async function* () {
        try {
          yield* failing()
        } finally {
          isRead = true
        }
      })(),
    )
    if (settled) {
      await until('the body failed', () => isRead)
      await new Promise(setImmediate)
    }
    t.is(await outcome(() => commit.end()), 'ERR_TAR_BODY')
    t.is(await outcome(() => commit.end()), 'ERR_TAR_BODY')
    const next = spout.beginCommit()
    next.add('c', 'c')
    await next.end()
    t.deepEqual(namesOf(await readArchive(await cat.bytes)), ['c'])
  })
}

const BREAKING: Record<string, [body: (size: number) => Body, code: string]> = {
  'one byte too few': [(size) => [pattern(size - 1)], 'ERR_TAR_SIZE'],
  'one byte too many': [(size) => [pattern(size), 'x'], 'ERR_TAR_SIZE'],
  'no byte at all': [() => [], 'ERR_TAR_SIZE'],
  'a source that fails': [
    (size) =>
      (function* () {
        yield pattern(size - 1)
        throw new Error('source')
      })(),
    'ERR_TAR_BODY',
  ],
  'a piece of a wrong type': [(size) => [pattern(size - 1), 1] as unknown as Body, 'TypeError'],
}

test('a streamed body of another size than declared fails the commit before anything is sent', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  const cat = new Cat(t, fifo.path)
  for (const size of [1, 511, 512, 513, 70_000]) {
    for (const [what, [body, code]] of Object.entries(BREAKING)) {
      const commit = spout.beginCommit()
      commit.add('a', 'a')
      t.false(commit.add('b', body(size), { size }))
      t.false(commit.add('c', 'c'))
      t.is(await outcome(() => commit.ready()), code, `${what} of ${size}`)
      for (const call of [() => commit.add('d'), () => commit.ready(), () => commit.end()]) {
        t.is(await outcome(call), code, what)
      }
    }
  }
  const commit = spout.beginCommit()
  commit.add('a', 'a')
  commit.add('b', ['whole'], { size: 5 })
  await commit.end()
  t.deepEqual(
    (await readArchive(await cat.bytes)).map(({ name, body }) => `${name} ${body}`),
    ['a a', 'b whole'],
  )
})

/** What a reader logs of entries that arrived whole. */
const logged = (entries: Record<string, Buffer>) =>
  Object.entries(entries).map(([name, body]) => ({ name, size: body.length, hash: hashOf(body) }))

/** Ways to give up an archive, each after something of it was sent. */
const GIVING_UP: Record<string, (commit: Commit, body: Buffer) => Promise<unknown>> = {
  'aborted between two entries': async (commit) => commit.abort(),
  'aborted inside a body': async (commit) => {
    commit.add(
      'half',
      (async function* () {
        yield pattern(1 << 20)
        await new Promise(() => {})
      })(),
      { size: 1 << 21 },
    )
    await new Promise(setImmediate)
    commit.abort()
  },
  ...Object.fromEntries(
    Object.entries(BREAKING).map(([what, [body]]) => [
      `failed by ${what}`,
      async (commit: Commit) => {
        commit.add('broken', body(700_000), { size: 700_000 })
        await commit.ready().catch(() => {})
      },
    ]),
  ),
}

for (const generation of generations) {
  for (const [how, giveUp] of Object.entries(GIVING_UP)) {
    test(`${generation}: an archive ${how} is never taken for whole, and the next one arrives`, async (t) => {
      const fifo = fifoFor(t)
      const reader = standInFor(t, fifo, generation, '--on-error', 'reopen', '--backoff-ms', '5')
      const spout = await spoutFor(t, fifo, { highWaterMark: 65_536 })
      const first = pattern(900_000)
      const commit = spout.beginCommit()
      commit.add('first', first)
      await commit.ready()
      await until('something was sent', () => spout.stats().bytesWritten > 0)
      await giveUp(commit, first)
      const next = spout.beginCommit()
      next.add('next', 'next')
      next.add('large', first)
      await next.end()
      await spout.close()
      const commits = await reader.stop()
      t.deepEqual(
        wholeOf(commits).map(({ entries }) => entries),
        [logged({ next: Buffer.from('next'), large: first })],
      )
      const parts = commits.filter(({ complete }) => !complete)
      t.true(parts.length <= (generation === 'C' ? 0 : 1), `${parts.length} parts`)
      for (const { entries } of parts) {
        for (const { name, size, declared } of entries) {
          if (declared === undefined) t.deepEqual([name, size], ['first', first.length])
        }
      }
    })
  }

  test(`${generation}: of an archive aborted before anything was sent the reader sees nothing`, async (t) => {
    const fifo = fifoFor(t)
    const reader = standInFor(t, fifo, generation)
    const spout = await spoutFor(t, fifo)
    for (let i = 0; i < 5; i++) {
      const commit = spout.beginCommit()
      commit.add('gone', pattern(100_000))
      commit.abort()
    }
    t.is(spout.stats().opens, 0)
    const next = spout.beginCommit()
    next.add('next', 'next')
    const { attempts } = await next.end()
    await spout.close()
    for (const { complete, entries } of await reader.stop()) {
      t.true(complete)
      if (entries.length > 0) t.deepEqual(entries, logged({ next: Buffer.from('next') }))
    }
    t.is(spout.stats().bytesWritten, attempts * archiveSize(4))
  })
}

test('abort() ends a wait for room at once, with a stalled reader too', async (t) => {
  const fifo = fifoFor(t)
  new HeldReader(t, fifo.path)
  const spout = await spoutFor(t, fifo, { highWaterMark: 65_536, pipeSize: 65_536 })
  const commit = spout.beginCommit()
  t.false(commit.add('a', pattern(500_000)))
  const ready = commit.ready()
  const reason = new Error('enough')
  await until('the pipe is full', () => spout.stats().eagain > 0)
  commit.abort(reason)
  t.is(await t.throwsAsync(ready), reason)
})

test('abort() closes the source of the body being read', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  for (const options of [undefined, { size: 100 }]) {
    const commit = spout.beginCommit()
    const closed = new Promise<void>((resolve) => {
      commit.add(
        'a',
        {
          [Symbol.asyncIterator]: () => ({
            next: () => new Promise<never>(() => {}),
            return: async () => {
              resolve()
              return { done: true as const, value: undefined }
            },
          }),
        },
        options,
      )
    })
    await new Promise(setImmediate)
    commit.abort()
    await t.notThrowsAsync(closed)
  }
})

test('a piece that comes as its commit is aborted is not sent with the next one', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const cat = new Cat(t, fifo.path)
  const cases = [undefined, { size: 5 }, { size: 500_000 }].flatMap((options) =>
    Array.from({ length: 16 }, (_, ticks) => ({ options, ticks })),
  )
  let bytes = 0
  for (const { options, ticks } of cases) {
    const commit = spout.beginCommit()
    let answer: ((step: IteratorResult<string>) => void) | undefined
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<IteratorResult<string>>((resolve) => {
            answer = resolve
          }),
      }),
    }
    commit.add('gone', source, options)
    await until('the source is asked', () => answer !== undefined)
    answer?.({ value: 'late!' })
    if (options?.size !== 500_000) {
      answer = undefined
      await until('the source is asked again', () => answer !== undefined)
      ;(answer as unknown as (step: IteratorResult<string>) => void)({
        done: true,
        value: undefined,
      })
    }
    for (let tick = 0; tick < ticks; tick++) await null
    commit.abort()
    const next = spout.beginCommit()
    next.add('first', 'first')
    await new Promise(setImmediate)
    next.add('second', 'second')
    bytes += (await next.end()).bytes
  }
  await spout.close()
  const received = await cat.bytes
  t.is(received.length, bytes)
  t.deepEqual(
    namesOf(await readArchive(received)),
    cases.flatMap(() => ['first', 'second']),
  )
})

test('a body source that never answers does not keep the process alive once its commit was aborted', async (t) => {
  const fifo = fifoFor(t)
  const script = `
    import { openSpout } from 'tarspout'
    const spout = await openSpout({ path: process.argv[1] })
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }
    for (const options of [undefined, { size: 3 }]) {
      const commit = spout.beginCommit()
      commit.add('a', never, options)
      await new Promise(setImmediate)
      commit.abort()
    }
    console.log('aborted')`
  const { exited, output } = runScript(script, {}, fifo.path)
  t.deepEqual(await exited, [0, null])
  t.is(await output, 'aborted\n')
})

for (const isEnding of [false, true]) {
  test(`a FIFO that fails while a body is read fails the commit${isEnding ? ' being ended' : ''}, and the next one works`, async (t) => {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo, { readerTimeoutMs: 100, highWaterMark: 65_536 })
    const commit = spout.beginCommit()
    let goOn = (): void => {}
    const waits = new Promise<void>((resolve) => {
      goOn = resolve
    })
    commit.add(
      'a',
      (async function* () {
        yield pattern(200_000)
        await waits
        yield pattern(200_000)
        yield pattern(200_000)
      })(),
      { size: 600_000 },
    )
    commit.add('b', 'b')
    const ended = isEnding ? outcome(() => commit.end()) : outcome(() => commit.ready())
    const told = await Promise.race([
      ended,
      new Promise((resolve) => setTimeout(resolve, 15_000, 'nothing').unref()),
    ])
    t.is(told, 'ERR_FIFO_NO_READER')
    const cat = new Cat(t, fifo.path)
    const next = spout.beginCommit()
    next.add('first', 'first')
    goOn()
    await new Promise(setImmediate)
    next.add('second', 'second')
    await next.end()
    t.deepEqual(namesOf(await readArchive(await cat.bytes)), ['first', 'second'])
    t.is(await outcome(() => commit.add('c')), 'ERR_FIFO_NO_READER')
  })
}

test('receipts say what was sent', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const cat = new Cat(t, fifo.path)
  const before = Date.now()
  const receipts = []
  for (const sizes of [[0], [1, 512, 513], []]) {
    const commit = spout.beginCommit()
    for (const [i, size] of sizes.entries()) commit.add(`${i}`, pattern(size))
    t.is(commit.archive, receipts.length + 1)
    t.is(commit.bytes, archiveSize(...sizes))
    receipts.push(await commit.end())
  }
  for (const [i, sizes] of [[0], [1, 512, 513], []].entries()) {
    const { deliveredAt, blockedMs, ...rest } = receipts[i] ?? { deliveredAt: 0, blockedMs: -1 }
    t.deepEqual(rest, {
      archive: i + 1,
      entries: sizes.length,
      bytes: archiveSize(...sizes),
      attempts: 1,
      confirmed: 'read',
    })
    t.true(deliveredAt >= before && deliveredAt <= Date.now())
    t.true(blockedMs >= 0)
  }
  await spout.close()
  const total = receipts.reduce((sum, { bytes }) => sum + bytes, 0)
  t.is((await cat.bytes).length, total)
  t.like(spout.stats(), {
    entries: 4,
    archivesDelivered: 3,
    bytesWritten: total,
    bytesConsumed: total,
    opens: 1,
  })
})

test('ready() tells what failed the commit while the event loop had its turn', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { highWaterMark: 1 << 30 })
  const commit = spout.beginCommit()
  for (let i = 0; commit.add(`entry-${i}`); i++); // there is room all the time
  const ready = commit.ready()
  commit.abort(new Error('on purpose'))
  await t.throwsAsync(ready, { message: 'on purpose' })
})

test('a small commit that nothing stands before is written by end() itself', async (t) => {
  // What this thread has written anywhere, in bytes.
  const written = () =>
    Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/self/task/${process.pid}/io`, 'utf8'))?.[1])
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const reader = new HeldReader(t, fifo.path)
  let wroteItself = false
  // Not always: the engine may be at work. Not the first: no write end is open yet.
  for (let i = 0; i < 1000 && !wroteItself; i++) {
    const commit = spout.beginCommit()
    commit.add('entry', pattern(100))
    const before = written()
    const receipt = commit.end()
    wroteItself = written() - before >= commit.bytes
    await reader.take(commit.bytes)
    t.is((await receipt).attempts, 1)
  }
  t.true(wroteItself)
})

test('a reader that left just before end() costs the process no SIGPIPE, and the next one gets the commit', async (t) => {
  let signals = 0
  const count = () => signals++
  process.on('SIGPIPE', count)
  t.teardown(() => process.off('SIGPIPE', count))
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  let reader = new HeldReader(t, fifo.path)
  const send = () => {
    const commit = spout.beginCommit()
    commit.add('entry', pattern(100))
    return { receipt: commit.end(), bytes: commit.bytes }
  }
  for (let i = 0; i < 20; i++) {
    const before = send()
    await reader.take(before.bytes)
    await before.receipt
    reader.close()
    const { receipt, bytes } = send()
    reader = new HeldReader(t, fifo.path)
    await reader.take(bytes)
    await receipt
  }
  t.true(spout.stats().epipe > 0)
  t.is(signals, 0)
})

test('commits are delivered in order while several end() are pending, in one opening or one each', async (t) => {
  for (const connection of ['persistent', 'per-archive'] as const) {
    const fifo = fifoFor(t)
    const reader = standInFor(t, fifo, 'C')
    const spout = await spoutFor(t, fifo, { connection })
    const settled: number[] = []
    const ends = Array.from({ length: 40 }, (_, i) => {
      const commit = spout.beginCommit()
      commit.add(`${i}`, pattern(i * 100))
      return commit.end().then(({ archive }) => settled.push(archive))
    })
    await Promise.all(ends)
    await spout.close()
    const commits = await reader.stop()
    t.deepEqual(
      settled,
      Array.from({ length: 40 }, (_, i) => i + 1),
    )
    t.deepEqual(
      commits.map(({ entries }) => entries[0]?.name),
      Array.from({ length: 40 }, (_, i) => `${i}`),
    )
    t.is(spout.stats().opens, connection === 'persistent' ? 1 : 40)
  }
})

test('archives that one piece of code ends are with the reader though JavaScript is busy from then on', async (t) => {
  const fifo = fifoFor(t)
  const copy = join(dirname(fifo.path), 'copy')
  const cat = spawn('sh', ['-c', 'exec cat "$0" > "$1"', fifo.path, copy], { stdio: 'inherit' })
  const catEnded = once(cat, 'close')
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const archives = async (count: number, size: number) => {
    const all = spout.stats().archivesDelivered + count
    const ends = Array.from({ length: count }, (_, i) => {
      const commit = spout.beginCommit()
      commit.add(`${i}`, pattern(size))
      return commit.end()
    })
    await null
    const until = performance.now() + 5000
    while (performance.now() < until && spout.stats().archivesDelivered < all) {}
    t.is(spout.stats().archivesDelivered, all)
    return Promise.all(ends)
  }
  // The first ones are judged one by one, which takes turns of the engine.
  for (let i = 0; i < 20; i++) await archives(1, 100)
  await archives(3, 100)
  await archives(300, 100)
  await archives(3, 300_000)
  await spout.close()
  await catEnded
  const entries = await readArchive(readFileSync(copy))
  t.is(entries.length, 20 + 3 + 300 + 3)
})

test('an archive is sent to its end wherever the last of it that is handed over begins', async (t) => {
  const fifo = fifoFor(t)
  const cat = new Cat(t, fifo.path)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  let bytes = 0
  for (let entries = 56; entries < 72; entries++) {
    const commit = spout.beginCommit()
    for (let i = 0; i < entries; i++) commit.add(`${i}`, pattern(8192))
    bytes += (await commit.end()).bytes
  }
  await spout.close()
  t.is((await cat.bytes).length, bytes)
})

// ---- every call in every state ----

type Situation = { spout: Spout; commit: Commit; finish(): Promise<unknown> }

const never = () => ({
  [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
})

/** Brings a commit into each state; finish() ends what is still pending. */
const STATES: Record<string, (t: ExecutionContext) => Promise<Situation>> = {
  open: async (t) => {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo, { markerName: 'marker' })
    new Cat(t, fifo.path)
    return { spout, commit: spout.beginCommit(), finish: async () => {} }
  },
  reading: async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    let goOn = (): void => {}
    const waits = new Promise<void>((resolve) => {
      goOn = resolve
    })
    it.commit.add(
      'slow',
      (async function* () {
        await waits
        yield 'slow'
      })(),
    )
    setTimeout(goOn, 20)
    return it
  },
  'ending with a body unread': async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    it.commit.add('slow', never())
    it.commit.end().catch(() => {})
    return it
  },
  ending: async (t) => {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo, { markerName: 'marker' })
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    const ended = commit.end()
    return {
      spout,
      commit,
      finish: async () => {
        const cat = new Cat(t, fifo.path)
        await ended
        t.deepEqual(namesOf(await readArchive(await cat.bytes)), ['a'])
      },
    }
  },
  delivered: async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    await it.commit.end()
    return it
  },
  aborted: async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    it.commit.abort()
    return it
  },
  'failed by a body': async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    it.commit.add('a', [], { size: 1 })
    await it.commit.ready().catch(() => {})
    return it
  },
  'failed by the FIFO': async (t) => {
    const spout = await spoutFor(t, fifoFor(t), { markerName: 'marker', readerTimeoutMs: 1 })
    const commit = spout.beginCommit()
    await commit.end().catch(() => {})
    return { spout, commit, finish: async () => {} }
  },
  'open as its spout was closed': async (t) => {
    const it = await (STATES.open as (typeof STATES)[string])(t)
    await it.spout.close()
    return it
  },
  'open as its spout was aborted': async (t) => {
    const end = new AbortController()
    const spout = await spoutFor(t, fifoFor(t), { markerName: 'marker', signal: end.signal })
    const commit = spout.beginCommit()
    end.abort()
    return { spout, commit, finish: async () => {} }
  },
}
const CALLS = {
  add: ({ commit }: Situation) => commit.add('b', 'b'),
  ready: ({ commit }: Situation) => commit.ready(),
  addMarker: ({ commit }: Situation) => commit.addMarker('m'),
  end: ({ commit }: Situation) => commit.end(),
  abort: ({ commit }: Situation) => commit.abort(),
  beginCommit: ({ spout }: Situation) => spout.beginCommit(),
}
type Call = keyof typeof CALLS
const all = (code: string, rest: Partial<Record<Call, string>> = {}): Record<Call, string> => ({
  ...{ add: code, ready: code, addMarker: code, end: code, abort: 'ok', beginCommit: 'ok' },
  ...rest,
})
const GRID: Record<string, Record<Call, string>> = {
  open: all('ok', { beginCommit: 'ERR_STATE' }),
  reading: all('ok', { beginCommit: 'ERR_STATE' }),
  'ending with a body unread': all('ERR_STATE', { beginCommit: 'ERR_STATE' }),
  ending: all('ERR_STATE'),
  delivered: all('ERR_STATE'),
  aborted: all('ERR_STATE'),
  'failed by a body': all('ERR_TAR_SIZE'),
  'failed by the FIFO': all('ERR_FIFO_NO_READER'),
  'open as its spout was closed': all('ERR_STATE', { beginCommit: 'ERR_STATE' }),
  'open as its spout was aborted': all('AbortError', { beginCommit: 'AbortError' }),
}

for (const [state, make] of Object.entries(STATES)) {
  test(`a commit that is ${state} answers every call, once and twice`, async (t) => {
    for (const name of Object.keys(CALLS) as Call[]) {
      const situation = await make(t)
      t.is(await outcome(() => CALLS[name](situation)), GRID[state]?.[name] ?? '', name)
      if (state === 'open' || state === 'reading') {
        const twice = name === 'end' ? 'ERR_STATE' : GRID[state]?.[name]
        t.is(await outcome(() => CALLS[name](situation)), twice ?? '', `${name} twice`)
      }
      await situation.finish()
    }
  })
}

test('a call in a wrong state says which call, which state and which is needed', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  const commit = spout.beginCommit()
  commit.abort()
  t.like(
    t.throws(() => commit.add('a')),
    {
      code: 'ERR_STATE',
      path: fifo.path,
      message: 'add() needs an open commit, found commit 1, which is aborted',
    },
  )
})

test('a writer that is not a spout may claim the FIFO only once the spout has closed', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  t.is(await outcome(() => writerFor(t, fifo)), 'ERR_FIFO_BUSY')
  t.is(await outcome(() => spoutFor(t, fifo)), 'ERR_FIFO_BUSY')
  await spout.close()
  new Cat(t, fifo.path)
  t.is(await outcome(() => writerFor(t, fifo)), 'ok')
})
