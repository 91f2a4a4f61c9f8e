import { Readable } from 'node:stream'
import test from 'ava'
import { TarspoutError } from 'tarspout'
import { bytesOf, gather, pieces, toBytes } from '../../dist/tar/body.js'
import type { Body } from '../../dist/tar/entry.js'

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString()
const abc = () => new Uint8Array([0x61, 0x62, 0x63])

/** The same three bytes in every form that holds bytes as a whole. */
const WHOLE: Record<string, () => Body> = {
  string: () => 'abc',
  Buffer: () => Buffer.from('abc'),
  Uint8Array: abc,
  Uint8ClampedArray: () => new Uint8ClampedArray(abc().buffer),
  Int8Array: () => new Int8Array(abc().buffer),
  DataView: () => new DataView(abc().buffer),
  ArrayBuffer: () => abc().buffer,
  'a view of a part': () => new Uint8Array([0, ...abc(), 0]).subarray(1, 4),
  'a DataView of a part': () => new DataView(new Uint8Array([0, ...abc(), 0]).buffer, 1, 3),
  SharedArrayBuffer: () => shared(),
  'a view of a SharedArrayBuffer': () => new Uint8Array(shared()),
}

/** The same in every form that has to be read. */
const ITERABLE: Record<string, () => Body> = {
  array: () => ['a', Buffer.from('b'), new DataView(new Uint8Array([0x63]).buffer)],
  Set: () => new Set([Buffer.from('ab'), Buffer.from('c')]),
  generator: function* () {
    yield 'ab'
    yield ''
    yield 'c'
  },
  'async generator': async function* () {
    yield abc().subarray(0, 1)
    await null
    yield abc().subarray(1)
  },
  'Node stream': () => Readable.from([Buffer.from('ab'), Buffer.from('c')], { objectMode: false }),
  'web stream': () => new Blob(['abc']).stream() as unknown as AsyncIterable<Uint8Array>,
}

function shared(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(3)
  new Uint8Array(memory).set(abc())
  return memory
}

test('every form of bytes gives its bytes at once', (t) => {
  for (const [form, make] of Object.entries(WHOLE)) t.is(text(bytesOf(make())), 'abc', form)
  t.is(toBytes(new Float64Array([1, 2, 3])).byteLength, 24)
  t.is(text(toBytes('é😀')), 'é😀')
})

test('views and buffers are not copied, shared memory is', (t) => {
  const bytes = abc()
  t.is(toBytes(bytes), bytes)
  t.is(toBytes(bytes.buffer).buffer, bytes.buffer)
  t.is(toBytes(new DataView(bytes.buffer, 1, 1)).buffer, bytes.buffer)
  const memory = shared()
  for (const copy of [toBytes(memory), toBytes(new Uint8Array(memory))]) {
    new Uint8Array(memory)[0] = 0x7a
    t.is(text(copy), 'abc')
    new Uint8Array(memory)[0] = 0x61
  }
})

test('every form, whole or iterable, is gathered and comes in pieces', async (t) => {
  for (const [form, make] of Object.entries({ ...WHOLE, ...ITERABLE })) {
    t.is(text(await gather(make())), 'abc', form)
    t.is(text(await gather(make(), { size: 3 })), 'abc', form)
    let read = ''
    for await (const piece of pieces(make())) read += text(piece)
    t.is(read, 'abc', form)
  }
  for (const form of Object.keys(ITERABLE))
    t.is(bytesOf(ITERABLE[form]?.() as Body), undefined, form)
})

test('any other type is a TypeError, whole or as a piece, never a wait', async (t) => {
  for (const value of [
    undefined,
    null,
    5,
    5n,
    true,
    Symbol('s'),
    {},
    () => {},
    new Blob(['a']),
    new Date(),
  ]) {
    t.throws(() => bytesOf(value as Body), { instanceOf: TypeError })
    t.throws(() => toBytes(value as string), { instanceOf: TypeError })
    await t.throwsAsync(gather(value as Body), { instanceOf: TypeError })
    await t.throwsAsync(gather([value as string]), { instanceOf: TypeError })
  }
  await t.throwsAsync(gather([['nested']] as unknown as Body), { instanceOf: TypeError })
  await t.throwsAsync(gather([1, 2, 3] as unknown as Body), { instanceOf: TypeError })
})

test('detached memory is ERR_TAR_BODY, empty memory is empty', (t) => {
  for (const view of [
    (buffer: ArrayBuffer) => new Uint8Array(buffer),
    (buffer: ArrayBuffer) => new DataView(buffer),
    (buffer: ArrayBuffer) => buffer,
  ]) {
    const buffer = new ArrayBuffer(8)
    const body = view(buffer)
    t.is(toBytes(body).byteLength, 8)
    structuredClone(buffer, { transfer: [buffer] })
    const error = t.throws(() => toBytes(body, { entry: 'e' }), { instanceOf: TarspoutError })
    t.is(error?.code, 'ERR_TAR_BODY')
    t.is(error?.entry, 'e')
    t.is(toBytes(view(new ArrayBuffer(0))).byteLength, 0)
  }
})

test('a source that fails is ERR_TAR_BODY with its error as cause', async (t) => {
  const cause = new Error('source')
  async function* failing() {
    yield 'a'
    throw cause
  }
  const error = await t.throwsAsync(gather(failing(), { entry: 'e' }), {
    instanceOf: TarspoutError,
  })
  t.is((error as TarspoutError).code, 'ERR_TAR_BODY')
  t.is((error as TarspoutError).entry, 'e')
  t.is(error?.cause, cause)
})

test('too few or too many bytes are ERR_TAR_SIZE, and too many end an endless source', async (t) => {
  let closed = false
  function* endless() {
    try {
      for (;;) yield 'ab'
    } finally {
      closed = true
    }
  }
  const code = async (body: Body, size: number) =>
    ((await t.throwsAsync(gather(body, { size }), { instanceOf: TarspoutError })) as TarspoutError)
      .code
  t.is(await code(endless(), 3), 'ERR_TAR_SIZE')
  t.true(closed)
  t.is(await code(['ab'], 3), 'ERR_TAR_SIZE')
  t.is(await code('ab', 1), 'ERR_TAR_SIZE')
  t.is((await gather([], { size: 0 })).byteLength, 0)
})

test('an abort ends the wait for a source that never answers, before, at and after the first piece', async (t) => {
  const never = (count: number) =>
    (async function* () {
      for (let i = 0; i < count; i++) yield 'a'
      await new Promise(() => {})
    })()
  for (const count of [0, 1]) {
    const stop = new AbortController()
    const gathered = gather(never(count), { signal: stop.signal })
    setImmediate(() => stop.abort('enough'))
    const error = await t.throwsAsync(gathered, { name: 'AbortError' })
    t.is(error?.cause, 'enough')
  }
  await t.throwsAsync(gather(never(0), { signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.is(text(await gather(['a'], { signal: new AbortController().signal })), 'a')
})

test('a source is closed when a piece is of a wrong type', async (t) => {
  let closed = false
  async function* source() {
    try {
      yield 5 as unknown as string
    } finally {
      closed = true
      // biome-ignore lint/correctness/noUnsafeFinally: must not hide the reason
      throw new Error('from closing')
    }
  }
  await t.throwsAsync(gather(source()), { instanceOf: TypeError })
  t.true(closed)
})
