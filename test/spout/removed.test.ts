import { readFileSync, rmSync, statSync } from 'node:fs'
import test from 'ava'
import { openSpout } from 'tarspout'
import { mkfifo } from '../support/fifo.js'
import {
  archiveSize,
  deliverOne,
  fifoFor,
  HeldReader,
  outcome,
  pattern,
  readArchive,
  spoutFor,
  until,
} from '../support/spout.js'

// Rule 8 of docs/delivery.md. Many file systems give a new file the inode number of the one just
// removed.

/** Whether some process claims the FIFO of that number. */
function isClaimed(dev: bigint, ino: bigint): boolean {
  const name = `@tarspout-${dev.toString(16)}-${ino.toString(16)}`
  return readFileSync('/proc/net/unix', 'utf8').split(/\s+/).includes(name)
}

for (const connection of ['per-archive', 'persistent'] as const) {
  for (const state of ['opened', 'delivered'] as const) {
    test(`a removed FIFO is given up while its spout is open: ${connection}, ${state}`, async (t) => {
      const fifo = fifoFor(t)
      const spout = await spoutFor(t, fifo, { connection })
      if (state === 'delivered') {
        const reader = new HeldReader(t, fifo.path)
        await deliverOne(spout, reader)
        reader.close()
      }
      const { dev, ino } = statSync(fifo.path, { bigint: true })
      t.true(isClaimed(dev, ino))
      rmSync(fifo.target)
      await until('it is given up', () => !isClaimed(dev, ino))
    })
  }
}

test('a FIFO made where one was removed is claimed, and its readers are watched', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  rmSync(fifo.target)
  mkfifo(fifo.target)
  const { dev, ino } = statSync(fifo.path, { bigint: true })
  const body = pattern(100_000)
  const commit = spout.beginCommit()
  commit.add('a', body)
  const ended = commit.end()
  const first = new HeldReader(t, fifo.path)
  await first.take(1000)
  t.true(isClaimed(dev, ino))
  t.is(await outcome(() => openSpout({ path: fifo.target })), 'ERR_FIFO_BUSY')
  const second = new HeldReader(t, fifo.path) // only the watch tells of it
  first.close()
  const size = archiveSize(body.length)
  await second.take(size - 1000)
  const [entry] = await readArchive(await second.take(size))
  t.true(entry?.body.equals(body))
  t.is((await ended).attempts, 2)
  t.is(spout.stats().guarantee, 'tracked')
})
