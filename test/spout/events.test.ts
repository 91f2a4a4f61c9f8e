import { execFile, spawn } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { TestFifo } from '../support/fifo.js'
import {
  archiveSize,
  Cat,
  deliverOne,
  fifoFor,
  HeldReader,
  outcome,
  spoutFor,
  standInFor,
  until,
  writerFor,
} from '../support/spout.js'

const NAMES = [
  'archive:delivered',
  'archive:replayed',
  'archive:failed',
  'fifo:opened',
  'reader:lost',
  'reader:back',
  'writer:foreign',
]
type Message = {
  path: string
  archive?: number
  attempts?: number
  blockedMs?: number
  error?: Error
}

/** What is published about a FIFO, as [name, message], from here on. */
function published(t: ExecutionContext, fifo: TestFifo): [string, Message][] {
  const heard: [string, Message][] = []
  for (const name of NAMES) {
    const hear = (message: unknown) => {
      if ((message as Message).path === fifo.path) heard.push([name, message as Message])
    }
    subscribe(`tarspout:${name}`, hear)
    t.teardown(() => unsubscribe(`tarspout:${name}`, hear))
  }
  return heard
}
const namesOf = (heard: readonly [string, Message][]) => heard.map(([name]) => name)

test('each delivered archive is published before its end() settles, with the facts of its receipt', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  standInFor(t, fifo, 'C')
  const spout = await spoutFor(t, fifo)
  for (let i = 1; i <= 3; i++) {
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    const { archive, attempts, blockedMs } = await commit.end()
    t.deepEqual(heard.at(-1), [
      'archive:delivered',
      { path: fifo.path, archive, attempts, blockedMs },
    ])
    t.is(heard.length, i)
  }
})

test('an archive that fails is published with the error its end() rejects with', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  const spout = await spoutFor(t, fifo, { readerTimeoutMs: 10 })
  const commit = spout.beginCommit()
  commit.add('a', 'a')
  const error = await t.throwsAsync(commit.end())
  t.deepEqual(heard, [['archive:failed', { path: fifo.path, archive: 1, error }]])
})

test('an archive that is sent again is published with its attempts', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  standInFor(t, fifo, 'B', '--close-at', '700', '--close-times', '1', '--reopen-us', '20000')
  const spout = await spoutFor(t, fifo)
  const commit = spout.beginCommit()
  commit.add('a', 'a'.repeat(100_000))
  const { attempts } = await commit.end()
  const again = heard.filter(([name]) => name === 'archive:replayed')
  t.true(attempts >= 2)
  t.deepEqual(
    again.map(([, message]) => message),
    Array.from({ length: attempts - 1 }, (_, i) => ({
      path: fifo.path,
      archive: 1,
      attempts: i + 2,
    })),
  )
  t.is(spout.stats().replays, attempts - 1)
})

test('the opening of a FIFO is published, and each reader that leaves or comes back', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  const reader = new HeldReader(t, fifo.path)
  const writer = await writerFor(t, fifo)
  t.deepEqual(heard, [['fifo:opened', { path: fifo.path }]])
  const expected = ['fifo:opened']
  let current = reader
  for (let round = 0; round < 2; round++) {
    current.close()
    expected.push('reader:lost')
    await until('the loss is told', () => heard.length === expected.length)
    current = new HeldReader(t, fifo.path)
    expected.push('reader:back')
    await until('the return is told', () => heard.length === expected.length)
  }
  t.deepEqual(namesOf(heard), expected)
  t.true(heard.every(([, message]) => message.path === fifo.path))
  await writer.close()
})

test('a spout tells of a reader that left between two archives, and of the next one', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  for (let i = 1; i <= 2; i++) {
    const reader = new HeldReader(t, fifo.path)
    await deliverOne(spout, reader)
    reader.close()
    await until('the loss is told', () => heard.at(-1)?.[0] === 'reader:lost')
  }
  t.deepEqual(
    namesOf(heard).filter((name) => name !== 'fifo:opened'),
    ['archive:delivered', 'reader:lost', 'reader:back', 'archive:delivered', 'reader:lost'],
  )
})

test('another writer is published, once', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  new Cat(t, fifo.path)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const send = async () => {
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    await commit.end()
  }
  await send()
  t.deepEqual(
    namesOf(heard).filter((name) => name === 'writer:foreign'),
    [],
  )
  for (let i = 0; i < 3; i++) {
    await promisify(execFile)('sh', ['-c', 'printf 0123456789 >"$0"', fifo.path])
    await send()
  }
  await until('it is told', () => namesOf(heard).includes('writer:foreign'))
  await spout.close()
  t.deepEqual(
    heard.filter(([name]) => name === 'writer:foreign'),
    [['writer:foreign', { path: fifo.path }]],
  )
})

test('another writer that stays is published once its bytes are between ours', async (t) => {
  const fifo = fifoFor(t)
  const heard = published(t, fifo)
  const reader = new HeldReader(t, fifo.path)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const send = async () => {
    // what is in the pipe the reader may take before anyone looks
    const before = spout.stats().bytesWritten
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    const ended = commit.end()
    await until('it was written', () => spout.stats().bytesWritten >= before + archiveSize(1))
    return ended
  }
  const first = send()
  await reader.take(archiveSize(1))
  await first
  const script = 'printf 0123456789 && echo written >&2 && exec sleep 100'
  const other = spawn('sh', ['-c', `exec >"$0" && ${script}`, fifo.path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => other.kill())
  await once(other.stderr, 'data')
  const second = send()
  second.catch(() => {})
  await until('it is told', () => namesOf(heard).includes('writer:foreign'))
  t.is((await reader.take(10)).toString(), '0123456789')
  await reader.take(archiveSize(1))
  await second
  t.is(namesOf(heard).filter((name) => name === 'writer:foreign').length, 1)
})

test('without anyone hearing nothing is different', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { readerTimeoutMs: 10 })
  const commit = spout.beginCommit()
  t.is(await outcome(() => commit.end()), 'ERR_FIFO_NO_READER')
})
