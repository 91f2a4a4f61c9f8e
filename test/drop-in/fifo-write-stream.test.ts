import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import {
  createFifoWriteStream,
  type FifoWriteStream,
  type FifoWriteStreamOptions,
  openFifo,
} from 'tarspout'
import { ByteReader } from '../support/byte-reader.js'
import { makeFifo } from '../support/fifo.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const codeOf = (error: unknown) => (error as { code?: string }).code
const PIPE_BYTES = 64 << 10
const SMALL = { pipeSize: PIPE_BYTES, highWaterMark: 32 << 10 }

function pathOf(t: ExecutionContext): string {
  const fifo = makeFifo()
  t.teardown(() => fifo.remove())
  return fifo.path
}

function readerOf(t: ExecutionContext, path: string): ByteReader {
  const reader = new ByteReader(path)
  t.teardown(() => reader.kill())
  return reader
}

interface Held {
  readonly path: string
  readonly stream: FifoWriteStream
  readonly reader: ByteReader
  readonly events: string[]
}

/** An open stream, and a reader that reads only what it is told to. */
async function held(t: ExecutionContext, options: FifoWriteStreamOptions = SMALL): Promise<Held> {
  const path = pathOf(t)
  const reader = readerOf(t, path)
  const stream = createFifoWriteStream(path, options)
  const events = eventsOf(stream)
  await Promise.all([once(stream, 'ready'), reader.opened()])
  return { path, stream, reader, events }
}

function eventsOf(stream: FifoWriteStream): string[] {
  const events: string[] = []
  for (const name of ['open', 'ready', 'finish', 'close']) stream.on(name, () => events.push(name))
  stream.on('error', (error) => events.push(`error ${codeOf(error) ?? error.message}`))
  return events
}

/** Settles when nothing more goes into the pipe: it is full, and the rest waits. */
async function stalled(stream: FifoWriteStream): Promise<void> {
  for (let before = -1; before !== stream.bytesWritten || before < PIPE_BYTES / 2; ) {
    before = stream.writableNeedDrain ? stream.bytesWritten : -1
    await delay(50)
  }
}

// Not once(), which rejects on an error.
const closing = (stream: FifoWriteStream) =>
  new Promise<void>((resolve) => void stream.once('close', resolve))

/**
 * What a Node process prints and how it ends. The package is there as `tarspout`, the path as
 * process.argv[1].
 */
async function inChild(
  script: string,
  path: string,
): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], { cwd: root })
  child.stderr.pipe(process.stderr)
  let out = ''
  child.stdout.on('data', (part) => {
    out += part
  })
  const [code] = await once(child, 'close')
  return { code, out }
}

test('finish and the callback of end() come when the reader has read every byte', async (t) => {
  const { stream, reader, events } = await held(t)
  stream.write('one ')
  stream.end('two', () => events.push('callback'))
  while (stream.bytesWritten < 7) await delay(1)
  await reader.read(6)
  await delay(50)
  t.deepEqual(events, ['open', 'ready'])
  const all = reader.rest()
  await once(stream, 'close')
  t.deepEqual(events, ['open', 'ready', 'callback', 'finish', 'close'])
  t.is((await all).toString(), 'one two')
})

test("finishWhen 'written' closes when the kernel has every byte, which the reader then finds", async (t) => {
  const { stream, reader, events } = await held(t, { finishWhen: 'written' })
  stream.end('unread')
  await once(stream, 'close')
  t.deepEqual(events, ['open', 'ready', 'finish', 'close'])
  t.is((await reader.rest()).toString(), 'unread')
})

test('an empty stream waits for a reader, which sees an end of file', async (t) => {
  const path = pathOf(t)
  const stream = createFifoWriteStream(path).end()
  await delay(20)
  t.true(stream.pending)
  const reader = readerOf(t, path)
  const all = reader.rest()
  await finished(stream)
  t.is((await all).length, 0)
})

test('pipeline() brings a source to the reader unchanged', async (t) => {
  const path = pathOf(t)
  const all = readerOf(t, path).rest()
  const chunks = Array.from({ length: 300 }, (_, i) => randomBytes((i * 7919) % 70_001))
  const stream = createFifoWriteStream(path, SMALL)
  await pipeline(Readable.from(chunks, { objectMode: false }), stream)
  const expected = Buffer.concat(chunks)
  t.is(stream.bytesWritten, expected.length)
  t.is(sha256(await all), sha256(expected))
})

test('what waits goes out in one piece, in order', async (t) => {
  const path = pathOf(t)
  const stream = createFifoWriteStream(path)
  const batches: number[] = []
  const writev = stream._writev.bind(stream)
  stream._writev = (chunks, callback) => {
    batches.push(chunks.length)
    writev(chunks, callback)
  }
  let expected = ''
  for (let i = 0; i < 5000; i++) {
    const text = `line ${i}\n`
    expected += text
    stream.write(i % 2 ? text : Buffer.from(text))
  }
  const all = readerOf(t, path).rest()
  await finished(stream.end())
  t.deepEqual(batches, [5000])
  t.is((await all).toString(), expected)
})

test('what is written in one go goes to the kernel in one go', async (t) => {
  const { stream, reader } = await held(t)
  for (const go of ['first', 'second']) {
    const before = stream.bytesWritten
    await new Promise<void>((resolve, reject) => {
      const first = (error?: Error | null) => {
        if (error) return reject(error)
        t.is(stream.bytesWritten - before, 9, go)
        resolve()
      }
      stream.write('one', first)
      stream.write('two')
      stream.cork()
      stream.write('six')
      stream.uncork()
    })
  }
  stream.end()
  t.is((await reader.rest()).toString(), 'onetwosixonetwosix')
})

test('a chunk may be changed from its callback on', async (t) => {
  const { stream, reader } = await held(t)
  const chunk = Buffer.alloc(100_000, 1)
  let called = false
  const first = new Promise<void>((resolve) => {
    stream.write(chunk, () => {
      called = true
      resolve()
    })
  })
  await stalled(stream)
  t.false(called)
  const all = reader.rest()
  await first
  for (let round = 2; round <= 20; round++) {
    chunk.fill(round)
    await new Promise((resolve) => stream.write(chunk, resolve))
  }
  chunk.fill(0xff)
  await finished(stream.end())
  const expected = Buffer.concat(Array.from({ length: 20 }, (_, i) => Buffer.alloc(100_000, i + 1)))
  t.is(sha256(await all), sha256(expected))
})

test('with a stalled reader the source stops: highWaterMark, the pipe, and one chunk are full', async (t) => {
  const { stream, reader } = await held(t)
  const CHUNK_BYTES = 5000
  let produced = 0
  const source = new Readable({
    highWaterMark: 1,
    read() {
      produced += CHUNK_BYTES
      this.push(produced > 40 * PIPE_BYTES ? null : Buffer.alloc(CHUNK_BYTES, 1))
    },
  })
  const piped = pipeline(source, stream)
  await stalled(stream)
  t.true(stream.bytesWritten <= PIPE_BYTES)
  t.true(stream.writableNeedDrain)
  t.true(stream.writableLength < 2 * CHUNK_BYTES + SMALL.highWaterMark)
  t.true(
    produced <= PIPE_BYTES + SMALL.highWaterMark + 3 * CHUNK_BYTES,
    `${produced} bytes produced`,
  )
  const all = reader.rest()
  await piped
  t.is((await all).length, stream.bytesWritten)
  t.true(stream.bytesWritten > 30 * PIPE_BYTES)
})

test('write() returns false from highWaterMark on, and bytesWritten is what the kernel has', async (t) => {
  const { stream, reader } = await held(t)
  t.is(stream.writableHighWaterMark, SMALL.highWaterMark)
  t.true(stream.write(Buffer.alloc(1)))
  t.false(stream.write(Buffer.alloc(3 * PIPE_BYTES)))
  await stalled(stream)
  // A page of the pipe may be filled in part.
  t.true(stream.bytesWritten > PIPE_BYTES / 2 && stream.bytesWritten <= PIPE_BYTES)
  const all = reader.rest()
  await once(stream, 'drain')
  t.is(stream.bytesWritten, 3 * PIPE_BYTES + 1)
  await finished(stream.end())
  t.is((await all).length, 3 * PIPE_BYTES + 1)
})

test('pending tells whether a reader came', async (t) => {
  const path = pathOf(t)
  const stream = createFifoWriteStream(path)
  t.is(stream.path, path)
  t.is(stream.bytesWritten, 0)
  t.true(stream.pending)
  const all = readerOf(t, path).rest()
  await once(stream, 'open')
  t.false(stream.pending)
  await finished(stream.end())
  t.false(stream.pending)
  await all
})

for (const [what, toPath] of [
  ['a URL', pathToFileURL],
  ['bytes', (path: string) => new TextEncoder().encode(path)],
] as const) {
  test(`the path may be ${what}`, async (t) => {
    const path = pathOf(t)
    const all = readerOf(t, path).rest()
    const given = toPath(path)
    const stream = createFifoWriteStream(given)
    t.is(stream.path, given)
    await finished(stream.end('here'))
    t.is((await all).toString(), 'here')
  })
}

for (const options of ['latin1', { encoding: 'latin1' }] as const) {
  test(`strings are written in the encoding given as ${JSON.stringify(options)}`, async (t) => {
    const path = pathOf(t)
    const all = readerOf(t, path).rest()
    await finished(createFifoWriteStream(path, options).end('ä€'))
    t.deepEqual([...(await all)], [0xe4, 0xac])
  })
}

test('wrong arguments throw at once, and nothing is opened', async (t) => {
  const path = pathOf(t)
  const wrong: [unknown, unknown, typeof TypeError | typeof RangeError][] = [
    [1, {}, TypeError],
    ['', {}, RangeError],
    ['a\0b', {}, RangeError],
    [new Uint8Array([0xff]), {}, RangeError],
    [new URL('http://localhost/fifo'), {}, TypeError],
    [path, null, TypeError],
    [path, { flags: 'a' }, TypeError],
    [path, { encoding: 'latin2' }, TypeError],
    [path, 'latin2', TypeError],
    [path, { signal: {} }, TypeError],
    [path, { highWaterMark: -1 }, RangeError],
    [path, { pipeSize: 1 }, RangeError],
    [path, { readerTimeoutMs: Number.NaN }, RangeError],
    [path, { finishWhen: 'never' }, RangeError],
    [path, { autoClose: 1 }, TypeError],
    [path, { emitClose: 'no' }, TypeError],
  ]
  for (const [place, options, expected] of wrong) {
    t.throws(
      () => createFifoWriteStream(place as string, options as FifoWriteStreamOptions),
      { instanceOf: expected },
      JSON.stringify(options),
    )
  }
  // An opening that goes on would be an uncaught error here.
  await delay(20)
})

test('a missing path is ENOENT and stays missing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tarspout-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'missing')
  const stream = createFifoWriteStream(path)
  const events = eventsOf(stream)
  stream.end('lost')
  await closing(stream)
  t.deepEqual(events, ['error ENOENT', 'close'])
  t.like(stream.errored, { code: 'ENOENT', syscall: 'open', path })
  t.false(existsSync(path))
  t.true(stream.pending)
})

test('a file is refused and not touched', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tarspout-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'file')
  writeFileSync(path, 'content')
  const error = await t.throwsAsync(pipeline(Readable.from(['x']), createFifoWriteStream(path)))
  t.is(codeOf(error), 'ERR_FIFO_NOT_A_FIFO')
  t.is(readFileSync(path, 'utf8'), 'content')
})

test('a second stream into the same FIFO is ERR_FIFO_BUSY', async (t) => {
  const { path, stream } = await held(t)
  const second = createFifoWriteStream(path)
  t.is(codeOf(await t.throwsAsync(finished(second))), 'ERR_FIFO_BUSY')
  stream.destroy()
})

test('no reader within readerTimeoutMs is ERR_FIFO_NO_READER', async (t) => {
  const stream = createFifoWriteStream(pathOf(t), { readerTimeoutMs: 20 })
  t.is(codeOf(await t.throwsAsync(finished(stream))), 'ERR_FIFO_NO_READER')
})

test('a reader that leaves before it has read everything is ERR_FIFO_READER_LOST', async (t) => {
  const { stream, reader } = await held(t)
  const piped = pipeline(Readable.from(endless()), stream)
  await stalled(stream)
  await reader.kill()
  t.is(codeOf(await t.throwsAsync(piped)), 'ERR_FIFO_READER_LOST')
  t.true(stream.closed)
})

test('a reader that leaves unread what was written before end() is ERR_FIFO_READER_LOST', async (t) => {
  const { stream, reader, events } = await held(t)
  stream.end('unread')
  while (stream.bytesWritten < 6) await delay(1)
  await reader.kill()
  await t.throwsAsync(finished(stream))
  t.deepEqual(events, ['open', 'ready', 'error ERR_FIFO_READER_LOST', 'close'])
})

test('a reader that left unnoticed is found by the next write', async (t) => {
  const { stream, reader } = await held(t)
  stream.write('read')
  await reader.read(4)
  await reader.kill()
  stream.write('unread')
  t.is(codeOf(await t.throwsAsync(finished(stream))), 'ERR_FIFO_READER_LOST')
})

test('a signal that is aborted already destroys before anything is opened', async (t) => {
  const stream = createFifoWriteStream(pathOf(t), { signal: AbortSignal.abort('reason') })
  const error = await t.throwsAsync(finished(stream))
  t.is(codeOf(error), 'ABORT_ERR')
  t.is(error?.cause, 'reason')
})

type Made = Pick<Held, 'path' | 'stream' | 'events'> & Partial<Held>

function lonely(t: ExecutionContext, options: FifoWriteStreamOptions): Made {
  const path = pathOf(t)
  const stream = createFifoWriteStream(path, options)
  return { path, stream, events: eventsOf(stream) }
}

// Each state a stream can be destroyed in.
const STATES: Record<
  string,
  (t: ExecutionContext, options: FifoWriteStreamOptions) => Promise<Made>
> = {
  async new(t, options) {
    return lonely(t, options)
  },
  async 'waiting for a reader'(t, options) {
    const made = lonely(t, options)
    await delay(5)
    return made
  },
  async 'waiting for a reader with writes and end()'(t, options) {
    const made = lonely(t, options)
    made.stream.end('never written')
    await delay(5)
    return made
  },
  async idle(t, options) {
    return held(t, options)
  },
  async writing(t, options) {
    const made = await held(t, options)
    made.stream.write(Buffer.alloc(2 * PIPE_BYTES))
    made.stream.write('behind')
    await stalled(made.stream)
    return made
  },
  async 'waiting to be read'(t, options) {
    const made = await held(t, options)
    made.stream.end('unread')
    while (made.stream.bytesWritten < 6) await delay(1)
    return made
  },
}

for (const [state, make] of Object.entries(STATES)) {
  for (const [how, told] of [
    ['destroy()', []],
    ['destroy(error)', ['error mine']],
    ['an aborted signal', ['error ABORT_ERR']],
  ] as const) {
    test(`${state}: ${how} closes at once, and the FIFO can be opened again`, async (t) => {
      const stop = new AbortController()
      const { path, stream, events, reader } = await make(t, { ...SMALL, signal: stop.signal })
      const before = [...events]
      t.deepEqual(before, reader ? ['open', 'ready'] : [])
      const closed = closing(stream)
      if (how === 'destroy()') stream.destroy()
      else if (how === 'destroy(error)') stream.destroy(new Error('mine'))
      else stop.abort()
      await closed
      t.deepEqual(events, [...before, ...told, 'close'])
      await reader?.kill()
      const next = openFifo(path, { readerTimeoutMs: 1 })
      t.is(codeOf(await t.throwsAsync(next)), 'ERR_FIFO_NO_READER')
    })
  }
}

test('the callbacks of writes that a destroy() cut off get an error', async (t) => {
  const { stream } = await held(t)
  const results: unknown[] = []
  stream.write(Buffer.alloc(2 * PIPE_BYTES), (error) => results.push(codeOf(error)))
  await stalled(stream)
  stream.write('behind', (error) => results.push(codeOf(error)))
  stream.destroy()
  await once(stream, 'close')
  t.deepEqual(results, ['ABORT_ERR', 'ABORT_ERR'])
})

test('with autoClose: false the write end stays open after finish, until close()', async (t) => {
  const { stream, reader, events } = await held(t, { autoClose: false })
  stream.end('read')
  await Promise.all([once(stream, 'finish'), reader.read(4)])
  await delay(20)
  t.deepEqual(events, ['open', 'ready', 'finish'])
  t.false(stream.destroyed)
  const all = reader.rest()
  await new Promise((resolve) => void stream.close(resolve))
  t.deepEqual(events, ['open', 'ready', 'finish', 'close'])
  await all
})

test('one stream after the other: a reader that opens again for each gets each alone', async (t) => {
  const path = pathOf(t)
  const script = 'n=0; while [ $n -lt 100 ]; do n=$((n+1)); cat "$0" | wc -c; done'
  const reader = spawn('sh', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => reader.kill('SIGKILL'))
  const lines = text(reader.stdout)
  const sizes = Array.from({ length: 100 }, (_, i) => i + 1)
  for (const size of sizes) {
    const stream = createFifoWriteStream(path)
    stream.end(Buffer.alloc(size))
    await finished(stream)
    if (!stream.closed) await closing(stream)
  }
  t.deepEqual((await lines).trim().split('\n').map(Number), sizes)
})

// Memory is given back at the close, not when V8 collects what is left, of which it does not know
// what it holds.
test('streams that were closed hold no memory, collected or not', async (t) => {
  const script = `
    import { createFifoWriteStream } from 'tarspout'
    import { finished } from 'node:stream/promises'
    const path = process.argv[1]
    const streams = []
    const use = async (count) => {
      for (; count > 0; count--) {
        const stream = createFifoWriteStream(path)
        stream.end('a little')
        await finished(stream)
        if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
        streams.push(stream)
      }
      return process.memoryUsage.rss()
    }
    const before = await use(20)
    console.log(JSON.stringify({ grown: (await use(200)) - before, closed: streams.every(({ closed }) => closed) }))`
  const path = pathOf(t)
  const reader = spawn('sh', ['-c', 'while :; do cat "$0" > /dev/null; done', path], {
    detached: true,
  })
  t.teardown(() => process.kill(-(reader.pid as number), 'SIGKILL'))
  const { code, out } = await inChild(script, path)
  t.is(code, 0)
  const { grown, closed } = JSON.parse(out)
  t.true(closed)
  t.true(grown < 24 << 20, `${grown} bytes`)
})

test('with autoClose: false, close() of an open stream finishes it', async (t) => {
  const { stream, reader, events } = await held(t, { autoClose: false })
  stream.write('read')
  const all = reader.rest()
  await new Promise((resolve) => void stream.close(resolve))
  t.deepEqual(events, ['open', 'ready', 'finish', 'close'])
  t.is((await all).toString(), 'read')
})

test('with autoClose: false an error does not close, until close()', async (t) => {
  const { stream, reader, events } = await held(t, { autoClose: false })
  stream.write('unread')
  while (stream.bytesWritten < 6) await delay(1)
  await reader.kill()
  stream.end()
  while (events.length < 3) await delay(1) // the error may have come before end()
  await delay(5)
  t.deepEqual(events, ['open', 'ready', 'error ERR_FIFO_READER_LOST'])
  const error = await new Promise<unknown>((resolve) => void stream.close(resolve))
  t.is(codeOf(error), 'ERR_FIFO_READER_LOST')
})

test('close() tells of a stream that is closed already', async (t) => {
  const { stream } = await held(t)
  stream.destroy()
  await once(stream, 'close')
  t.is(await new Promise((resolve) => void stream.close(resolve)), null)
})

test('emitClose: false emits no close', async (t) => {
  const { path, stream, events } = await held(t, { emitClose: false })
  stream.destroy()
  for (;;) {
    const error = await openFifo(path, { readerTimeoutMs: 1 }).then((fifo) => fifo.close(), codeOf)
    if (error !== 'ERR_FIFO_BUSY') break
  }
  t.deepEqual(events, ['open', 'ready'])
})

test('eight streams wait for readers at once, and the thread pool of four still works', async (t) => {
  const waiting = Array.from({ length: 8 }, () => pathOf(t)).map((path, i) => ({
    path,
    stream: createFifoWriteStream(path).end(`stream ${i}`),
  }))
  await delay(20)
  t.true((await readFile(new URL(import.meta.url))).length > 0)
  t.true(waiting.every(({ stream }) => stream.pending))
  const all = await Promise.all(waiting.map(({ path }) => readerOf(t, path).rest()))
  t.deepEqual(
    all.map(String),
    waiting.map((_, i) => `stream ${i}`),
  )
})

test('process.exit() is not held up by streams that wait or write', async (t) => {
  const path = pathOf(t)
  const reader = readerOf(t, path)
  const script = `
    import { createFifoWriteStream } from 'tarspout'
    import { execFileSync } from 'node:child_process'
    for (let i = 0; i < 5; i++) {
      execFileSync('mkfifo', [process.argv[1] + i])
      createFifoWriteStream(process.argv[1] + i).write('waits')
    }
    const stream = createFifoWriteStream(process.argv[1], { pipeSize: ${PIPE_BYTES} })
    stream.write(Buffer.alloc(${4 * PIPE_BYTES}))
    stream.once('open', () => setTimeout(() => {
      console.log(stream.bytesWritten)
      process.exit(7)
    }, 20))
  `
  t.deepEqual(await inChild(script, path), { code: 7, out: `${PIPE_BYTES}\n` })
  await reader.kill()
})

test('a process lives while a stream waits, and ends when it is destroyed', async (t) => {
  const script = `
    import { createFifoWriteStream } from 'tarspout'
    const stream = createFifoWriteStream(process.argv[1]).on('close', () => console.log('closed'))
    setTimeout(() => stream.destroy(), 200).unref()
  `
  t.deepEqual(await inChild(script, pathOf(t)), { code: 0, out: 'closed\n' })
})

test('what a listener throws is an uncaught exception, not a rejected promise', async (t) => {
  const path = pathOf(t)
  const reader = readerOf(t, path)
  const script = `
    import { createFifoWriteStream } from 'tarspout'
    let count = 0
    process.on('uncaughtException', (error, origin) => {
      console.log(error.message, origin)
      if (++count === 2) process.exit()
    })
    const stream = createFifoWriteStream(process.argv[1])
    stream.on('open', () => { throw new Error('open') })
    stream.write('x', () => { throw new Error('write') })
  `
  const all = reader.rest()
  const { out } = await inChild(script, path)
  t.is(out, 'open uncaughtException\nwrite uncaughtException\n')
  await all
})

function* endless() {
  for (;;) yield Buffer.alloc(1000, 1)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
