import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type FifoWriter, openFifo } from 'tarspout'
import {
  Cat,
  fifoFor,
  HeldReader,
  outcome,
  pattern,
  runScript,
  until,
  writerFor,
} from '../support/spout.js'

/** Whether a promise settles within some turns of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const mark = () => {
    settled = true
  }
  promise.then(mark, mark)
  const end = performance.now() + 20
  while (!settled && performance.now() < end) await nextTurn()
  return settled
}

const PIPE = 65_536

/** An open FIFO whose reader reads what it is told. */
async function held(t: ExecutionContext, options: Parameters<typeof writerFor>[2] = {}) {
  const fifo = fifoFor(t)
  const reader = new HeldReader(t, fifo.path)
  const writer = await writerFor(t, fifo, { pipeSize: PIPE, ...options })
  return { fifo, reader, writer }
}

for (const zeroCopy of [false, true]) {
  test(`bytes arrive as they are, in order, ${zeroCopy ? 'mapped' : 'copied'}`, async (t) => {
    const fifo = fifoFor(t)
    const cat = new Cat(t, fifo.path)
    const writer = await writerFor(t, fifo, { zeroCopy })
    const expected: Buffer[] = []
    const whole = pattern(3 << 20)
    for (const edge of [0, 1, 512, 4096, 16 << 10, PIPE, 256 << 10, 1 << 20, 3 << 20]) {
      for (const size of [edge - 1, edge, edge + 1]) {
        if (size < 0 || size > whole.length) continue
        const bytes = whole.subarray(0, size)
        const half = size >> 1
        expected.push(bytes, bytes, bytes)
        writer.write(bytes)
        writer.write(new Uint8Array(bytes))
        const more = writer.write([
          bytes.subarray(0, half),
          new Uint8Array(0),
          bytes.subarray(half),
        ])
        if (!more) await writer.drained()
      }
    }
    writer.write([])
    await writer.close()
    const received = await cat.bytes
    t.is(received.length, Buffer.concat(expected).length)
    t.true(received.equals(Buffer.concat(expected)))
  })
}

test('anything but bytes is a TypeError, and nothing of the call is written', async (t) => {
  const { writer, reader } = await held(t)
  const wrong = [
    'a',
    5,
    null,
    undefined,
    {},
    new ArrayBuffer(1),
    new Uint16Array(1),
    ['a'],
    [pattern(5), 'a'],
  ]
  for (const chunks of wrong) {
    t.throws(() => writer.write(chunks as Uint8Array), { instanceOf: TypeError })
  }
  writer.write(Buffer.from('good'))
  t.is((await reader.take(4)).toString(), 'good')
  await writer.consumed()
  t.is(writer.stats().bytesWritten, 4)
})

test('write() returns false from highWaterMark on, drained() settles below it', async (t) => {
  const highWaterMark = 100_000
  const { writer, reader } = await held(t, { highWaterMark })
  t.true(writer.write(pattern(PIPE)))
  await until('it is in the pipe', () => writer.stats().pipeOccupancy === PIPE)
  t.true(writer.write(pattern(highWaterMark - 1)))
  t.false(writer.write(pattern(1)))
  t.false(writer.write(pattern(1)))
  const drained = [writer.drained(), writer.drained()]
  t.false(await isSettled(Promise.race(drained)))
  await reader.take(PIPE)
  await t.notThrowsAsync(Promise.all(drained))
  t.true(writer.stats().bytesQueued < highWaterMark)
  t.true(writer.write(pattern(1)))
  await t.notThrowsAsync(writer.drained())
})

test('consumed() settles when every byte before it was read, each call by itself', async (t) => {
  const { writer, reader } = await held(t)
  await t.notThrowsAsync(writer.consumed())
  writer.write(pattern(1000))
  const first = writer.consumed()
  writer.write(pattern(2000))
  const second = writer.consumed()
  writer.write(pattern(3000))
  t.false(await isSettled(first))
  await reader.take(999)
  t.false(await isSettled(first))
  await reader.take(1)
  await t.notThrowsAsync(first)
  t.false(await isSettled(second))
  await reader.take(1999)
  t.false(await isSettled(second))
  await reader.take(2)
  await t.notThrowsAsync(second)
  t.like(writer.stats(), { bytesConsumed: 3001, pipeOccupancy: 2999 })
})

test('close() waits until everything was read, then the reader sees the end of file', async (t) => {
  const { fifo, writer, reader } = await held(t)
  writer.write(pattern(100_000))
  const closed = [writer.close(), writer.close()]
  t.false(await isSettled(Promise.race(closed)))
  t.is(await outcome(() => openFifo(fifo.path)), 'ERR_FIFO_BUSY')
  t.true((await reader.take(100_000)).equals(pattern(100_000)))
  await t.notThrowsAsync(Promise.all(closed))
  await t.notThrowsAsync(writer.close())
  t.is(writer.stats().state, 'closed')
})

test('await using closes', async (t) => {
  const fifo = fifoFor(t)
  const cat = new Cat(t, fifo.path)
  const writer = await openFifo(fifo.path)
  writer.write(Buffer.from('all of it'))
  await writer[Symbol.asyncDispose]()
  t.is((await cat.bytes).toString(), 'all of it')
})

// ---- every call in every state ----

const STATES: Record<string, (t: ExecutionContext) => Promise<FifoWriter>> = {
  open: async (t) => (await held(t)).writer,
  closing: async (t) => {
    const { writer, reader } = await held(t)
    writer.write(pattern(10))
    writer.close().catch(() => {})
    setTimeout(() => reader.take(10).catch(() => {}), 20)
    return writer
  },
  closed: async (t) => {
    const { writer } = await held(t)
    await writer.close()
    return writer
  },
  aborted: async (t) => {
    const end = new AbortController()
    const { writer } = await held(t, { signal: end.signal })
    end.abort()
    return writer
  },
  'without its reader, bytes unread': async (t) => {
    const { writer, reader } = await held(t)
    writer.write(pattern(10))
    const consumed = writer.consumed()
    await until('they are in the pipe', () => writer.stats().pipeOccupancy === 10)
    reader.close()
    await consumed.catch(() => {})
    return writer
  },
}
const CALLS = {
  write: (writer: FifoWriter) => writer.write([]),
  drained: (writer: FifoWriter) => writer.drained(),
  consumed: (writer: FifoWriter) => writer.consumed(),
  close: (writer: FifoWriter) => writer.close(),
  stats: (writer: FifoWriter) => writer.stats(),
}
type Call = keyof typeof CALLS
const all = (code: string, rest: Partial<Record<Call, string>> = {}): Record<Call, string> => ({
  ...{ write: code, drained: code, consumed: code, close: 'ok', stats: 'ok' },
  ...rest,
})
const GRID: Record<string, Record<Call, string>> = {
  open: all('ok'),
  closing: all('ERR_STATE', { drained: 'ok' }),
  closed: all('ERR_STATE', { drained: 'ok' }),
  aborted: all('AbortError'),
  'without its reader, bytes unread': all('ERR_FIFO_READER_LOST'),
}
for (const [state, make] of Object.entries(STATES)) {
  test(`a FIFO that is ${state} answers every call`, async (t) => {
    for (const name of Object.keys(CALLS) as Call[]) {
      const writer = await make(t)
      t.is(await outcome(() => CALLS[name](writer)), GRID[state]?.[name] ?? '', name)
    }
  })
}

// ---- waiting, and readers that come and go ----

test('openFifo() waits for a reader, and is open when there is one', async (t) => {
  const fifo = fifoFor(t)
  const began = performance.now()
  const opening = writerFor(t, fifo)
  t.false(await isSettled(opening))
  const cat = new Cat(t, fifo.path)
  const writer = await opening
  const elapsed = performance.now() - began
  writer.write(Buffer.from('x'))
  await writer.close()
  t.is((await cat.bytes).toString(), 'x')
  const { waitingForReaderMs } = writer.stats()
  t.true(
    waitingForReaderMs > 0 && waitingForReaderMs <= elapsed,
    `${waitingForReaderMs} of ${elapsed} ms`,
  )
})

test('readerTimeoutMs ends the wait for a reader, and the next openFifo() begins anew at once', async (t) => {
  const fifo = fifoFor(t)
  for (const readerTimeoutMs of [0, 50]) {
    const began = performance.now()
    const error = await t.throwsAsync(openFifo(fifo.path, { readerTimeoutMs }))
    t.like(error, { code: 'ERR_FIFO_NO_READER', path: fifo.path })
    t.true(performance.now() - began >= readerTimeoutMs - 1)
  }
  new HeldReader(t, fifo.path)
  t.is(await outcome(() => writerFor(t, fifo, { readerTimeoutMs: 0 })), 'ok')
})

test('readerTimeoutMs as large as a number can be is no timeout', async (t) => {
  const fifo = fifoFor(t)
  for (const readerTimeoutMs of [2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
    const end = new AbortController()
    const opening = openFifo(fifo.path, { readerTimeoutMs, signal: end.signal })
    t.false(await isSettled(opening), `${readerTimeoutMs}`)
    end.abort()
    t.is(await outcome(() => opening), 'AbortError')
  }
})

test('a signal ends every wait at once, its reason is the cause', async (t) => {
  const WAITS: Record<string, (writer: FifoWriter) => Promise<void>> = {
    drained: (writer) => writer.drained(),
    consumed: (writer) => writer.consumed(),
    close: (writer) => writer.close(),
  }
  for (const [name, wait] of Object.entries(WAITS)) {
    const end = new AbortController()
    const { fifo, writer } = await held(t, { signal: end.signal, highWaterMark: 1000 })
    writer.write(pattern(PIPE + 2000))
    await until('the pipe is full', () => writer.stats().eagain > 0)
    const waits = wait(writer)
    t.false(await isSettled(waits), name)
    end.abort(name)
    t.is((await t.throwsAsync(waits, { name: 'AbortError' }))?.cause, name)
    await until('the FIFO is free', () => writer.stats().state === 'closed')
    t.is(await outcome(() => writerFor(t, fifo)), 'ok', name)
  }
  const end = new AbortController()
  const fifo = fifoFor(t)
  const opening = openFifo(fifo.path, { signal: end.signal })
  t.false(await isSettled(opening))
  end.abort('opening')
  t.is((await t.throwsAsync(opening, { name: 'AbortError' }))?.cause, 'opening')
  const had = openFifo(fifo.path, { signal: end.signal })
  t.is((await t.throwsAsync(had, { name: 'AbortError' }))?.cause, 'opening')
  new HeldReader(t, fifo.path)
  t.is(await outcome(() => writerFor(t, fifo)), 'ok')
})

test('a reader that leaves with bytes unread breaks the FIFO: every wait rejects, close() still closes', async (t) => {
  const { fifo, writer, reader } = await held(t, { highWaterMark: 1000 })
  writer.write(pattern(PIPE + 2000))
  await until('the pipe is full', () => writer.stats().eagain > 0)
  const waits = [writer.drained(), writer.consumed(), writer.consumed()]
  const outcomes = Promise.all(waits.map((wait) => outcome(() => wait)))
  await reader.take(1000)
  reader.close()
  t.deepEqual(await outcomes, Array(3).fill('ERR_FIFO_READER_LOST'))
  t.like(await t.throwsAsync(writer.consumed()), { path: fifo.path })
  await t.notThrowsAsync(writer.close())
  new HeldReader(t, fifo.path)
  t.is(await outcome(() => writerFor(t, fifo)), 'ok')
})

// In a process that starts no others: one that is being started has copies of both ends for a
// moment.
test('what is written as the reader leaves reaches no other one, and close() does not wait for one', async (t) => {
  const fifo = fifoFor(t)
  const script = `
    import { closeSync, constants, openSync, readSync } from 'node:fs'
    import { openFifo } from 'tarspout'
    const path = process.argv[1]
    const openReader = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    for (let round = 0; round < 30; round++) {
      const reader = openReader()
      const writer = await openFifo(path)
      closeSync(reader)
      const waits = []
      for (let i = 0; i < 20; i++) {
        try {
          writer.write(new Uint8Array(100))
          waits.push(writer.consumed().catch(({ code }) => code))
        } catch ({ code }) {
          waits.push(code)
        }
        // The engine hears of some of it before it tells us, and of some after.
        const end = performance.now() + 0.02 * (round % 10)
        while (performance.now() < end);
      }
      const codes = new Set(await Promise.all(waits))
      const next = openReader()
      await writer.close()
      console.log(...codes, readSync(next, new Uint8Array(10)))
      closeSync(next)
    }`
  const { output, exited } = runScript(script, {}, fifo.path)
  t.deepEqual(await exited, [0, null])
  t.is(await output, 'ERR_FIFO_READER_LOST 0\n'.repeat(30))
})

test('a reader killed in the middle is told by close()', async (t) => {
  const fifo = fifoFor(t)
  const stopped = spawn(
    'sh',
    ['-c', 'exec 3<"$0"; echo open; read -r line <&3; kill -9 $$', fifo.path],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.teardown(() => stopped.kill('SIGKILL'))
  const writer = await writerFor(t, fifo)
  writer.write(Buffer.concat([Buffer.from('line\n'), pattern(100_000)]))
  const exited = once(stopped, 'exit')
  t.is(await outcome(() => writer.close()), 'ERR_FIFO_READER_LOST')
  await exited
})

test('a reader may leave and another come between two writes', async (t) => {
  const { fifo, writer, reader } = await held(t)
  const readers = [reader]
  for (const text of ['first', 'second', 'third']) {
    const reader = readers.at(-1) as HeldReader
    writer.write(Buffer.from(text))
    t.is((await reader.take(text.length)).toString(), text)
    await writer.consumed()
    reader.close()
    await until('the reader is missed', () => !writer.stats().hasReader)
    readers.push(new HeldReader(t, fifo.path))
    await until('the next one is seen', () => writer.stats().hasReader)
  }
  t.like(writer.stats(), { opens: 1, bytesWritten: 16, bytesConsumed: 16 })
  await writer.close()
})

// How much the engine's thread wrote is in its /proc/self/task/*/io (proc(5)).
test('a little is written by write() itself, unless something stands before it', async (t) => {
  const fifo = fifoFor(t)
  const script = `
    import { closeSync, constants, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
    import { openFifo } from 'tarspout'
    const path = process.argv[1]
    const read = (fd) => {
      const buffer = Buffer.alloc(1 << 20)
      return buffer.toString('latin1', 0, readSync(fd, buffer))
    }
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = await openFifo(path)
    const fileOf = (task, name) => readFileSync('/proc/self/task/' + task + '/' + name, 'utf8')
    const engine = readdirSync('/proc/self/task').find((task) => fileOf(task, 'comm') === 'tarspout\\n')
    const byEngine = () => Number(/^wchar: (\\d+)/m.exec(fileOf(engine, 'io'))[1])
    const before = byEngine()
    let wrong = 0
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(('line ' + i).padEnd(1000))
      writer.write(i % 2 ? [bytes.subarray(0, 3), bytes.subarray(3)] : bytes)
      await writer.drained()
      if (read(reader) !== bytes.toString()) wrong++
    }
    const written = byEngine() - before
    writer.write(Buffer.alloc(2 << 20))
    writer.write(Buffer.from('last'))
    let rest = ''
    while (rest.length < (2 << 20) + 4) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      try {
        rest += read(reader)
      } catch {} // there is nothing yet
    }
    console.log(JSON.stringify({ wrong, written, last: rest.slice(-5) }))
    closeSync(reader)
    await writer.close()`
  const { output, exited } = runScript(script, {}, fifo.path)
  t.deepEqual(await exited, [0, null])
  const { wrong, written, last } = JSON.parse(await output)
  t.is(wrong, 0)
  t.true(written < 150_000, `${written} of 300000 bytes by the engine`)
  t.is(last, '\0last')
})

test('several FIFOs do not hold each other up', async (t) => {
  const stalled = await held(t, { highWaterMark: 1000 })
  stalled.writer.write(pattern(PIPE + 5000))
  const lone = fifoFor(t)
  const opening = writerFor(t, lone)
  const body = pattern(200_000)
  const sent = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const fifo = fifoFor(t)
      const cat = new Cat(t, fifo.path)
      const writer = await writerFor(t, fifo)
      for (let round = 0; round < 10; round++) {
        if (!writer.write([Buffer.of(i), body.subarray(round * 1000)])) await writer.drained()
        if (round % 3 === i % 3) await writer.consumed()
      }
      await writer.close()
      const rounds = Array.from({ length: 10 }, (_, round) => [
        Buffer.of(i),
        body.subarray(round * 1000),
      ])
      return (await cat.bytes).equals(Buffer.concat(rounds.flat()))
    }),
  )
  t.deepEqual(sent, Array(8).fill(true))
  t.false(await isSettled(opening))
  const read = await stalled.reader.take(PIPE + 5000)
  t.true(read.equals(pattern(PIPE + 5000)))
  new HeldReader(t, lone.path)
  await t.notThrowsAsync(opening)
})

// ---- what is measured ----

test('stats() at each step are what happened', async (t) => {
  const highWaterMark = 300_000
  const { writer, reader } = await held(t, { highWaterMark })
  const fresh = writer.stats()
  t.deepEqual(
    { ...fresh, waitingForReaderMs: 0 },
    {
      state: 'idle',
      guarantee: 'tracked',
      bytesQueued: 0,
      bytesWritten: 0,
      bytesConsumed: 0,
      bytesRetained: 0,
      pipeCapacity: PIPE,
      pipeOccupancy: 0,
      writes: 0,
      shortWrites: 0,
      eagain: 0,
      epipe: 0,
      opens: 1,
      replays: 0,
      archivesDelivered: 0,
      blockedMs: 0,
      waitingForReaderMs: 0,
      stallMs: { p50: 0, p99: 0, max: 0 },
      pipelined: false,
      hasReader: true,
    },
  )
  t.true(fresh.waitingForReaderMs < 1000)

  writer.write(pattern(1000))
  await until('it is in the pipe', () => writer.stats().pipeOccupancy === 1000)
  const one = {
    bytesWritten: 1000,
    bytesConsumed: 0,
    bytesQueued: 0,
    writes: 1,
    shortWrites: 0,
    eagain: 0,
  }
  t.like(writer.stats(), { ...one, state: 'sending' })

  writer.write(pattern(200_000))
  const stalled = performance.now()
  await until('the pipe is full', () => {
    const { eagain, bytesQueued, bytesWritten } = writer.stats()
    return eagain > 0 && bytesQueued + bytesWritten === 201_000
  })
  const full = writer.stats()
  // A pipe is full when its pages are: what was written before may leave one partly empty.
  t.true(full.bytesWritten <= PIPE && full.bytesWritten > PIPE - 4096)
  t.like(full, { pipeOccupancy: full.bytesWritten, bytesConsumed: 0, blockedMs: 0 })
  t.true(full.shortWrites >= 1)

  await new Promise((resolve) => setTimeout(resolve, 30))
  const consumed = writer.consumed()
  t.true((await reader.take(201_000)).length === 201_000)
  await consumed
  const elapsed = performance.now() - stalled
  const done = writer.stats()
  t.like(done, {
    ...{
      bytesWritten: 201_000,
      bytesConsumed: 201_000,
      bytesQueued: 0,
      bytesRetained: 0,
      pipeOccupancy: 0,
    },
    ...{ opens: 1, epipe: 0, replays: 0, state: 'idle', hasReader: true },
  })
  t.true(done.blockedMs >= 29 && done.blockedMs <= elapsed, `${done.blockedMs} of ${elapsed} ms`)
  const { p50, p99, max } = done.stallMs
  t.true(p50 <= p99 && p99 <= max && max >= 29 && max <= done.blockedMs, `${p50} ${p99} ${max}`)

  await writer.close()
  t.like(writer.stats(), {
    state: 'closed',
    hasReader: false,
    bytesWritten: 201_000,
    pipeOccupancy: 0,
  })
})

test('pipeCapacity is what the kernel granted', async (t) => {
  for (const [pipeSize, least] of [
    [1 << 20, 1 << 20],
    [100_000, 131_072],
    [PIPE, PIPE],
  ] as const) {
    const { writer } = await held(t, { pipeSize })
    t.is(writer.stats().pipeCapacity, least)
  }
  const { writer } = await held(t, { pipeSize: Number.MAX_SAFE_INTEGER })
  t.true(writer.stats().pipeCapacity >= 1 << 20)
})
