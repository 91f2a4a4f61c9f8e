import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { createReadStream, existsSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type SpoutCommit, SpoutManager, type SpoutManagerOptions } from 'tarspout'
import { ByteReader } from '../support/byte-reader.js'
import { makeFifo, type TestFifo } from '../support/fifo.js'
import { generations, StandIn } from '../support/stand-in.js'
import { hashOf } from '../torture/plan.js'

const codeOf = (error: unknown) => (error as { code?: string }).code

interface Made {
  readonly fifo: TestFifo
  readonly pfsDirectory: string
  readonly spout: SpoutManager
}

function make(t: ExecutionContext, options: SpoutManagerOptions = {}): Made {
  const fifo = makeFifo()
  const pfsDirectory = dirname(fifo.path)
  const spout = new SpoutManager({ pfsDirectory, ...options })
  t.teardown(() => {
    spout.close()
    fifo.remove()
  })
  return { fifo, pfsDirectory, spout }
}

/** A manager with a reader of the newest generation. */
function made(t: ExecutionContext, options: SpoutManagerOptions = {}): Made & { reader: StandIn } {
  const all = make(t, options)
  const reader = new StandIn(all.fifo, 'C')
  t.teardown(() => reader.kill())
  return { ...all, reader }
}

/** The names in each commit, those of incomplete ones marked. */
async function namesOf({
  spout,
  reader,
}: {
  spout: SpoutManager
  reader: StandIn
}): Promise<string[]> {
  await spout.close()
  return (await reader.stop()).map(
    ({ entries, complete }) =>
      entries.map(({ name }) => name).join(' ') + (complete ? '' : ' INCOMPLETE'),
  )
}

/** A stream as they were before async iteration: events, and no more. */
function oldStream(parts: readonly Buffer[]): NodeJS.ReadableStream {
  const stream = Object.assign(new EventEmitter(), { pipe() {}, pause() {}, resume() {} })
  setImmediate(() => {
    for (const part of parts) stream.emit('data', part)
    stream.emit('end')
  })
  return stream as unknown as NodeJS.ReadableStream
}

const half = (bytes: Buffer): Buffer[] => [bytes.subarray(0, 1000), bytes.subarray(1000)]
const SOURCES: Record<string, (bytes: Buffer) => Parameters<SpoutCommit['putFileFromFileobj']>[2]> =
  {
    node: (bytes) => Readable.from(half(bytes)),
    web: (bytes) =>
      new Blob([Uint8Array.from(bytes)]).stream() as unknown as AsyncIterable<Uint8Array>,
    old: (bytes) => oldStream(half(bytes)),
    async: async function* (bytes) {
      yield* half(bytes)
    },
    array: (bytes) => half(bytes),
    bytes: (bytes) => bytes,
  }

for (const generation of generations) {
  test(`${generation} commits what is put, from bytes and from any readable, and markers last`, async (t) => {
    const { fifo, spout } = make(t, { markerFilename: 'mark' })
    const reader = new StandIn(fifo, generation, ['--finish-ms', '5'])
    t.teardown(() => reader.kill())
    const expected: [string, string][][] = []
    for (const [n, [name, toSource]] of Object.entries(SOURCES).entries()) {
      const [bytes, read, marker] = [
        randomBytes(20_000),
        randomBytes(70_001),
        Buffer.from(`at ${n}`),
      ]
      const receipt = await spout.commit(async (commit) => {
        if (n % 2) await commit.putMarkerFromBytes(marker)
        else await commit.putMarkerFromFileobj(marker.length, toSource(marker))
        await commit.putFileFromBytes(`${name}/bytes`, bytes)
        await commit.putFileFromFileobj(`${name}/read`, read.length, toSource(read))
      })
      t.is(receipt.archive, n + 1)
      expected.push([
        [`${name}/bytes`, hashOf(bytes)],
        [`${name}/read`, hashOf(read)],
        ['mark', hashOf(marker)],
      ])
    }
    await spout.close()
    const commits = (await reader.stop()).filter(({ entries }) => entries.length > 0)
    t.true(commits.every(({ complete }) => complete))
    t.deepEqual(
      commits.map(({ entries }) => entries.map(({ name, hash }) => [name, hash])),
      expected,
    )
  })
}

test('an archive ends with two zero blocks and no record padding', async (t) => {
  const { fifo, spout } = make(t)
  const reader = new ByteReader(fifo.path)
  t.teardown(() => reader.kill())
  const all = reader.rest()
  await spout.commit((commit) => commit.putFileFromBytes('file', 'content'))
  await spout.close()
  const archive = await all
  t.is(archive.length, 512 + 512 + 1024)
  t.is(archive.subarray(512, 519).toString(), 'content')
  t.true(archive.subarray(1024).every((byte) => byte === 0))
})

test('commit() settles when the reader has the archive, not before', async (t) => {
  const { fifo, spout } = make(t)
  let isSettled = false
  const commit = spout
    .commit((commit) => commit.putFileFromBytes('file', 'content'))
    .then((receipt) => {
      isSettled = true
      return receipt
    })
  await delay(50)
  t.false(isSettled)
  const reader = new ByteReader(fifo.path)
  t.teardown(() => reader.kill())
  const all = reader.rest()
  t.like(await commit, { archive: 1, entries: 1, bytes: 2048, confirmed: 'read' })
  await spout.close()
  await all
})

test('a nested commit is refused, and the outer one goes on', async (t) => {
  const { spout, reader } = made(t)
  await spout.commit(async (commit) => {
    commit.putFileFromBytes('outer', 'x')
    const nested = spout.commit((inner) => inner.putFileFromBytes('inner', 'x'))
    t.is(codeOf(await t.throwsAsync(nested)), 'ERR_STATE')
    t.is(codeOf(t.throws(() => spout.beginCommit())), 'ERR_STATE')
  })
  await spout.commit((commit) => commit.putFileFromBytes('next', 'x'))
  t.deepEqual(await namesOf({ spout, reader }), ['outer', 'next'])
})

test('the next commit may begin while earlier ones are on their way', async (t) => {
  const { spout, fifo } = make(t)
  const commits = []
  for (const name of ['first', 'second', 'third']) {
    const commit = spout.beginCommit()
    commit.putFileFromBytes(name, 'x')
    commits.push(commit.end())
    await delay(1)
  }
  const reader = new StandIn(fifo, 'C')
  t.teardown(() => reader.kill())
  t.deepEqual(
    (await Promise.all(commits)).map(({ archive }) => archive),
    [1, 2, 3],
  )
  t.deepEqual(await namesOf({ spout, reader }), ['first', 'second', 'third'])
})

test('a block that throws commits nothing, however much it put', async (t) => {
  const { spout, reader } = made(t)
  const reason = new Error('no')
  for (const bytes of [1, 3 << 20]) {
    const commit = spout.commit(async (commit) => {
      await commit.putFileFromBytes('file', Buffer.alloc(bytes))
      await commit.putFileFromFileobj('read', bytes, Readable.from([Buffer.alloc(bytes)]))
      throw reason
    })
    t.is(await t.throwsAsync(commit), reason)
  }
  await spout.commit((commit) => commit.putFileFromBytes('next', 'x'))
  t.is(spout.stats().bytesWritten, 2048)
  t.deepEqual(await namesOf({ spout, reader }), ['next'])
})

test('a commit larger than highWaterMark that fails is cut, so that its reader drops it', async (t) => {
  const { spout, fifo } = make(t, { highWaterMark: 10_000 })
  const reader = new StandIn(fifo, 'C', ['--on-error', 'reopen', '--backoff-ms', '1'])
  t.teardown(() => reader.kill())
  const reason = new Error('no')
  const commit = spout.commit(async (commit) => {
    await commit.putFileFromBytes('file', Buffer.alloc(20_000))
    while (spout.stats().bytesConsumed < 20_000) await delay(1)
    throw reason
  })
  t.is(await t.throwsAsync(commit), reason)
  await spout.commit((commit) => commit.putFileFromBytes('next', 'x'))
  t.deepEqual(await namesOf({ spout, reader }), ['next'])
})

// Each way for a put to fail, and the code it fails with.
const FAILURES: Record<
  string,
  [(commit: SpoutCommit) => Promise<void>, string | typeof TypeError | typeof RangeError]
> = {
  'a refused name': [(commit) => commit.putFileFromBytes('/absolute', 'x'), 'ERR_TAR_NAME'],
  'a readable as bytes': [
    (commit) => commit.putFileFromBytes('file', Readable.from(['x']) as unknown as string),
    TypeError,
  ],
  'a number as readable': [
    (commit) => commit.putFileFromFileobj('file', 1, 1 as unknown as string),
    TypeError,
  ],
  'a size that is none': [
    (commit) => commit.putFileFromFileobj('file', 1.5, Readable.from(['x'])),
    RangeError,
  ],
  'too few bytes': [
    (commit) => commit.putFileFromFileobj('file', 5, Readable.from(['four'])),
    'ERR_TAR_SIZE',
  ],
  'too many bytes': [
    (commit) => commit.putFileFromFileobj('file', 3, Readable.from(['four'])),
    'ERR_TAR_SIZE',
  ],
  'a stream that fails': [
    (commit) => commit.putFileFromFileobj('file', 5, createReadStream('/nowhere/at/all')),
    'ERR_TAR_BODY',
  ],
  'a marker of the wrong size': [
    (commit) => commit.putMarkerFromFileobj(5, Readable.from(['four'])),
    'ERR_TAR_SIZE',
  ],
  'a marker that is none': [
    (commit) => commit.putMarkerFromBytes(1 as unknown as string),
    TypeError,
  ],
}

for (const [what, [put, expected]] of Object.entries(FAILURES)) {
  const isExpected = (error: unknown) =>
    typeof expected === 'string' ? codeOf(error) === expected : error instanceof expected
  test(`${what} fails the commit: awaited, caught, or not awaited`, async (t) => {
    const { spout, reader } = made(t, { markerFilename: 'mark' })
    const awaited = spout.commit(async (commit) => {
      commit.putFileFromBytes('before', 'x')
      await put(commit)
      t.fail()
    })
    t.true(isExpected(await t.throwsAsync(awaited, { any: true })))
    const caught = spout.commit(async (commit) => {
      const error = await put(commit).catch((error) => error)
      t.true(isExpected(error))
      t.is(await t.throwsAsync(commit.putFileFromBytes('behind', 'x'), { any: true }), error)
    })
    t.true(isExpected(await t.throwsAsync(caught, { any: true })))
    const unawaited = spout.commit((commit) => {
      commit.putFileFromBytes('before', 'x')
      put(commit)
      commit.putFileFromBytes('behind', 'x')
    })
    t.true(isExpected(await t.throwsAsync(unawaited, { any: true })))
    await spout.commit((commit) => commit.putFileFromBytes('next', 'x'))
    t.deepEqual(await namesOf({ spout, reader }), ['next'])
  })
}

test('why a stream failed is the cause', async (t) => {
  const { spout } = make(t)
  const commit = spout.commit((commit) =>
    commit.putFileFromFileobj('file', 5, createReadStream('/nowhere/at/all')),
  )
  t.is(codeOf((await t.throwsAsync(commit))?.cause), 'ENOENT')
})

test('a stream that fails before its turn fails the commit', async (t) => {
  const { spout } = make(t)
  const slow = new PassThrough()
  const commit = spout.commit(async (commit) => {
    commit.putFileFromFileobj('slow', 4, slow)
    commit.putFileFromFileobj('missing', 5, createReadStream('/nowhere/at/all'))
    await delay(20)
    slow.end('slow')
  })
  t.is(codeOf((await t.throwsAsync(commit))?.cause), 'ENOENT')
})

test('files are in the order of the calls, awaited or not', async (t) => {
  const { spout, reader } = made(t)
  const slow = new PassThrough()
  await spout.commit((commit) => {
    commit.putFileFromBytes('1', 'x')
    commit.putFileFromFileobj('2', 4, slow)
    commit.putFileFromBytes('3', 'x')
    commit.putFileFromFileobj('4', 1, ['x'])
    setTimeout(() => slow.end('slow'), 20)
  })
  t.deepEqual(await namesOf({ spout, reader }), ['1 2 3 4'])
})

test('the last call sets the marker, not the slowest source', async (t) => {
  const { spout, fifo } = make(t, { markerFilename: 'mark' })
  const reader = new StandIn(fifo, 'C')
  t.teardown(() => reader.kill())
  const slow = new PassThrough()
  await spout.commit((commit) => {
    commit.putMarkerFromBytes('first')
    commit.putMarkerFromFileobj(4, slow)
    commit.putMarkerFromBytes('last')
    setTimeout(() => slow.end('slow'), 20)
  })
  await spout.close()
  const [commit] = await reader.stop()
  t.deepEqual(
    commit?.entries.map(({ name, hash }) => [name, hash]),
    [['mark', hashOf(Buffer.from('last'))]],
  )
})

test('a put settles only when there is room for the next', async (t) => {
  const { spout, fifo } = make(t, { highWaterMark: 100_000 })
  let puts = 0
  const commit = spout.commit(async (commit) => {
    for (let n = 0; n < 10; n++) {
      await commit.putFileFromBytes(`file${n}`, Buffer.alloc(60_000))
      puts++
    }
  })
  await delay(50)
  t.is(puts, 1)
  const reader = new StandIn(fifo, 'C')
  t.teardown(() => reader.kill())
  t.is((await commit).entries, 10)
})

test('once end() was called nothing more is taken', async (t) => {
  const { spout, reader } = made(t)
  const commit = spout.beginCommit()
  commit.putFileFromBytes('file', 'x')
  const receipt = commit.end()
  const late = () => [
    commit.putFileFromBytes('late', 'x'),
    commit.putFileFromFileobj('late', 1, 'x'),
    commit.putMarkerFromBytes('late'),
    commit.putMarkerFromFileobj(1, 'x'),
    commit.end(),
  ]
  for (const call of late()) t.is(codeOf(await t.throwsAsync(call)), 'ERR_STATE')
  t.is((await receipt).entries, 1)
  commit.abort()
  for (const call of late()) t.is(codeOf(await t.throwsAsync(call)), 'ERR_STATE')
  t.deepEqual(await namesOf({ spout, reader }), ['file'])
})

test('what a block throws comes before what a put failed with', async (t) => {
  const { spout } = make(t)
  const reason = new Error('no')
  const commit = spout.commit(async (commit) => {
    await commit.putFileFromBytes('/absolute', 'x').catch(() => {})
    throw reason
  })
  t.is(await t.throwsAsync(commit), reason)
})

test('a commit that is begun by hand is made by end(), and aborted by leaving its block', async (t) => {
  const { spout, reader } = made(t)
  {
    await using commit = spout.beginCommit()
    await commit.putFileFromBytes('ended', 'x')
    t.is((await commit.end()).entries, 1)
  }
  {
    await using commit = spout.beginCommit()
    await commit.putFileFromBytes('left', 'x')
  }
  const slow = new PassThrough()
  let left: Promise<unknown> | undefined
  {
    await using commit = spout.beginCommit()
    commit.putFileFromFileobj('slow', 4, slow)
    left = commit.end()
  }
  slow.end('slow')
  await left
  const aborted = spout.beginCommit()
  aborted.putFileFromBytes('aborted', 'x')
  const reason = new Error('no')
  aborted.abort(reason)
  aborted.abort(new Error('again'))
  t.is(await t.throwsAsync(aborted.end()), reason)
  t.is(await t.throwsAsync(aborted.putFileFromBytes('late', 'x')), reason)
  await spout.commit((commit) => commit.putFileFromBytes('next', 'x'))
  t.deepEqual(await namesOf({ spout, reader }), ['ended', 'slow', 'next'])
})

test('abort() destroys the streams that are read, and their puts reject with its reason', async (t) => {
  const { spout } = make(t, { markerFilename: 'mark' })
  const commit = spout.beginCommit()
  const sources = [new PassThrough(), new PassThrough(), new PassThrough()]
  const [first, second, third] = sources as [PassThrough, PassThrough, PassThrough]
  const puts = [
    commit.putFileFromFileobj('first', 10, first),
    commit.putFileFromFileobj('second', 10, second),
    commit.putMarkerFromFileobj(10, third),
  ]
  first.write('begun')
  await delay(5)
  const reason = new Error('no')
  commit.abort(reason)
  t.deepEqual(
    sources.map(({ destroyed }) => destroyed),
    [true, true, true],
  )
  const results = await Promise.allSettled(puts)
  t.deepEqual(
    results.map((result) => result.status === 'rejected' && codeOf(result.reason)),
    [undefined, undefined, 'ABORT_ERR'],
  )
  t.is((results[0] as PromiseRejectedResult).reason, reason)
})

test('marker() reads what the last run stored', async (t) => {
  const { spout, pfsDirectory } = make(t, { markerFilename: 'mark' })
  t.is(await spout.marker(), undefined)
  // As on a first run: a link to nothing.
  symlinkSync(join(pfsDirectory, 'scratch'), join(pfsDirectory, 'mark'))
  t.is(await spout.marker(), undefined)
  writeFileSync(join(pfsDirectory, 'scratch'), 'at 17')
  t.is((await spout.marker())?.toString(), 'at 17')
})

test('without markerFilename there is no marker', async (t) => {
  const { spout } = make(t)
  const source = Readable.from(['x'])
  t.is(codeOf(await t.throwsAsync(spout.marker())), 'ERR_STATE')
  for (const put of [
    (commit: SpoutCommit) => commit.putMarkerFromBytes('x'),
    (commit: SpoutCommit) => commit.putMarkerFromFileobj(1, source),
  ]) {
    t.is(codeOf(await t.throwsAsync(spout.commit(put))), 'ERR_STATE')
  }
  t.false(source.readableDidRead)
})

test('close() aborts the open commit, waits for those on their way, and refuses more', async (t) => {
  const { spout, fifo } = make(t)
  const first = spout.beginCommit()
  first.putFileFromBytes('first', 'x')
  const receipt = first.end()
  await delay(1)
  const open = spout.beginCommit()
  open.putFileFromBytes('open', 'x')
  const closed = spout.close()
  t.is(codeOf(t.throws(() => spout.beginCommit())), 'ERR_STATE')
  t.is(codeOf(await t.throwsAsync(open.end())), 'ERR_STATE')
  const reader = new StandIn(fifo, 'C')
  t.teardown(() => reader.kill())
  t.is((await receipt).archive, 1)
  await closed
  t.deepEqual(await namesOf({ spout, reader }), ['first'])
})

test('the signal ends commits and waits', async (t) => {
  const stop = new AbortController()
  const { spout } = make(t, { signal: stop.signal })
  const commit = spout.commit((commit) => commit.putFileFromBytes('file', 'x'))
  await delay(1)
  stop.abort('reason')
  const error = await t.throwsAsync(commit)
  t.is(codeOf(error), 'ABORT_ERR')
  t.is(error?.cause, 'reason')
  t.is(codeOf(await t.throwsAsync(spout.commit(() => {}))), 'ABORT_ERR')
})

test('options of the spout are passed on', async (t) => {
  const { spout } = make(t, { readerTimeoutMs: 20, nameRules: 'tar' })
  const commit = spout.commit((commit) => commit.putFileFromBytes('ümlaut', 'x'))
  t.is(codeOf(await t.throwsAsync(commit)), 'ERR_FIFO_NO_READER')
})

test('the folder is pfsDirectory, or PFS_DIR, or /pfs', async (t) => {
  const { pfsDirectory, fifo } = make(t)
  const before = process.env.PFS_DIR
  t.teardown(() => {
    if (before === undefined) delete process.env.PFS_DIR
    else process.env.PFS_DIR = before
  })
  process.env.PFS_DIR = pfsDirectory
  t.is(codeOf(t.throws(() => new SpoutManager())), 'ERR_FIFO_BUSY')
  delete process.env.PFS_DIR
  if (!existsSync('/pfs'))
    t.like(
      t.throws(() => new SpoutManager()),
      { code: 'ENOENT', path: '/pfs/out' },
    )
  const missing = join(fifo.folder, 'scratch', 'missing')
  t.like(
    t.throws(() => new SpoutManager({ pfsDirectory: missing })),
    { path: join(missing, 'out') },
  )
  t.deepEqual(readdirSync(dirname(missing)), ['out'])
})

test('wrong arguments throw', async (t) => {
  for (const [options, expected] of [
    [null, TypeError],
    [{ path: '/pfs/out' }, TypeError],
    [{ markerName: 'mark' }, TypeError],
    [{ marker_filename: 'mark' }, TypeError],
    [{ pfsDirectory: 1 }, TypeError],
    [{ pfsDirectory: '' }, RangeError],
    [{ markerFilename: 'out' }, RangeError],
  ] as const) {
    t.throws(() => new SpoutManager(options as unknown as SpoutManagerOptions), {
      instanceOf: expected,
    })
  }
  const { spout } = make(t)
  await t.throwsAsync(spout.commit('no' as unknown as () => void), { instanceOf: TypeError })
  await spout[Symbol.asyncDispose]()
})
