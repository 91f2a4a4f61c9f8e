import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import { openFifo } from 'tarspout'
import { ByteReader } from '../support/byte-reader.js'
import { makeFifo, type TestFifo } from '../support/fifo.js'

const codeOf = (error: unknown) => (error as { code?: string }).code

function fifoOf(t: ExecutionContext): TestFifo {
  const fifo = makeFifo()
  t.teardown(() => fifo.remove())
  return fifo
}

test('an aborted opening lets go of the FIFO before it rejects', async (t) => {
  const { path } = fifoOf(t)
  for (let i = 0; i < 50; i++) {
    const stop = new AbortController()
    const opening = openFifo(path, { signal: stop.signal })
    if (i % 2 === 1) await delay(1)
    stop.abort()
    t.is(codeOf(await t.throwsAsync(opening)), 'ABORT_ERR')
  }
})

test('an opening that found no reader in time lets go of the FIFO before it rejects', async (t) => {
  const { path } = fifoOf(t)
  for (let i = 0; i < 20; i++) {
    t.is(codeOf(await t.throwsAsync(openFifo(path, { readerTimeoutMs: 1 }))), 'ERR_FIFO_NO_READER')
  }
})

test('a FIFO that is removed while both ends are open goes on', async (t) => {
  const { path, target } = fifoOf(t)
  const reader = new ByteReader(path)
  const fifo = await openFifo(path)
  await reader.opened()
  fifo.write(Buffer.from('before '))
  rmSync(target)
  rmSync(path)
  // Longer than a removed FIFO is waited for (native/engine/channel.cc, kRemovedNs).
  await delay(1200)
  fifo.write(Buffer.from('after'))
  const all = reader.rest()
  await fifo.close()
  t.is((await all).toString(), 'before after')
})

test('memory that is gone before it was written breaks the FIFO, and closing does not wait', async (t) => {
  const { path } = fifoOf(t)
  const reader = new ByteReader(path)
  const fifo = await openFifo(path)
  let chunk: Uint8Array<ArrayBuffer> | undefined = new Uint8Array(64 << 20)
  fifo.write(chunk)
  // Above 32 MiB, malloc(3) gives memory back to the system at once.
  structuredClone(chunk.buffer, { transfer: [chunk.buffer] })
  chunk = undefined
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const drained = fifo.drained()
  for (let i = 0; i < 5; i++) {
    collect()
    await delay(1)
  }
  const all = reader.rest()
  t.is(codeOf(await t.throwsAsync(drained)), 'ERR_TAR_BODY')
  t.is(codeOf(t.throws(() => fifo.write(Buffer.from('more')))), 'ERR_TAR_BODY')
  t.is(codeOf(await t.throwsAsync(fifo.consumed())), 'ERR_TAR_BODY')
  await fifo.close()
  t.true((await all).length < 64 << 20)
})

// Ends with the status of a signal if the engine's reports run into a thread that is gone.
const TERMINATING = `
  import { once } from 'node:events'
  import { setTimeout as delay } from 'node:timers/promises'
  import { Worker } from 'node:worker_threads'
  const code = \`
    import { parentPort, workerData } from 'node:worker_threads'
    import { openFifo } from 'tarspout'
    const fifo = await openFifo(workerData, { highWaterMark: 1 })
    parentPort.postMessage('open')
    for (;;) {
      fifo.write(Buffer.alloc(100))
      fifo.consumed()
      await fifo.drained()
    }
  \`
  for (let i = 0; i < 10; i++) {
    const worker = new Worker(code, { eval: true, workerData: process.argv[1] })
    await once(worker, 'message')
    await delay(i % 5)
    await worker.terminate()
  }
`

test('a worker thread may be terminated while its FIFO is busy', async (t) => {
  const { path } = fifoOf(t)
  const loop = 'while :; do cat "$1" > /dev/null; done'
  const reader = spawn('sh', ['-c', loop, 'sh', path], { stdio: 'ignore', detached: true })
  t.teardown(() => process.kill(-(reader.pid as number), 'SIGKILL'))
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawn(process.execPath, ['--input-type=module', '-e', TERMINATING, path], {
    cwd,
    stdio: 'inherit',
  })
  t.deepEqual(await once(child, 'exit'), [0, null])
})
