import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { openSpout } from 'tarspout'
import { hasReader, makeFifo, type TestFifo } from '../support/fifo.js'
import { StandIn } from '../support/stand-in.js'

const codeOf = (error: unknown) => (error as { code?: string }).code

function fifoOf(t: ExecutionContext): TestFifo {
  const fifo = makeFifo()
  t.teardown(() => fifo.remove())
  return fifo
}

/** Settles when an archive for the FIFO has failed. */
async function failureOf(path: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const listener = (message: unknown) => {
      if ((message as { path: string }).path !== path) return
      unsubscribe('tarspout:archive:failed', listener)
      resolve()
    }
    subscribe('tarspout:archive:failed', listener)
  })
}

test('abort() does not wait for a body that does not come', async (t) => {
  const spout = await openSpout({ path: fifoOf(t).path })
  for (const options of [{}, { size: 10 }]) {
    const commit = spout.beginCommit()
    const body = new PassThrough()
    body.write('begun')
    commit.add('file', body, options)
    const ready = commit.ready()
    await delay(1)
    const reason = new Error('enough')
    commit.abort(reason)
    t.is(await t.throwsAsync(ready), reason)
  }
  await spout.close()
})

test('end() does not wait for a body whose archive has failed', async (t) => {
  const spout = await openSpout({ path: fifoOf(t).path, highWaterMark: 1000, readerTimeoutMs: 50 })
  const commit = spout.beginCommit()
  const body = new PassThrough()
  body.write(Buffer.alloc(5000))
  commit.add('file', body, { size: 10_000 })
  t.is(codeOf(await t.throwsAsync(commit.end())), 'ERR_FIFO_NO_READER')
  spout.beginCommit().abort()
  await spout.close()
})

test('a body that comes after its archive has failed does not get into the next one', async (t) => {
  const fifo = fifoOf(t)
  const spout = await openSpout({ path: fifo.path, highWaterMark: 1000, readerTimeoutMs: 300 })
  const failed = spout.beginCommit()
  const body = new PassThrough()
  body.write(Buffer.alloc(5000))
  failed.add('late', body, { size: 10_000 })
  await failureOf(fifo.path)
  const reader = new StandIn(fifo, 'C')
  while (!hasReader(fifo.path)) await delay(1)
  const next = spout.beginCommit()
  body.end(Buffer.alloc(5000))
  await delay(10)
  next.add('next', 'right')
  await next.end()
  await spout.close()
  t.deepEqual(
    (await reader.stop()).map(({ complete, entries }) => [
      complete,
      entries.map(({ name }) => name),
    ]),
    [[true, ['next']]],
  )
})

test('a stream that fails before its turn fails the archive, not the process', async (t) => {
  const spout = await openSpout({ path: fifoOf(t).path })
  const commit = spout.beginCommit()
  const slow = new PassThrough()
  const missing = createReadStream('/nowhere/at/all')
  commit.add('slow', slow, { size: 4 })
  commit.add('missing', missing, { size: 5 })
  const failed = new Promise<void>((resolve) => void missing.once('close', resolve))
  const end = commit.end()
  await failed
  slow.end('slow')
  const error = await t.throwsAsync(end)
  t.is(codeOf(error), 'ERR_TAR_BODY')
  t.is(codeOf(error?.cause), 'ENOENT')
  await spout.close()
})
