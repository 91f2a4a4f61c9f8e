import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Receipt, Spout, SpoutOptions } from 'tarspout'
import { Child } from '../support/child.js'
import {
  archiveSize,
  fifoFor,
  HeldReader,
  pattern,
  readArchive,
  spoutFor,
  standInFor,
  until,
} from '../support/spout.js'
import { generations } from '../support/stand-in.js'

// Rule 4 of docs/delivery.md: what becomes of the bytes in the pipe when their reader left in the
// middle.

const body = pattern(200_000)
const size = archiveSize(body.length)

const isClosed = (spout: Spout) =>
  until('the write end is closed', () => spout.stats().state === 'opening')

/**
 * A spout whose reader took the first 1000 bytes of an archive; `before` is called before it
 * leaves.
 */
async function leftInTheMiddle(
  t: ExecutionContext,
  options: SpoutOptions,
  before = (_path: string) => {},
) {
  const fifo = fifoFor(t)
  const reader = new HeldReader(t, fifo.path)
  const spout = await spoutFor(t, fifo, options)
  const commit = spout.beginCommit()
  commit.add('a', body)
  const ended = commit.end()
  ended.catch(() => {})
  await reader.take(1000)
  before(fifo.path)
  reader.close()
  return { fifo, spout, ended }
}

async function isWhole(t: ExecutionContext, bytes: Buffer) {
  const [entry, ...more] = await readArchive(bytes)
  t.true(entry?.body.equals(body))
  t.is(more.length, 0)
}

for (const pipeSize of [4096, 65_536, 1 << 20]) {
  test(`the next reader gets the archive from its start: pipeSize ${pipeSize}`, async (t) => {
    const { fifo, spout, ended } = await leftInTheMiddle(t, { pipeSize })
    await isClosed(spout)
    const next = new HeldReader(t, fifo.path)
    await isWhole(t, await next.take(size))
    t.is((await ended).attempts, 2)
  })

  // Another writer keeps the pipe, as a reader does that opens just before the spout closes.
  test(`the next reader gets the rest to its end if the pipe was kept: pipeSize ${pipeSize}`, async (t) => {
    let other = -1
    const { fifo, spout, ended } = await leftInTheMiddle(t, { pipeSize }, (path) => {
      other = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    })
    t.teardown(() => closeSync(other))
    await isClosed(spout)
    const next = new HeldReader(t, fifo.path)
    const rest = await next.take(size - 1000)
    const copy = await next.take(size)
    t.true(rest.equals(copy.subarray(1000)))
    await isWhole(t, copy)
    t.is((await ended).attempts, 2)
  })
}

test('what a kept pipe holds of an archive given up is not joined to the next one', async (t) => {
  let other = -1
  const options = { pipeSize: 65_536, readerTimeoutMs: 300 }
  const { fifo, spout, ended } = await leftInTheMiddle(t, options, (path) => {
    other = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  })
  await t.throwsAsync(ended, { code: 'ERR_FIFO_NO_READER' })
  const reader = new HeldReader(t, fifo.path)
  closeSync(other)
  t.true(reader.takeWhatIsThere() > 0)
  const commit = spout.beginCommit()
  commit.add('next', body)
  const next = commit.end()
  await isWhole(t, await reader.take(size))
  await next
  t.is(
    spout.stats().opens,
    3,
    'it found the pipe, and left it again for the reader to see the end of file',
  )
})

test('a reader that is late to look for a writer still finds one, and finishes its last commit', async (t) => {
  const fifo = fifoFor(t)
  const reader = standInFor(t, fifo, 'B', '--ask-late-at', '3', '--ask-late-ms', '30')
  const spout = await spoutFor(t, fifo)
  for (let i = 0; i < 3; i++) {
    const commit = spout.beginCommit()
    commit.add(`entry-${i}`, pattern(1000))
    await commit.end()
  }
  await spout.close()
  t.timeout(10_000)
  await reader.event('finished 3')
  t.is((await reader.stop()).length, 3)
})

test('a reader that comes back in the middle, when all was written, and takes the rest does not have it', async (t) => {
  const fifo = fifoFor(t)
  const whole = pattern(1_500_000)
  const size = archiveSize(whole.length)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  let reader = new HeldReader(t, fifo.path)
  for (let i = 0; i < 10; i++) {
    const written = spout.stats().bytesWritten + size
    const commit = spout.beginCommit()
    commit.add('a', whole)
    const ended = commit.end()
    await reader.take(600_000)
    await until('all is written', () => spout.stats().bytesWritten >= written)
    reader.close()
    reader = new HeldReader(t, fifo.path)
    await reader.take(size - 600_000)
    let receipt: Receipt | undefined
    ended.then((given) => {
      receipt = given
    })
    let again = 0
    await until('it was sent again', () => {
      again += reader.takeWhatIsThere()
      return receipt !== undefined
    })
    const { attempts } = await ended
    t.true(attempts >= 2)
    t.true(again >= 600_000, 'a whole copy at least, behind the rest or instead of it')
  }
})

// What the spout sees when it goes on is a close and an open, one right behind the other: what a
// 1.9 reader does that lives.
for (const generation of generations) {
  test(`committed: a reader killed while finishing has not finished, though the spout was stopped meanwhile: ${generation}`, async (t) => {
    const fifo = fifoFor(t)
    const first = standInFor(t, fifo, generation, '--finish-ms', '30000')
    const child = new Child('send', [fifo.path, 'entry', '1000', 'Infinity', 'committed'])
    t.teardown(() => child.kill())
    await first.event('finishing')
    await delay(50) // what shall prove the commit is in the pipe
    await child.pause()
    first.kill()
    await first.ended()
    const second = standInFor(t, fifo, generation)
    await second.event('opened')
    child.process.kill('SIGCONT')
    t.regex(await child.line('delivered'), /^delivered ([2-9]|\d\d)$/)
    t.is(await child.ended(), 0, child.stderr)
    const commits = await second.stop()
    t.true(commits.some(({ complete, entries }) => complete && entries[0]?.name === 'entry'))
  })
}
