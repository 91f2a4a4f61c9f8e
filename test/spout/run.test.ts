import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Body, Receipt, RunEntry, RunOptions, Spout } from 'tarspout'
import {
  archiveSize,
  Cat,
  fifoFor,
  HeldReader,
  outcome,
  pattern,
  readArchive,
  runScript,
  spoutFor,
  standInFor,
  until,
  wholeOf,
} from '../support/spout.js'
import { type FinishedCommit, type Generation, generations } from '../support/stand-in.js'
import { hashOf } from '../torture/plan.js'

const nameOf = (item: number) => `item-${String(item).padStart(6, '0')}`
const toEntry = (item: number): RunEntry => ({ name: nameOf(item), data: `body of ${item}` })
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

async function* slowly<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await nextTurn()
    yield item
  }
}

/** A source that tells how far it was pulled and whether it was closed. */
class Watched<T> implements AsyncIterable<T> {
  pulled = 0
  isClosed = false
  constructor(readonly source: Iterable<T> | AsyncIterable<T>) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for await (const item of this.source) {
        this.pulled++
        yield item
      }
    } finally {
      this.isClosed = true
    }
  }
}

const never = <T>(...first: T[]): AsyncIterable<T> => ({
  [Symbol.asyncIterator]() {
    const items = first.values()
    return {
      next() {
        const step = items.next()
        return step.done ? new Promise<never>(() => {}) : Promise.resolve(step)
      },
    }
  },
})

/** What onDelivered was told. */
class Acknowledged<T> {
  readonly archives: T[][] = []
  readonly receipts: Receipt[] = []
  readonly onDelivered = (items: T[], receipt: Receipt): void => {
    this.archives.push(items)
    this.receipts.push(receipt)
  }

  get items(): T[] {
    return this.archives.flat()
  }
}

const namesIn = (commits: readonly FinishedCommit[]) =>
  wholeOf(commits).map(({ entries }) => entries.map(({ name }) => name))

/** A spout with a reader of a generation. finish() closes it and gives the reader's commits. */
async function sent(
  t: ExecutionContext,
  options: Parameters<typeof spoutFor>[2] = {},
  generation: Generation = 'C',
) {
  const fifo = fifoFor(t)
  const reader = standInFor(t, fifo, generation)
  const spout = await spoutFor(t, fifo, { connection: 'persistent', ...options })
  const finish = async () => {
    await spout.close()
    return reader.stop()
  }
  return { fifo, reader, spout, finish }
}

for (const generation of generations) {
  for (const connection of ['per-archive', 'persistent'] as const) {
    for (const confirm of ['read', 'committed'] as const) {
      test(`${generation}, ${connection}, ${confirm}: every item is committed and acknowledged once, in order`, async (t) => {
        const { spout, finish } = await sent(t, { connection, confirm }, generation)
        const told = new Acknowledged<number>()
        const items = upTo(45)
        for (const [round, source] of [items, slowly(items)].entries()) {
          const summary = await spout.run(source, {
            toEntry: (item) => toEntry(item + round * 45),
            maxEntries: 7,
            maxDelayMs: 10_000,
            onDelivered: told.onDelivered,
          })
          const receipts = told.receipts.slice(round * 7)
          const bytes = receipts.reduce((sum, receipt) => sum + receipt.bytes, 0)
          t.deepEqual(summary, { archives: 7, entries: 45, bytes, items: 45 })
          t.true(receipts.every((receipt) => receipt.confirmed === confirm))
        }
        t.deepEqual(told.items, [...items, ...items])
        t.deepEqual(
          told.archives.map(({ length }) => length),
          [7, 7, 7, 7, 7, 7, 3, 7, 7, 7, 7, 7, 7, 3],
        )
        t.deepEqual(
          told.receipts.map(({ archive }) => archive),
          upTo(14).map((i) => i + 1),
        )
        if (generation === 'C') t.true(told.receipts.every(({ attempts }) => attempts === 1))
        const commits = await finish()
        const all = upTo(90).map(nameOf)
        t.deepEqual(
          namesIn(commits),
          told.archives.map(({ length }) => all.splice(0, length)),
        )
        for (const { name, hash } of wholeOf(commits).flatMap(({ entries }) => entries)) {
          t.is(hash, hashOf(Buffer.from(`body of ${Number(name.slice(5))}`)))
        }
      })
    }
  }
}

test('maxBytes ends an archive with the entry that reaches it, header and padding counted', async (t) => {
  const { spout, finish } = await sent(t)
  const told = new Acknowledged<number>()
  const size = 1000
  const options = { toEntry: (item: number) => ({ name: nameOf(item), data: pattern(size) }) }
  const three = archiveSize(size, size, size)
  for (const [maxBytes, length] of [
    [three - 1, 3],
    [three, 3],
    [three + 1, 4],
    [1, 1],
  ] as const) {
    told.archives.length = 0
    await spout.run(upTo(12), {
      ...options,
      maxBytes,
      maxDelayMs: 10_000,
      onDelivered: told.onDelivered,
    })
    t.deepEqual(
      told.archives.map((items) => items.length),
      Array(12 / length).fill(length),
      `${maxBytes}`,
    )
  }
  await finish()
})

test('maxDelayMs ends an archive whose source waits for the acknowledgement', async (t) => {
  const { spout, finish } = await sent(t)
  let acknowledged = (): void => {}
  async function* source() {
    for (let item = 0; item < 4; item++) {
      const wait = new Promise<void>((resolve) => {
        acknowledged = resolve
      })
      yield item
      await wait
    }
  }
  const began = performance.now()
  const summary = await spout.run(source(), {
    toEntry,
    maxDelayMs: 20,
    onDelivered: () => acknowledged(),
  })
  t.is(summary.archives, 4)
  t.true(performance.now() - began >= 4 * 19)
  t.is(namesIn(await finish()).length, 4)
})

test('maxDelayMs counts from the first item of an archive', async (t) => {
  const { spout } = await sent(t)
  const arrived: number[] = []
  const delays: number[] = []
  async function* source() {
    for (let item = 0; item < 30; item++) {
      await delay(5)
      arrived.push(performance.now())
      yield item
    }
  }
  await spout.run(source(), {
    toEntry,
    maxDelayMs: 40,
    onDelivered: (items) => {
      delays.push(performance.now() - (arrived[items[0] as number] as number))
    },
  })
  t.true(delays.length >= 2, `${delays}`)
  for (const ms of delays.slice(0, -1)) t.true(ms >= 39, `${delays}`)
})

for (const maxDelayMs of [Number.POSITIVE_INFINITY, 2 ** 31, 1e12]) {
  test(`maxDelayMs ${maxDelayMs} never ends an archive`, async (t) => {
    const { spout } = await sent(t)
    async function* source() {
      for (let item = 0; item < 5; item++) {
        await delay(5)
        yield item
      }
    }
    t.is((await spout.run(source(), { toEntry, maxDelayMs })).archives, 1)
  })
}

test('an item without an entry is acknowledged with its archive, or by itself', async (t) => {
  const { spout, finish } = await sent(t)
  const told = new Acknowledged<number>()
  const options = { maxEntries: 3, maxDelayMs: 10_000, onDelivered: told.onDelivered }
  const summary = await spout.run(upTo(8), {
    ...options,
    toEntry: (item) => (item < 3 || item % 2 === 0 ? null : toEntry(item)),
  })
  t.deepEqual(told.archives, [
    [0, 1, 2],
    [3, 4, 5],
    [6, 7],
  ])
  t.deepEqual(
    told.receipts.map(({ archive, entries, bytes }) => [archive, entries, bytes]),
    [
      [0, 0, 0],
      [1, 2, archiveSize(9, 9)],
      [2, 1, archiveSize(9)],
    ],
  )
  t.deepEqual(summary, { archives: 2, entries: 3, bytes: archiveSize(9, 9, 9) + 1024, items: 8 })
  const { bytesWritten } = spout.stats()
  await spout.run(upTo(5), { ...options, toEntry: () => null })
  t.is(spout.stats().bytesWritten, bytesWritten)
  t.deepEqual(told.items, [...upTo(8), ...upTo(5)])
  t.deepEqual(namesIn(await finish()), [[nameOf(3), nameOf(5)], [nameOf(7)]])
})

// ---- refused entries ----

async function* failing(): AsyncGenerator<string> {
  yield 'x'
  await delay(10)
  throw new Error('body')
}

/** Entries that are refused, and how. */
const REFUSED: Record<string, [entry: (item: number) => RunEntry, code: string]> = {
  'a name': [(item) => ({ ...toEntry(item), name: 'a*' }), 'ERR_TAR_NAME'],
  'a size': [(item) => ({ ...toEntry(item), size: 1 }), 'ERR_TAR_SIZE'],
  'a body': [(item) => ({ ...toEntry(item), data: 5 as unknown as Body }), 'TypeError'],
  'a field': [(item) => ({ ...toEntry(item), uid: -1 }), 'ERR_TAR_FIELD'],
  'a field that does not exist': [
    (item) => ({ ...toEntry(item), modes: 1 }) as RunEntry,
    'TypeError',
  ],
  'a number': [() => 5 as unknown as RunEntry, 'TypeError'],
  'a gathered body': [(item) => ({ ...toEntry(item), data: failing() }), 'ERR_TAR_BODY'],
}
/** When the archive of the refused entry ends. */
const LIMITS: Record<string, Partial<RunOptions<number>>> = {
  'in the middle of an archive': { maxEntries: 100, maxDelayMs: 10_000 },
  'as the last of an archive': { maxEntries: 5, maxDelayMs: 10_000 },
  'alone in an archive': { maxEntries: 1, maxDelayMs: 10_000 },
  'as the archive is overdue': { maxEntries: 100, maxDelayMs: 2 },
}

for (const [where, limits] of Object.entries(LIMITS)) {
  test(`a refused entry ${where} goes to onRejected, and all others are committed`, async (t) => {
    const { spout, finish } = await sent(t)
    const kinds = Object.values(REFUSED)
    // Every fifth item is refused.
    const isRefused = (item: number) => item % 5 === 4
    const count = kinds.length * 5
    const told = new Acknowledged<number>()
    const rejected: [number, string][] = []
    await spout.run(slowly(upTo(count)), {
      ...limits,
      toEntry: (item) =>
        isRefused(item) ? (kinds[Math.floor(item / 5)]?.[0](item) ?? null) : toEntry(item),
      onDelivered: told.onDelivered,
      onRejected: (item, error) => {
        rejected.push([item, (error as { code?: string }).code ?? (error as Error).name])
      },
    })
    t.deepEqual(
      rejected,
      kinds.map(([, code], i) => [i * 5 + 4, code]),
    )
    const good = upTo(count).filter((item) => !isRefused(item))
    t.deepEqual(told.items, good)
    t.deepEqual(namesIn(await finish()).flat(), good.map(nameOf))
  })

  for (const [what, [entry, code]] of Object.entries(REFUSED)) {
    test(`${what} refused ${where}, without onRejected: run() rejects once the items before it are acknowledged`, async (t) => {
      const { spout, finish } = await sent(t)
      const told = new Acknowledged<number>()
      const source = new Watched(slowly(upTo(20)))
      const ran = outcome(() =>
        spout.run(source, {
          ...limits,
          toEntry: (item) => (item === 4 ? entry(item) : toEntry(item)),
          onDelivered: told.onDelivered,
        }),
      )
      t.is(await ran, code)
      t.deepEqual(told.items, [0, 1, 2, 3])
      t.is(source.pulled, 5)
      await until('the source is closed', () => source.isClosed)
      t.deepEqual(namesIn(await finish()).flat(), [0, 1, 2, 3].map(nameOf))
    })
  }
}

test('an archive of which every entry was refused is not sent, its other items are acknowledged', async (t) => {
  const { spout, finish } = await sent(t)
  const told = new Acknowledged<number>()
  await spout.run(upTo(3), {
    toEntry: (item) => (item === 0 ? { name: '*' } : null),
    onRejected: () => {},
    onDelivered: told.onDelivered,
  })
  t.deepEqual(told.archives, [[1, 2]])
  t.is(told.receipts[0]?.archive, 0)
  t.is(spout.stats().bytesWritten, 0)
  t.deepEqual(await finish(), [])
})

test('what onRejected throws ends the run as the refused entry would', async (t) => {
  const { spout, finish } = await sent(t)
  const told = new Acknowledged<number>()
  const error = new Error('from onRejected')
  const ran = spout.run(upTo(5), {
    toEntry: (item) => (item === 3 ? { name: '*' } : toEntry(item)),
    onRejected: () => {
      throw error
    },
    onDelivered: told.onDelivered,
  })
  t.is(await t.throwsAsync(ran), error)
  t.deepEqual(told.items, [0, 1, 2])
  t.deepEqual(namesIn(await finish()).flat(), [0, 1, 2].map(nameOf))
})

// ---- the rows of RunOptions' table ----

function* thenThrow(count: number, error: Error) {
  yield* upTo(count)
  throw error
}

for (const generation of generations) {
  for (const kind of ['sync', 'async'] as const) {
    test(`${generation}: a ${kind} source that throws: what came before it is sent and acknowledged`, async (t) => {
      const { spout, finish } = await sent(t, {}, generation)
      const told = new Acknowledged<number>()
      const error = new Error('source')
      const source = thenThrow(10, error)
      const ran = spout.run(kind === 'sync' ? source : slowly(source), {
        toEntry,
        maxEntries: 4,
        onDelivered: told.onDelivered,
      })
      t.is(await t.throwsAsync(ran), error)
      t.deepEqual(told.items, upTo(10))
      t.deepEqual(namesIn(await finish()).flat(), upTo(10).map(nameOf))
    })
  }
}

test('toEntry() throws: what came before it is sent and acknowledged, the source is closed', async (t) => {
  for (const isAsync of [false, true]) {
    const { spout, finish } = await sent(t)
    const told = new Acknowledged<number>()
    const error = new Error('toEntry')
    let isClosed = false
    function* source() {
      try {
        yield* upTo(20)
      } finally {
        isClosed = true
      }
    }
    const ran = spout.run(isAsync ? slowly(source()) : source(), {
      toEntry: (item) => {
        if (item === 10) throw error
        return toEntry(item)
      },
      maxEntries: 4,
      maxDelayMs: 10_000,
      onDelivered: told.onDelivered,
      onRejected: () => t.fail(),
    })
    t.is(await t.throwsAsync(ran), error)
    await until('the source is closed', () => isClosed)
    t.deepEqual(told.items, upTo(10))
    t.deepEqual(namesIn(await finish()).flat(), upTo(10).map(nameOf))
  }
})

test('an archive fails without a reader: nothing is acknowledged, nothing told to onRejected, the spout goes on', async (t) => {
  for (const bytes of [10, 100_000]) {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo, { readerTimeoutMs: 50, highWaterMark: 65_536 })
    const source = new Watched(slowly(upTo(1_000_000)))
    const told = new Acknowledged<number>()
    const ran = outcome(() =>
      spout.run(source, {
        toEntry: (item) => ({ name: nameOf(item), data: pattern(bytes) }),
        maxEntries: 50,
        maxDelayMs: 10_000,
        onDelivered: told.onDelivered,
        onRejected: (item) => t.fail(`${item}`),
      }),
    )
    t.is(await ran, 'ERR_FIFO_NO_READER')
    await until('the source is closed', () => source.isClosed)
    t.deepEqual(told.items, [])
    const reader = standInFor(t, fifo, 'C')
    await reader.event('opening')
    const next = spout.beginCommit()
    next.add('next', 'next')
    await next.end()
    await spout.close()
    t.deepEqual(namesIn(await reader.stop()), [['next']])
  }
})

test('an archive fails after others: those before it are acknowledged, none after it', async (t) => {
  const fifo = fifoFor(t)
  const reader = new HeldReader(t, fifo.path)
  const spout = await spoutFor(t, fifo, { readerTimeoutMs: 50, connection: 'persistent' })
  const told = new Acknowledged<number>()
  const ran = spout.run(never(0, 1, 2, 3, 4, 5), {
    toEntry,
    maxEntries: 2,
    onDelivered: (items, receipt) => {
      told.onDelivered(items, receipt)
      reader.close()
    },
  })
  const first = await reader.take(archiveSize(9, 9))
  t.is(await outcome(() => ran), 'ERR_FIFO_NO_READER')
  t.deepEqual(told.archives, [[0, 1]])
  t.deepEqual(
    (await readArchive(first)).map(({ name }) => name),
    [nameOf(0), nameOf(1)],
  )
})

for (const how of ['throws', 'rejects'] as const) {
  test(`onDelivered ${how}: no archive after it is acknowledged, the source is closed, the spout goes on`, async (t) => {
    const { spout, finish } = await sent(t)
    const error = new Error('onDelivered')
    const told: number[][] = []
    const source = new Watched(slowly(upTo(1_000_000)))
    const ran = spout.run(source, {
      toEntry,
      maxEntries: 3,
      maxDelayMs: 10_000,
      onDelivered: (items) => {
        told.push(items)
        if (items[0] !== 6) return undefined
        if (how === 'throws') throw error
        return Promise.reject(error)
      },
    })
    t.is(await t.throwsAsync(ran), error)
    await until('the source is closed', () => source.isClosed)
    const next = spout.beginCommit()
    next.add('next', 'next')
    await next.end()
    const names = namesIn(await finish()).flat()
    t.deepEqual(told, [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7, 8],
    ])
    t.deepEqual(names.slice(0, 9), upTo(9).map(nameOf))
    t.is(names.at(-1), 'next')
  })
}

test('onDelivered is awaited: the next call comes after it', async (t) => {
  const { spout } = await sent(t)
  let running = 0
  const order: number[] = []
  await spout.run(upTo(20), {
    toEntry,
    maxEntries: 1,
    onDelivered: async ([item]) => {
      t.is(++running, 1)
      await delay((item as number) % 3)
      order.push(item as number)
      running--
    },
  })
  t.deepEqual(order, upTo(20))
})

const ABORTS: Record<
  string,
  (spout: Spout, end: AbortController) => [code: string, closed: unknown]
> = {
  'its signal aborts': (_, end) => ['AbortError', end.abort('enough')],
  'its spout is closed': (spout) => ['ERR_STATE', spout.close().catch(() => {})],
}
for (const [what, stop] of Object.entries(ABORTS)) {
  test(`${what} while the source never answers: run() ends at once, with the open archive unsent`, async (t) => {
    const end = new AbortController()
    const { spout, fifo, reader } = await sent(t, { signal: end.signal })
    const told = new Acknowledged<number>()
    let isReady = (): void => {}
    const ready = new Promise<void>((resolve) => {
      isReady = resolve
    })
    const ran = spout.run(never(0, 1, 2, 3, 4), {
      toEntry,
      maxEntries: 2,
      maxDelayMs: 10_000,
      onDelivered: (items, receipt) => {
        told.onDelivered(items, receipt)
        if (told.archives.length === 2) isReady()
      },
    })
    const code = outcome(() => ran)
    await ready
    const [expected, closed] = stop(spout, end)
    t.is(await code, expected)
    if (expected === 'AbortError') t.is((await t.throwsAsync(ran))?.cause, 'enough')
    await closed
    await spout.close()
    t.deepEqual(told.items, upTo(4))
    t.deepEqual(namesIn(await reader.stop()).flat(), upTo(4).map(nameOf), fifo.path)
  })

  test(`${what} with a stalled reader: run() ends at once, nothing unread is acknowledged, the source is closed`, async (t) => {
    const end = new AbortController()
    const fifo = fifoFor(t)
    const reader = new HeldReader(t, fifo.path)
    const spout = await spoutFor(t, fifo, {
      signal: end.signal,
      highWaterMark: 65_536,
      connection: 'persistent',
    })
    const told = new Acknowledged<number>()
    const source = new Watched(slowly(upTo(1_000_000)))
    const ran = outcome(() =>
      spout.run(source, {
        toEntry,
        maxEntries: 10,
        maxDelayMs: 10_000,
        onDelivered: told.onDelivered,
      }),
    )
    const archive = archiveSize(...upTo(10).map((item) => `body of ${item}`.length))
    await reader.take(archive)
    await until('it is acknowledged', () => told.archives.length === 1)
    await until('the queue is full', () => spout.stats().bytesQueued >= 65_536)
    const [expected] = stop(spout, end)
    t.is(await ran, expected)
    await until('the source is closed', () => source.isClosed)
    t.deepEqual(told.items, upTo(10))
    reader.close()
  })
}

test('a signal that had aborted, a closed spout and an open commit refuse a run whose source never answers', async (t) => {
  const run = (spout: Spout) => outcome(() => spout.run(never(), { toEntry: () => null }))
  const end = new AbortController()
  const aborted = await spoutFor(t, fifoFor(t), { signal: end.signal })
  end.abort()
  t.is(await run(aborted), 'AbortError')
  const closed = await spoutFor(t, fifoFor(t))
  await closed.close()
  t.is(await run(closed), 'ERR_STATE')
  const busy = await spoutFor(t, fifoFor(t))
  const commit = busy.beginCommit()
  t.is(await run(busy), 'ERR_STATE')
  commit.abort()
  const running = run(busy)
  t.is(await run(busy), 'ERR_STATE')
  t.is(await outcome(() => busy.beginCommit()), 'ERR_STATE')
  await busy.close()
  t.is(await running, 'ERR_STATE')
})

test('a source that never answers is not asked to close; one that answers late is', async (t) => {
  for (const answersLate of [false, true]) {
    const { spout, finish } = await sent(t)
    let returns = 0
    let answer: (step: IteratorResult<number>) => void = () => {}
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((resolve) => {
            answer = resolve
          }),
        return: async () => {
          returns++
          return { done: true, value: undefined }
        },
      }),
    }
    const ran = outcome(() => spout.run(source, { toEntry }))
    await nextTurn()
    await finish()
    t.is(await ran, 'ERR_STATE')
    if (answersLate) {
      answer({ value: 1 })
      await nextTurn()
    }
    t.is(returns, answersLate ? 1 : 0)
  }
})

test('what a source throws when it is closed does not hide why the run ended', async (t) => {
  const { spout } = await sent(t)
  const error = new Error('toEntry')
  const refusing = {
    next: () => ({ value: 1, done: false as const }),
    return: () => {
      throw new Error('from return()')
    },
  }
  for (const source of [
    { [Symbol.iterator]: () => refusing },
    { [Symbol.asyncIterator]: () => ({ ...refusing, next: async () => refusing.next() }) },
  ]) {
    const ran = spout.run(source as Iterable<number>, {
      toEntry: () => {
        throw error
      },
    })
    t.is(await t.throwsAsync(ran), error)
  }
})

test('a run that was aborted while its source owes an answer lets the process end', async (t) => {
  const fifo = fifoFor(t)
  const script = `
    import { openSpout } from 'tarspout'
    const end = new AbortController()
    const spout = await openSpout({ path: process.argv[1], signal: end.signal })
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }
    const ran = spout.run(never, { toEntry: () => null })
    setTimeout(() => end.abort(), 20)
    await ran.catch((error) => console.log(error.name))`
  const { exited, output } = runScript(script, {}, fifo.path)
  t.deepEqual(await exited, [0, null])
  t.is(await output, 'AbortError\n')
})

// ---- pressure ----

for (const hasReader of [false, true]) {
  for (const maxEntries of [1, 1_000_000]) {
    for (const kind of ['sync', 'async'] as const) {
      test(`with ${hasReader ? 'a stalled' : 'no'} reader a ${kind} source is pulled to highWaterMark and no further, ${maxEntries} an archive`, async (t) => {
        const fifo = fifoFor(t)
        if (hasReader) new HeldReader(t, fifo.path)
        const highWaterMark = 200_000
        const spout = await spoutFor(t, fifo, {
          highWaterMark,
          pipeSize: 65_536,
          connection: 'persistent',
        })
        let pulled = 0
        function* source() {
          for (;;) yield pulled++
        }
        const each = archiveSize(4000) - (maxEntries === 1 ? 0 : 1024)
        const ran = spout.run(kind === 'sync' ? source() : slowly(source()), {
          toEntry: (item) => ({ name: nameOf(item), data: pattern(4000) }),
          maxEntries,
          maxBytes: Number.POSITIVE_INFINITY,
          maxDelayMs: 10_000,
        })
        ran.catch(() => {})
        await until('the queue is full', () => spout.stats().bytesQueued >= highWaterMark)
        await delay(30)
        const most = Math.ceil((highWaterMark + spout.stats().pipeCapacity) / each) + 1
        t.true(pulled <= most, `${pulled} items of ${each} bytes pulled, at most ${most}`)
        t.true(pulled * each >= highWaterMark, `${pulled} items pulled`)
      })
    }
  }
}

test('a slow onDelivered holds up the source, and an abort ends that', async (t) => {
  const end = new AbortController()
  const { spout } = await sent(t, { signal: end.signal })
  const source = new Watched(upTo(100_000))
  const ran = outcome(() =>
    spout.run(source, { toEntry, maxEntries: 1, onDelivered: () => new Promise(() => {}) }),
  )
  await until('archives wait', () => spout.stats().archivesDelivered >= 1000)
  await delay(30)
  t.true(source.pulled <= 1025, `${source.pulled}`)
  end.abort()
  t.is(await ran, 'AbortError')
  await until('the source is closed', () => source.isClosed)
})

test('a source that never waits leaves the event loop its turns', async (t) => {
  const spout = await spoutFor(t, fifoFor(t), {})
  let isOver = false
  let pulled = 0
  // Nothing to write: no wait for room gives the loop its turns.
  const toEntry = () => {
    pulled++
    return null
  }
  const ran = spout.run(upTo(1_000_000), { toEntry }).finally(() => {
    isOver = true
  })
  const seen = new Set<number>() // how far the source was, turn by turn
  for (; !isOver; await nextTurn()) seen.add(pulled)
  await ran
  await spout.close()
  t.true(seen.size > 5, `${seen.size} turns`)
})

test('sourceWaitMs is the time the source took, and no more', async (t) => {
  const { spout } = await sent(t)
  const began = performance.now()
  async function* source() {
    for (let item = 0; item < 4; item++) {
      await delay(20)
      yield item
    }
  }
  await spout.run(source(), { toEntry, maxEntries: 1, onDelivered: () => delay(30) })
  const elapsed = performance.now() - began
  const { sourceWaitMs } = spout.stats()
  t.true(sourceWaitMs >= 4 * 19 && sourceWaitMs < elapsed - 25, `${sourceWaitMs} of ${elapsed} ms`)
  await spout.run(upTo(100), { toEntry })
  t.is(spout.stats().sourceWaitMs, sourceWaitMs)
})

test('a source that answers at once is not waited for', async (t) => {
  const { spout } = await sent(t)
  async function* source() {
    yield* upTo(5000)
  }
  await spout.run(source(), { toEntry })
  t.is(spout.stats().sourceWaitMs, 0)
})

test('fields beside name and data are the options of add()', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo)
  const cat = new Cat(t, fifo.path)
  const mtime = new Date(1_700_000_000_000)
  const items: RunEntry[] = [
    { name: 'a', data: 'xy', size: 2, mode: 0o640, mtime, uid: 1, gid: 2 },
    { name: 'b', data: 'z', mode: 0o644, uname: 'someone', pax: { comment: 'c' } },
  ]
  await spout.run(items, { toEntry: (item) => item })
  await spout.close()
  const [a, b] = await readArchive(await cat.bytes)
  t.like(a, { name: 'a', header: { size: 2, mode: 0o640, mtime, uid: 1, gid: 2 } })
  t.like(b, {
    name: 'b',
    header: { size: 1, mode: 0o644, uname: 'someone', pax: { comment: 'c' } },
  })
})
