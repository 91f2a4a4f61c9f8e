import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import test from 'ava'
import * as streamx from 'streamx'
import tarStream from 'tar-stream'
import { type PackHeader, type PackStream, pack, TarspoutError } from 'tarspout'

const MTIME = new Date(1387580181000)
const header = (name: string, more: Partial<PackHeader> = {}): PackHeader => ({
  name,
  mtime: MTIME,
  ...more,
})

interface Read {
  name: string
  type: string | null | undefined
  size: number | undefined
  linkname: string | null | undefined
  body: string
}

async function extract(archive: Buffer): Promise<Read[]> {
  const entries: Read[] = []
  const reader = tarStream.extract()
  reader.end(archive)
  for await (const entry of reader) {
    const { name, type, size, linkname } = entry.header
    entries.push({
      name,
      type,
      size,
      linkname,
      body: (await buffer(entry as unknown as Readable)).toString(),
    })
  }
  return entries
}

const bodies = (entries: Read[]) => entries.map(({ name, body }) => `${name}=${body}`)

/** Fails, and does not wait for ever, if a pack neither ends nor fails. */
async function contents(archive: PackStream): Promise<Read[]> {
  return extract(await buffer(archive))
}

// Not once(), which rejects on an error.
const closing = (stream: PackStream) =>
  new Promise<void>((resolve) => void stream.once('close', resolve))

function codeOf(error: unknown): string | undefined {
  return error instanceof TarspoutError ? error.code : String(error)
}

test('entries with a body, written and streamed ones come out in call order', async (t) => {
  const archive = pack()
  const first = archive.entry(header('first', { size: 6 }))
  archive.entry(header('second'), 'two')
  const third = archive.entry(header('third', { size: 3 }))
  archive.entry(header('fourth'), Buffer.from('four'))
  archive.finalize()
  third.end('333')
  first.write('one')
  setImmediate(() => first.end('1!!'))
  t.deepEqual(bodies(await contents(archive)), [
    'first=one1!!',
    'second=two',
    'third=333',
    'fourth=four',
  ])
})

test('every form of body is taken', async (t) => {
  const archive = pack()
  const abc = new Uint8Array([0x61, 0x62, 0x63])
  archive.entry(header('string'), 'abc')
  archive.entry(header('Buffer'), Buffer.from('abc'))
  archive.entry(header('ArrayBuffer'), abc.buffer)
  archive.entry(header('DataView'), new DataView(abc.buffer))
  archive.entry(header('Float64Array'), new Float64Array(2))
  archive.entry(header('array'), ['a', 'bc'])
  archive.entry(header('Node stream'), Readable.from(['a', 'bc']))
  archive.entry(
    header('web stream'),
    new Blob(['abc']).stream() as unknown as AsyncIterable<Uint8Array>,
  )
  archive.entry(header('with size', { size: 3 }), Readable.from(['a', 'bc']))
  archive.entry(header('empty'), '')
  archive.entry(header('empty iterable'), [])
  archive.finalize()
  const read = await contents(archive)
  const want = ['abc', 'abc', 'abc', 'abc', '\0'.repeat(16), 'abc', 'abc', 'abc', 'abc', '', '']
  t.deepEqual(
    read.map(({ body }) => body),
    want,
  )
})

test('a body of another type is refused at once, and the archive goes on', async (t) => {
  const archive = pack()
  for (const body of [5, true, {}, new Blob(['a']), Symbol('s')]) {
    t.throws(() => archive.entry(header('bad'), body as unknown as string), {
      instanceOf: TypeError,
    })
  }
  archive.entry(header('good'), 'x')
  archive.finalize()
  t.deepEqual(bodies(await contents(archive)), ['good=x'])
})

test('a header no tar can hold is refused at once, and the archive goes on', async (t) => {
  const archive = pack()
  const bad: [PackHeader, string][] = [
    [header(''), 'ERR_TAR_NAME'],
    [header('a\0'), 'ERR_TAR_NAME'],
    [header('a/', { type: 'file' }), 'ERR_TAR_NAME'],
    [header('a', { uid: -1 }), 'ERR_TAR_FIELD'],
    [header('a', { type: 'sock' }), 'ERR_TAR_FIELD'],
    [header('a', { type: 'link' }), 'ERR_TAR_FIELD'],
    [header('', { type: 'symlink' }), 'ERR_TAR_NAME'],
    [header('a', { size: -1 }), 'ERR_TAR_SIZE'],
    [header('a', { type: 'pax-global-header' }), 'ERR_TAR_FIELD'],
  ]
  for (const [entry, code] of bad)
    t.is(codeOf(t.throws(() => archive.entry(entry))), code, JSON.stringify(entry))
  t.throws(() => archive.entry(undefined as unknown as PackHeader), { instanceOf: TypeError })
  t.throws(() => archive.entry(header('a', { mtime: 5 as unknown as Date })), {
    instanceOf: TypeError,
  })
  archive.entry(header('good'), 'x')
  archive.finalize()
  t.deepEqual(bodies(await contents(archive)), ['good=x'])
})

test('entries without body need no end(), and take none', async (t) => {
  const archive = pack()
  archive.entry(header('dir', { type: 'directory', size: 4096 }))
  archive.entry(header('dir2/'))
  archive.entry(header('link', { type: 'link', linkname: 'a', size: 9 }))
  archive.entry(header('by mode', { mode: 0o40755 }))
  archive.entry(header('fifo', { type: 'fifo' }), '')
  t.is(
    codeOf(t.throws(() => archive.entry(header('d', { type: 'directory' }), 'x'))),
    'ERR_TAR_BODY',
  )
  archive.entry(header('file'), 'x')
  archive.finalize()
  const read = await contents(archive)
  t.deepEqual(
    read.map(({ name, type, size }) => [name, type, size]),
    [
      ['dir', 'directory', 0],
      ['dir2/', 'directory', 0],
      ['link', 'link', 0],
      ['by mode', 'directory', 0],
      ['fifo', 'fifo', 0],
      ['file', 'file', 1],
    ],
  )
})

test('a symlink without linkname takes what is written to it, or its body, as its target', async (t) => {
  const archive = pack()
  const link = archive.entry(header('written', { type: 'symlink' }))
  link.write('tar')
  link.end('get')
  archive.entry(header('body', { type: 'symlink' }), 'target2')
  archive.entry(header('stat', { mode: 0o120777, size: 6 }), ['target', '3'])
  archive.finalize()
  const read = await contents(archive)
  t.deepEqual(
    read.map(({ linkname, type, size }) => [linkname, type, size]),
    [
      ['target', 'symlink', 0],
      ['target2', 'symlink', 0],
      ['target3', 'symlink', 0],
    ],
  )
})

test('a symlink whose target stays empty destroys the archive with ERR_TAR_FIELD', async (t) => {
  const archive = pack()
  const link = archive.entry(header('a', { type: 'symlink' }))
  link.on('error', () => {})
  link.end()
  const [error] = await once(archive, 'error')
  t.is(codeOf(error), 'ERR_TAR_FIELD')
})

test('callbacks come once, in order, after the call', async (t) => {
  const archive = pack()
  const calls: unknown[] = []
  const note = (name: string) => (error: Error | null) => calls.push([name, error])
  archive.entry(header('a'), 'x', note('a'))
  archive.entry(header('d', { type: 'directory' }), note('d'))
  archive.entry(header('b', { size: 1 }), note('b')).end('x')
  archive.entry(header('c'), ['x'], note('c'))
  archive.entry(header('e'), null, note('e')).end()
  t.deepEqual(calls, [])
  archive.finalize()
  await contents(archive)
  const byName = (calls as [string, unknown][]).map(([name]) => name)
  t.deepEqual([...byName].sort(), ['a', 'b', 'c', 'd', 'e'])
  t.deepEqual(
    byName.filter((name) => name !== 'd'),
    ['a', 'b', 'c', 'e'],
  )
  t.true((calls as [string, unknown][]).every(([, error]) => error === null))
})

test('too few, too many and undeclared bytes are Size mismatch: ERR_TAR_SIZE on entry, callback and archive', async (t) => {
  for (const [size, body] of [
    [2, 'x'],
    [2, 'xxx'],
    [undefined, 'x'],
    [0, 'x'],
  ] as const) {
    const archive = pack()
    const errors: unknown[] = []
    const entry = archive.entry(header('a', { size }), (error) => errors.push(error))
    entry.on('error', (error) => errors.push(error))
    archive.on('error', (error) => errors.push(error))
    entry.end(body)
    archive.resume()
    await closing(archive)
    await new Promise(setImmediate)
    t.deepEqual(errors.map(codeOf), ['ERR_TAR_SIZE', 'ERR_TAR_SIZE', 'ERR_TAR_SIZE'])
    t.true(errors.every((error) => (error as Error).message.startsWith('Size mismatch')))
  }
})

test('an iterable with a size must have that size, and is closed at the first byte too many', async (t) => {
  let closed = false
  async function* endless() {
    try {
      for (;;) yield 'ab'
    } finally {
      closed = true
    }
  }
  const archive = pack()
  archive.entry(header('a', { size: 3 }), endless())
  archive.resume()
  const [error] = await once(archive, 'error')
  t.is(codeOf(error), 'ERR_TAR_SIZE')
  await new Promise(setImmediate)
  t.true(closed)
})

test('a source that fails destroys the archive with its error as cause', async (t) => {
  for (const size of [undefined, 5]) {
    const archive = pack()
    const cause = new Error('source')
    const called = new Promise((resolve) => {
      archive.entry(
        header('a', { size }),
        (async function* () {
          yield 'a'
          throw cause
        })(),
        resolve,
      )
    })
    archive.resume()
    const [error] = await once(archive, 'error')
    t.is(codeOf(error), 'ERR_TAR_BODY')
    t.is(error.cause, cause)
    t.is(await called, error)
  }
})

test('entry() after finalize() or destroy() is ERR_STATE: already finalized or destroyed', async (t) => {
  const finalized = pack()
  finalized.entry(header('slow', { size: 1 }))
  finalized.finalize()
  const destroyed = pack()
  destroyed.destroy()
  for (const archive of [finalized, destroyed]) {
    const error = t.throws(() => archive.entry(header('a'), 'x'))
    t.is(codeOf(error), 'ERR_STATE')
    t.regex(error?.message ?? '', /already finalized or destroyed/)
  }
})

test('finalize() waits for open entries, may come twice, and ends with two zero blocks and no more', async (t) => {
  const archive = pack()
  const entry = archive.entry(header('a', { size: 1 }))
  archive.finalize()
  archive.finalize()
  setImmediate(() => entry.end('x'))
  const bytes = await buffer(archive)
  t.is(bytes.length, 512 + 512 + 1024)
  const empty = pack()
  empty.finalize()
  t.deepEqual(await buffer(empty), Buffer.alloc(1024))
})

test('destroy() ends every entry: its callback gets the error, its stream closes', async (t) => {
  for (const cause of [undefined, new Error('enough')]) {
    const archive = pack()
    const results: unknown[] = []
    const closed: string[] = []
    archive.on('error', (error) => results.push(error))
    for (const name of ['active', 'queued']) {
      const entry = archive.entry(header(name, { size: 9 }), (error) => results.push(error))
      entry.on('error', () => {})
      entry.on('close', () => closed.push(name))
      entry.write('x')
    }
    archive.entry(header('whole'), 'xyz', (error) => results.push(error))
    archive.entry(
      header('never'),
      (async function* () {
        await new Promise(() => {})
      })(),
      (error) => results.push(error),
    )
    archive.destroy(cause)
    await closing(archive)
    await new Promise(setImmediate)
    t.deepEqual(closed, ['active', 'queued'])
    t.is(results.length, cause ? 5 : 4)
    t.true(results.every((error) => (cause ? error === cause : codeOf(error) === 'ERR_STATE')))
  }
})

test('a source is closed when the archive it was gathered for is destroyed', async (t) => {
  const archive = pack()
  const closed = new Promise<void>((resolve) => {
    archive.entry(
      header('endless'),
      (async function* () {
        try {
          for (;;) yield await new Promise<string>((next) => setImmediate(() => next('a')))
        } finally {
          resolve()
        }
      })(),
    )
  })
  setImmediate(() => archive.destroy())
  await closed
  t.pass()
})

test('destroying an entry before it is complete destroys the archive; afterwards it does not', async (t) => {
  const cut = pack()
  const entry = cut.entry(header('a', { size: 9 }))
  entry.destroy()
  const [error] = await once(cut, 'error')
  t.is(codeOf(error), 'ERR_STATE')

  const archive = pack()
  const whole = archive.entry(header('a', { size: 1 }))
  whole.end('x')
  archive.resume()
  await once(whole, 'finish')
  whole.destroy()
  archive.finalize()
  await once(archive, 'end')
  t.pass()
})

test('writing to an entry that has no body destroys the archive with ERR_TAR_BODY', async (t) => {
  const archive = pack()
  const entry = archive.entry(header('d', { type: 'directory' }))
  entry.on('error', () => {})
  entry.write('x')
  const [error] = await once(archive, 'error')
  t.is(codeOf(error), 'ERR_TAR_BODY')
})

test('a reader that does not read stops the writer: backpressure counts bytes', async (t) => {
  const archive = pack({ highWaterMark: 64 * 1024 })
  const entry = archive.entry(header('a', { size: 16 * 1024 * 1024 }))
  let taken = 0
  async function* source() {
    for (let i = 0; i < 256; i++) {
      taken++
      yield Buffer.alloc(64 * 1024)
    }
  }
  const written = pipeline(source, entry)
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  t.true(taken < 8, `${taken} pieces taken by a reader that reads nothing`)
  archive.finalize()
  let bytes = 0
  for await (const chunk of archive) bytes += chunk.length
  await written
  t.is(bytes, 512 + 16 * 1024 * 1024 + 1024)
})

test('bodies of whole entries wait for the reader, so awaiting callbacks bounds memory', async (t) => {
  const archive = pack({ highWaterMark: 64 * 1024 })
  let accepted = 0
  const add = () =>
    archive.entry(header(`f${accepted}`), Buffer.alloc(64 * 1024), () => {
      accepted++
      if (accepted < 20) add()
      else archive.finalize()
    })
  add()
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  t.true(accepted <= 1)
  t.is((await extract(await buffer(archive))).length, 20)
})

test('works with core pipes, core pipeline, streamx, and iteration', async (t) => {
  const make = () => {
    const archive = pack()
    for (let i = 0; i < 100; i++) archive.entry(header(`f${i}`), `body ${i}`)
    archive.finalize()
    return archive
  }
  const want = await buffer(make())
  t.is((await extract(want)).length, 100)
  const collect = (chunks: Buffer[]) => ({
    write(chunk: Buffer, ...rest: unknown[]) {
      chunks.push(chunk)
      setImmediate(rest.at(-1) as () => void)
    },
  })

  const piped: Buffer[] = []
  await once(make().pipe(new Writable(collect(piped))), 'finish')
  t.deepEqual(Buffer.concat(piped), want)

  const pipelined: Buffer[] = []
  await pipeline(make(), new Writable(collect(pipelined)))
  t.deepEqual(Buffer.concat(pipelined), want)

  const streamed: Buffer[] = []
  const sink = new streamx.Writable(collect(streamed) as never)
  make().pipe(sink as unknown as Writable)
  await once(sink, 'finish')
  t.deepEqual(Buffer.concat(streamed), want)

  const entries = pack()
  const source = new streamx.Readable()
  source.push(Buffer.from('from streamx'))
  source.push(null)
  source.pipe(entries.entry(header('s', { size: 12 })) as never)
  entries.finalize()
  t.deepEqual(bodies(await contents(entries)), ['s=from streamx'])

  const iterated: Buffer[] = []
  for await (const chunk of make()) iterated.push(chunk)
  t.deepEqual(Buffer.concat(iterated), want)
})

test('leaving the iteration destroys the archive and its entries', async (t) => {
  const archive = pack()
  archive.entry(header('a'), 'x')
  const called = new Promise((resolve) => {
    archive.entry(header('open', { size: 9 }), resolve)
  })
  for await (const _ of archive) break
  t.true(archive.destroyed)
  t.is(((await called) as Error).name, 'AbortError')
})

test('a signal aborts the archive', async (t) => {
  const stop = new AbortController()
  const archive = pack({ signal: stop.signal })
  archive.entry(header('a', { size: 9 })).on('error', () => {})
  stop.abort()
  const [error] = await once(archive, 'error')
  t.is(error.name, 'AbortError')
})

test('20,000 entries without body need no deep stack', async (t) => {
  const archive = pack()
  const blocker = archive.entry(header('first', { size: 1 }))
  for (let i = 0; i < 20_000; i++) archive.entry(header(`d${i}`, { type: 'directory' }))
  archive.finalize()
  blocker.end('x')
  let bytes = 0
  for await (const chunk of archive) bytes += chunk.length
  t.is(bytes, 1024 + 20_000 * 512 + 1024)
})

test("tar-stream's extract feeds pack(): what comes in goes out, under the name the header has", async (t) => {
  const source = tarStream.pack()
  source.entry(
    { name: `${'long/'.repeat(60)}é`, mtime: MTIME, pax: { comment: 'c', mtime: '1387580181.5' } },
    'body',
  )
  source.entry({ name: 'dir', type: 'directory', mtime: MTIME })
  source.entry({ name: 'ln', type: 'symlink', linkname: 'x'.repeat(120), mtime: MTIME })
  source.finalize()
  const original = await buffer(source as unknown as Readable)
  const copy = async (rename: (name: string) => string) => {
    const archive = pack()
    const reader = tarStream.extract()
    reader.on('entry', (found, stream, next) => {
      const entry = archive.entry({ ...found, name: rename(found.name) } as PackHeader, (error) =>
        next(error),
      )
      stream.pipe(entry as never)
    })
    reader.on('finish', () => archive.finalize())
    reader.end(original)
    return buffer(archive)
  }
  t.deepEqual(await copy((name) => name), original)
  const renamed = await extract(await copy((name) => `new/${name}`))
  t.deepEqual(
    renamed.map(({ name }) => name),
    [`new/${'long/'.repeat(60)}é`, 'new/dir', 'new/ln'],
  )
})

test('a header is read at the call and never changed', async (t) => {
  const archive = pack()
  const mine = Object.freeze(header('a', { size: 1 }))
  const entry = archive.entry(mine)
  entry.end('x')
  archive.finalize()
  t.deepEqual(bodies(await contents(archive)), ['a=x'])
})
