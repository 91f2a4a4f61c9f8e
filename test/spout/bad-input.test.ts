import test, { type ExecutionContext } from 'ava'
import {
  openFifo,
  openSpout,
  type SpoutOptions,
  TarspoutError,
  type TarspoutErrorCode,
} from 'tarspout'
import { makeFifo } from '../support/fifo.js'
import { type Generation, StandIn } from '../support/stand-in.js'
import { hashOf } from '../torture/plan.js'

async function fails(t: ExecutionContext, code: TarspoutErrorCode, call: () => unknown) {
  const error = await t.throwsAsync(async () => await call())
  t.true(error instanceof TarspoutError, String(error))
  t.is((error as TarspoutError).code, code)
}

/** A spout on a FIFO of its own, and a reader once asked for. */
async function withSpout(
  options: SpoutOptions,
  run: (
    spout: Awaited<ReturnType<typeof openSpout>>,
    startReader: (generation: Generation, ...words: string[]) => StandIn,
    path: string,
  ) => Promise<void>,
) {
  const fifo = makeFifo()
  const readers: StandIn[] = []
  const spout = await openSpout({ path: fifo.path, ...options })
  try {
    await run(
      spout,
      (generation, ...words) => {
        const reader = new StandIn(fifo, generation, words)
        readers.push(reader)
        return reader
      },
      fifo.path,
    )
  } finally {
    for (const reader of readers) reader.kill()
    fifo.remove()
  }
}

const names = (reader: StandIn) =>
  reader.commits().map(({ entries }) => entries.map(({ name }) => name))

test('a second spout or writer on one FIFO is refused while the first is open, and not after', async (t) => {
  await withSpout({}, async (first, _, path) => {
    await fails(t, 'ERR_FIFO_BUSY', () => openSpout({ path }))
    await fails(t, 'ERR_FIFO_BUSY', () => openFifo(path))
    await first.close()
    const second = await openSpout({ path })
    await second.close()
  })
})

test('end() twice is refused, and the archive is delivered all the same', async (t) => {
  await withSpout({}, async (spout, startReader) => {
    const commit = spout.beginCommit()
    commit.add('one', 'body')
    const ended = commit.end()
    await fails(t, 'ERR_STATE', () => commit.end())
    const reader = startReader('C')
    await ended
    await reader.event('finished')
    await fails(t, 'ERR_STATE', () => commit.end())
    t.deepEqual(names(reader), [['one']])
    await spout.close()
  })
})

test('an aborted commit takes no entry and no end(), leaves nothing behind, and the next one is delivered', async (t) => {
  await withSpout({}, async (spout, startReader) => {
    const reader = startReader('A', '--finish-ms', '100')
    await reader.event('opening')
    const commit = spout.beginCommit()
    commit.add('gone', 'body')
    commit.abort()
    await fails(t, 'ERR_STATE', () => commit.add('more', 'body'))
    await fails(t, 'ERR_STATE', () => commit.end())
    const next = spout.beginCommit()
    next.add('next', 'body')
    await next.end()
    await spout.close()
    await reader.stop()
    t.deepEqual(names(reader), [['next']])
  })
})

for (const [what, body] of [
  ['a large body', () => new Uint8Array(1 << 20)],
  ['a view of a large buffer', () => new Uint8Array(4 << 20).subarray(1000, 1 << 20)],
] as const) {
  test(`${what} detached after add() fails its archive with ERR_TAR_BODY, and later commits work`, async (t) => {
    await withSpout({}, async (spout, startReader) => {
      const bytes = body()
      const commit = spout.beginCommit()
      commit.add('detached', bytes)
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
      t.is(bytes.length, 0)
      const ended = commit.end()
      ended.catch(() => {})
      const reader = startReader('C', '--on-error', 'reopen', '--backoff-ms', '20')
      await fails(t, 'ERR_TAR_BODY', () => ended)
      const next = spout.beginCommit()
      next.add('next', 'body')
      await next.end()
      await spout.close()
      await reader.stop()
      t.deepEqual(names(reader).at(-1), ['next'])
    })
  })
}

test('a small body is copied by add(): detached or changed later, it arrives as it was', async (t) => {
  await withSpout({}, async (spout, startReader) => {
    const bytes = new Uint8Array(Buffer.alloc(100, 'k')).slice()
    const commit = spout.beginCommit()
    commit.add('small', bytes)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    const ended = commit.end()
    const reader = startReader('C')
    await ended
    await reader.event('finished')
    t.is(reader.commits()[0]?.entries[0]?.hash, hashOf(Buffer.alloc(100, 'k')))
    await spout.close()
  })
})

const large = Buffer.alloc(2 << 20, 'large')
const tight = { retainBytes: 64 << 10, pipeSize: 64 << 10, highWaterMark: 64 << 10 }

for (const connection of ['per-archive', 'persistent'] as const) {
  test(`an entry larger than retainBytes is delivered when nothing disturbs it: ${connection}`, async (t) => {
    await withSpout({ ...tight, connection }, async (spout, startReader) => {
      const reader = startReader('C')
      const commit = spout.beginCommit()
      commit.add('large', large)
      const { attempts } = await commit.end()
      t.is(attempts, 1)
      await spout.close()
      await reader.stop()
      t.deepEqual(reader.commits()[0]?.entries, [
        { name: 'large', size: large.length, hash: hashOf(large) },
      ])
    })
  })

  test(`an entry larger than retainBytes whose reader leaves: ERR_REPLAY_LIMIT, later commits work: ${connection}`, async (t) => {
    await withSpout({ ...tight, connection }, async (spout, startReader) => {
      const cut = ['--close-at', '1000000', '--close-times', '1', '--reopen-us', '0']
      const reader = startReader('C', ...cut, '--on-error', 'reopen', '--backoff-ms', '20')
      const commit = spout.beginCommit()
      commit.add('large', large)
      await fails(t, 'ERR_REPLAY_LIMIT', () => commit.end())
      const next = spout.beginCommit()
      next.add('next', 'body')
      await next.end()
      await spout.close()
      await reader.stop()
      t.deepEqual(names(reader), [['next']])
    })
  })
}

test('spill: true sends an entry larger than retainBytes again', async (t) => {
  await withSpout({ ...tight, spill: true }, async (spout, startReader) => {
    const cut = ['--close-at', '1000000', '--close-times', '1', '--reopen-us', '0']
    const reader = startReader('C', ...cut, '--on-error', 'reopen', '--backoff-ms', '20')
    const commit = spout.beginCommit()
    commit.add('large', large)
    const { attempts } = await commit.end()
    t.true(attempts > 1)
    await spout.close()
    await reader.stop()
    const last = reader.commits().at(-1)
    t.deepEqual(last?.entries, [{ name: 'large', size: large.length, hash: hashOf(large) }])
  })
})
