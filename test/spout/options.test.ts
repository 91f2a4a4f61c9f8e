import { spawnSync } from 'node:child_process'
import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { type FifoOptions, openFifo, openSpout, type RunOptions, type SpoutOptions } from 'tarspout'
import {
  Cat,
  fifoFor,
  HeldReader,
  outcome,
  packageFolder,
  runScript,
  spoutFor,
  until,
} from '../support/spout.js'

/** Values of a wrong type, and of the right one but out of range. */
const KINDS = {
  flag: { type: [0, 1, 'true', null, {}], range: [], good: [true, false, undefined] },
  bytes: {
    type: ['1', null, true, {}, 1n],
    range: [0, -1, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53],
    good: [1, 2 ** 53 - 1, Number.POSITIVE_INFINITY, undefined],
  },
  pipe: {
    type: ['1', null],
    range: [4095, 0, -1, 4096.5, Number.NaN],
    good: [4096, 2 ** 40, undefined],
  },
  count: {
    type: ['1', null, true],
    range: [0, -1, 1.5, Number.NaN],
    good: [1, Number.POSITIVE_INFINITY, undefined],
  },
  ms: {
    type: ['1', null, true, new Date()],
    range: [-1, Number.NaN, Number.NEGATIVE_INFINITY],
    good: [0, 0.5, 1e300, Number.POSITIVE_INFINITY, undefined],
  },
  signal: { type: [null, {}, true, new AbortController()], range: [], good: [undefined] },
  path: {
    type: [null, 5, {}, Buffer.from('/tmp'), new URL('file:///tmp')],
    range: ['', '/tmp/a\0b'],
    good: [],
  },
} satisfies Record<string, { type: unknown[]; range: unknown[]; good: unknown[] }>
const choice = (...good: string[]) => ({
  type: [null, 5, true, {}],
  range: ['', 'other', `${good[0]} `],
  good: [...good, undefined],
})

const SPOUT_OPTIONS: Record<
  keyof SpoutOptions,
  { type: unknown[]; range: unknown[]; good: unknown[] }
> = {
  path: KINDS.path,
  connection: choice('per-archive', 'persistent'),
  confirm: choice('read', 'committed'),
  retainBytes: KINDS.bytes,
  spill: KINDS.flag,
  maxAttempts: KINDS.count,
  highWaterMark: KINDS.bytes,
  pipeSize: KINDS.pipe,
  zeroCopy: KINDS.flag,
  nameRules: choice('pachyderm', 'tar'),
  markerName: {
    type: [null, 5, true],
    range: ['', 'out', '.', '../a', 'a*', 'ä', 'a/', 'a\0b', '/a'],
    good: ['marker', 'a/b', 'outer', undefined],
  },
  markerArchive: choice('same', 'separate'),
  signal: KINDS.signal,
  readerTimeoutMs: KINDS.ms,
}
const { signal, readerTimeoutMs, pipeSize, highWaterMark, zeroCopy } = SPOUT_OPTIONS
const FIFO_OPTIONS: Record<keyof FifoOptions, (typeof SPOUT_OPTIONS)['path']> = {
  ...{ signal, readerTimeoutMs, pipeSize, highWaterMark, zeroCopy },
}
const RUN_OPTIONS: Record<keyof RunOptions<unknown>, (typeof SPOUT_OPTIONS)['path']> = {
  toEntry: { type: [undefined, null, 5, {}], range: [], good: [() => null] },
  onRejected: { type: [null, 5, {}], range: [], good: [() => {}, undefined] },
  onDelivered: { type: [null, 5, {}], range: [], good: [() => {}, undefined] },
  maxEntries: KINDS.count,
  maxBytes: KINDS.count,
  maxDelayMs: KINDS.ms,
}

const shown = (name: string, value: unknown) => `${name}: ${typeof value} ${String(value)}`

test('openSpout() takes good options, and refuses wrong ones before anything is opened', async (t) => {
  const { path } = fifoFor(t)
  for (const [name, { type, range, good }] of Object.entries(SPOUT_OPTIONS)) {
    for (const value of type) {
      t.is(await outcome(() => openSpout({ path, [name]: value })), 'TypeError', shown(name, value))
    }
    for (const value of range) {
      t.is(
        await outcome(() => openSpout({ path, [name]: value })),
        'RangeError',
        shown(name, value),
      )
    }
    for (const value of good) {
      // Had one of the calls before opened anything, this would find the FIFO busy.
      const spout = await openSpout({ path, [name]: value })
      await spout.close()
    }
  }
  t.pass()
})

test('openFifo() takes good options, and refuses wrong ones before anything is opened', async (t) => {
  const { path } = fifoFor(t)
  new HeldReader(t, path)
  for (const [name, { type, range, good }] of Object.entries(FIFO_OPTIONS)) {
    for (const value of type) {
      t.is(await outcome(() => openFifo(path, { [name]: value })), 'TypeError', shown(name, value))
    }
    for (const value of range) {
      t.is(await outcome(() => openFifo(path, { [name]: value })), 'RangeError', shown(name, value))
    }
    for (const value of good) {
      const fifo = await openFifo(path, { [name]: value })
      await fifo.close()
    }
  }
  for (const value of KINDS.path.type)
    t.is(await outcome(() => openFifo(value as string)), 'TypeError')
  for (const value of KINDS.path.range) t.is(await outcome(() => openFifo(value)), 'RangeError')
})

test('run() takes good options, and refuses wrong ones before the source is asked', async (t) => {
  const spout = await spoutFor(t, fifoFor(t))
  const untouched = {
    [Symbol.iterator]: () => {
      throw t.fail()
    },
  }
  const toEntry = () => null
  for (const [name, { type, range, good }] of Object.entries(RUN_OPTIONS)) {
    for (const value of type) {
      t.is(
        await outcome(() => spout.run(untouched, { toEntry, [name]: value })),
        'TypeError',
        shown(name, value),
      )
    }
    for (const value of range) {
      t.is(
        await outcome(() => spout.run(untouched, { toEntry, [name]: value })),
        'RangeError',
        shown(name, value),
      )
    }
    for (const value of good) await spout.run([], { toEntry, [name]: value })
  }
  for (const source of [undefined, null, 5, {}, () => []]) {
    t.is(await outcome(() => spout.run(source as unknown as [], { toEntry })), 'TypeError')
  }
  t.is(await outcome(() => spout.run([], undefined as unknown as RunOptions<unknown>)), 'TypeError')
})

test('a misspelt option is a TypeError that names the ones there are', async (t) => {
  const { path } = fifoFor(t)
  const spout = await spoutFor(t, fifoFor(t))
  const calls = [
    () => openSpout({ path, highWatermark: 5 } as SpoutOptions),
    () => openFifo(path, { highWatermark: 5 } as FifoOptions),
    async () => spout.run([], { toEntry: () => null, maxEntrys: 5 } as RunOptions<unknown>),
    async () => spout.beginCommit().add('a', 'a', { modes: 5 } as object),
  ]
  const named = [/highWaterMark/, /highWaterMark/, /maxEntries/, /\bmode\b/]
  for (const [i, call] of calls.entries()) {
    await t.throwsAsync(call, { instanceOf: TypeError, message: named[i] as RegExp })
  }
})

test('options that are no object are a TypeError', async (t) => {
  const { path } = fifoFor(t)
  for (const wrong of [null, 5, 'path', true]) {
    t.is(await outcome(() => openSpout(wrong as unknown as SpoutOptions)), 'TypeError', `${wrong}`)
    t.is(
      await outcome(() => openFifo(path, wrong as unknown as FifoOptions)),
      'TypeError',
      `${wrong}`,
    )
  }
})

test('a signal that has aborted refuses the opening with its reason', async (t) => {
  const { path } = fifoFor(t)
  const signal = AbortSignal.abort('why')
  for (const open of [() => openSpout({ path, signal }), () => openFifo(path, { signal })]) {
    const error = await t.throwsAsync<NodeJS.ErrnoException>(open, { name: 'AbortError' })
    t.is(error?.cause, 'why')
    t.is(error?.code, 'ABORT_ERR')
  }
})

// ---- the path ----

/** What is at a path, and the error for it. */
const PLACES: Record<
  string,
  [make: (path: string) => unknown, error: { code: string; [field: string]: unknown }]
> = {
  nothing: [() => {}, { code: 'ENOENT', errno: -2, syscall: 'open' }],
  'a link to nothing': [
    (path) => symlinkSync(`${path}-gone`, path),
    { code: 'ENOENT', errno: -2, syscall: 'open' },
  ],
  'a link to itself': [
    (path) => symlinkSync(path, path),
    { code: 'ELOOP', errno: -40, syscall: 'open' },
  ],
  'a plain file': [(path) => writeFileSync(path, 'kept'), { code: 'ERR_FIFO_NOT_A_FIFO' }],
  'a folder': [(path) => mkdirSync(path), { code: 'ERR_FIFO_NOT_A_FIFO' }],
  'a device': [(path) => symlinkSync('/dev/null', path), { code: 'ERR_FIFO_NOT_A_FIFO' }],
}

for (const [what, [make, expected]] of Object.entries(PLACES)) {
  test(`where ${what} is, opening fails with the path, and creates nothing`, async (t) => {
    const { folder } = fifoFor(t)
    const path = join(folder, 'there')
    make(path)
    for (const open of [() => openSpout({ path }), () => openFifo(path)]) {
      const error = await t.throwsAsync<NodeJS.ErrnoException>(open)
      t.like(error, { ...expected, path })
      if (expected.syscall)
        t.is(error?.message, `${expected.code}: ${messages[expected.code]}, open '${path}'`)
    }
    if (what === 'nothing') t.notThrows(() => mkdirSync(path))
  })
}
const messages: Record<string, string> = {
  ENOENT: 'no such file or directory',
  ELOOP: 'too many symbolic links encountered',
}

test('a path through a plain file is ENOTDIR', async (t) => {
  const { folder } = fifoFor(t)
  writeFileSync(join(folder, 'file'), '')
  t.is(await outcome(() => openSpout({ path: join(folder, 'file/out') })), 'ENOTDIR')
})

test('the default path is out in PFS_DIR, and in /pfs without it', async (t) => {
  const fifo = fifoFor(t)
  const cat = new Cat(t, fifo.path)
  const script = `
    import { openSpout } from 'tarspout'
    const spout = await openSpout()
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    await commit.end()
    await spout.close()
    console.log(spout.path)
    delete process.env.PFS_DIR
    await openSpout().then((spout) => console.log(spout.path), (error) => console.log(error.path))`
  const { output, exited } = runScript(script, { PFS_DIR: join(fifo.folder, 'pfs') })
  t.deepEqual(await exited, [0, null])
  t.is(await output, `${fifo.path}\n/pfs/out\n`)
  t.is((await cat.bytes).length, 2048)
})

/**
 * A script's beginning: it gives up root's rights, which would open anything, once everything is
 * loaded.
 */
const asNobody = `
  import { openFifo, openSpout } from 'tarspout'
  if (process.getuid() === 0) {
    process.setgroups([])
    process.setgid(65534)
    process.setuid(65534)
  }
  const path = process.argv[1]`

test('a FIFO one may not write is EACCES', async (t) => {
  const fifo = fifoFor(t)
  for (const folder of [fifo.folder, join(fifo.folder, 'pfs'), join(fifo.folder, 'scratch')])
    chmodSync(folder, 0o755)
  chmodSync(fifo.target, 0o444)
  const script = `${asNobody}
    for (const open of [() => openSpout({ path }), () => openFifo(path)]) {
      await open().catch(({ code, errno, syscall, path }) => console.log(code, errno, syscall, path))
    }`
  const { output, exited } = runScript(script, {}, fifo.path)
  t.deepEqual(await exited, [0, null])
  t.is(await output, `EACCES -13 open ${fifo.path}\n`.repeat(2))
})

test('a FIFO one may only write cannot be watched: archives are delivered, the guarantee is told as sampled', async (t) => {
  const fifo = fifoFor(t)
  for (const folder of [fifo.folder, join(fifo.folder, 'pfs'), join(fifo.folder, 'scratch')])
    chmodSync(folder, 0o755)
  chmodSync(fifo.target, 0o622)
  const reader = new HeldReader(t, fifo.path)
  const script = `${asNobody}
    const spout = await openSpout({ path })
    const commit = spout.beginCommit()
    commit.add('a', 'a')
    const { attempts } = await commit.end()
    console.log(attempts, spout.stats().guarantee, process.getuid() === 0)
    await spout.close()`
  const { output, exited } = runScript(script, {}, fifo.path)
  await reader.take(2048)
  t.deepEqual(await exited, [0, null])
  t.is(await output, '1 sampled false\n')
})

test('nothing of the native engine is loaded or held by a process that only asked wrongly', async (t) => {
  const script = `
    import { openSpout } from 'tarspout'
    await openSpout({ path: '/nowhere/at/all' }).catch((error) => console.log(error.code))
    await openSpout({ path: 5 }).catch((error) => console.log(error.name))`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: packageFolder,
  })
  t.is(status, 0)
  t.is(stdout.toString(), 'ENOENT\nTypeError\n')
})

test('a spout whose FIFO was removed has no claim on what may be another FIFO by now', async (t) => {
  const fifo = fifoFor(t)
  // Stands for a FIFO that is made later and gets the same inode.
  const other = `${fifo.target}-too`
  linkSync(fifo.target, other)
  await spoutFor(t, fifo)
  const open = () => outcome(async () => (await openSpout({ path: other })).close())
  t.is(await open(), 'ERR_FIFO_BUSY')
  rmSync(fifo.target)
  let tried = await open()
  for (let tries = 0; tried === 'ERR_FIFO_BUSY' && tries < 20; tries++) tried = await open()
  t.is(tried, 'ok')
})

test('the FIFO is free again once a spout has closed, also one whose FIFO was removed', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  t.is(await outcome(() => openSpout({ path: fifo.target })), 'ERR_FIFO_BUSY')
  rmSync(fifo.target)
  await spout.close()
  t.is(await outcome(() => openSpout({ path: fifo.path })), 'ENOENT')
  await until('it is closed', () => spout.stats().state === 'closed')
})
