import test from 'ava'
import { brokenPromises, judge, type LoggedCommit, type Told, type Verdict } from './judge.js'
import { hashOf, Plan } from './plan.js'

const plan = new Plan(7, { maxEntries: 6, maxBytes: 3000 })
const archives = 5

const commitOf = (archive: number): LoggedCommit => ({
  entries: plan
    .archive(archive)
    .map((entry) => ({ name: entry.name, size: entry.size, hash: plan.hash(entry) })),
  complete: true,
})
const deliveredAll = (attempts = 1): Told[] =>
  Array.from({ length: archives }, (_, archive) => ({ archive, outcome: 'delivered', attempts }))
const commitsAll = (): LoggedCommit[] =>
  Array.from({ length: archives }, (_, archive) => commitOf(archive))
const clean: Verdict = {
  ...{
    delivered: archives,
    rejected: 0,
    untold: 0,
    lost: 0,
    entriesLost: 0,
    corrupt: 0,
    mixed: 0,
    disordered: 0,
  },
  ...{
    duplicates: 0,
    partial: 0,
    corruptInPartial: 0,
    fragments: 0,
    empty: 0,
    attemptsMean: 1,
    attemptsMax: 1,
  },
}
const big = Array.from({ length: archives }, (_, archive) => archive).find(
  (archive) => plan.archive(archive).length >= 3,
)
const entriesOf = (archive: number) => commitOf(archive).entries

/** What differs from a clean verdict. */
function difference(told: readonly Told[], commits: readonly LoggedCommit[]): Partial<Verdict> {
  const verdict = judge(plan, archives, told, commits)
  return Object.fromEntries(
    Object.entries(verdict).filter(([name, value]) => value !== clean[name as keyof Verdict]),
  )
}
const replaced = (archive: number, ...commits: LoggedCommit[]) =>
  commitsAll().toSpliced(archive, 1, ...commits)

test('everything delivered and committed once is a clean verdict', (t) => {
  t.deepEqual(judge(plan, archives, deliveredAll(), commitsAll()), clean)
})

test('an archive told delivered without a commit is lost with its entries', (t) => {
  t.deepEqual(difference(deliveredAll(), replaced(2)), {
    lost: 1,
    entriesLost: plan.archive(2).length,
  })
})

test('an archive rejected or untold is not lost', (t) => {
  const told = deliveredAll().slice(0, 4)
  t.deepEqual(difference(told, replaced(4)), { delivered: 4, untold: 1 })
  const rejected: Told[] = [...told, { archive: 4, outcome: 'rejected', attempts: 0 }]
  t.deepEqual(difference(rejected, replaced(4)), { delivered: 4, rejected: 1 })
})

test('an archive rejected to a killed writer and delivered by the next is delivered', (t) => {
  t.deepEqual(
    difference([{ archive: 4, outcome: 'rejected', attempts: 0 }, ...deliveredAll()], commitsAll()),
    {},
  )
})

test('an entry whose bytes or size differ is corrupt, and its archive lost', (t) => {
  const archive = big ?? 0
  const [first, ...rest] = entriesOf(archive)
  t.truthy(first)
  for (const wrong of [{ hash: 'deadbeef' }, { size: 12345 }]) {
    const commit = {
      entries: [{ name: '', size: 0, hash: '', ...first, ...wrong }, ...rest],
      complete: true,
    }
    t.deepEqual(difference(deliveredAll(), replaced(archive, commit)), {
      ...{ corrupt: 1, lost: 1, entriesLost: 1, fragments: 1 },
    })
  }
})

test('an entry that was never sent is corrupt', (t) => {
  for (const name of ['stray', 'a2-e99', `a${archives}-e0`]) {
    const commit = { entries: [{ name, size: 0, hash: hashOf(new Uint8Array(0)) }], complete: true }
    t.is(difference(deliveredAll(), [...commitsAll(), commit]).corrupt, 1, name)
  }
})

test('a commit with entries of two archives is mixed, and neither is whole by it', (t) => {
  const both = { entries: [...entriesOf(1), ...entriesOf(2)], complete: true }
  t.deepEqual(difference(deliveredAll(), [commitOf(0), both, commitOf(3), commitOf(4)]), {
    ...{ mixed: 1, fragments: 1, lost: 2 },
  })
})

test('order is judged by the last commit of each archive', (t) => {
  const [a, b, c, d, e] = commitsAll() as [
    LoggedCommit,
    LoggedCommit,
    LoggedCommit,
    LoggedCommit,
    LoggedCommit,
  ]
  t.deepEqual(difference(deliveredAll(), [a, b, c, b, c, d, e]), { duplicates: 2 })
  t.deepEqual(difference(deliveredAll(), [a, b, c, b, d, e]), { duplicates: 1, disordered: 1 })
  t.deepEqual(difference(deliveredAll(), [a, c, b, d, e]), { disordered: 1 })
})

test('a late part of an older archive is out of order too', (t) => {
  const part = { entries: entriesOf(0).slice(0, 1), complete: false }
  t.deepEqual(difference(deliveredAll(), [...commitsAll(), part]), {
    partial: 1,
    disordered: archives - 1,
  })
})

test('an entry cut short is in order in a partial commit only, and only as a true beginning', (t) => {
  const archive = big ?? 0
  const planned = plan.archive(archive).find(({ size }) => size > 10)
  t.truthy(planned)
  if (!planned) return
  const cut = { name: planned.name, size: 10, declared: planned.size, hash: plan.hash(planned, 10) }
  const before = (entry: typeof cut, complete: boolean) =>
    difference(deliveredAll(), replaced(archive, { entries: [entry], complete }, commitOf(archive)))
  t.deepEqual(before(cut, false), { partial: 1 })
  t.deepEqual(before({ ...cut, hash: 'deadbeef' }, false), { partial: 1, corruptInPartial: 1 })
  t.deepEqual(before(cut, true), { corrupt: 1, fragments: 1 })
})

test('a whole archive in a partial commit is not delivered by it', (t) => {
  const partial = { ...commitOf(3), complete: false }
  t.deepEqual(difference(deliveredAll(), replaced(3, partial)), {
    ...{ partial: 1, lost: 1, entriesLost: plan.archive(3).length },
  })
})

test('a part that looks whole is a fragment, and two of them do not make an archive', (t) => {
  const archive = big ?? 0
  const entries = entriesOf(archive)
  const halves = [entries.slice(0, 1), entries.slice(1)].map((part) => ({
    entries: part,
    complete: true,
  }))
  t.deepEqual(difference(deliveredAll(), replaced(archive, ...halves)), { fragments: 2, lost: 1 })
})

test('a commit without entries is empty', (t) => {
  t.deepEqual(difference(deliveredAll(), [{ entries: [], complete: true }, ...commitsAll()]), {
    empty: 1,
  })
  t.deepEqual(difference(deliveredAll(), [{ entries: [], complete: false }, ...commitsAll()]), {
    partial: 1,
  })
})

test('attempts are counted over what was delivered', (t) => {
  const told = deliveredAll().with(1, { archive: 1, outcome: 'delivered', attempts: 6 })
  t.deepEqual(difference(told, commitsAll()), { attemptsMean: 2, attemptsMax: 6 })
})

test('each promise counts when broken, unless the row may show it', (t) => {
  const all = { mayLose: true, mayReject: true }
  const none = { mayLose: false, mayReject: false }
  for (const name of ['corrupt', 'mixed', 'disordered', 'untold'] as const) {
    t.deepEqual(brokenPromises({ ...clean, [name]: 3 }, all), [`${name} 3`])
  }
  for (const name of ['lost', 'entriesLost', 'rejected'] as const) {
    t.deepEqual(brokenPromises({ ...clean, [name]: 3 }, none), [`${name} 3`])
    t.deepEqual(brokenPromises({ ...clean, [name]: 3 }, all), [])
  }
  t.deepEqual(brokenPromises({ ...clean, rejected: 3 }, { ...none, mayLose: true }), ['rejected 3'])
  t.deepEqual(
    brokenPromises({ ...clean, duplicates: 9, partial: 9, fragments: 9, empty: 9 }, none),
    [],
  )
})

test('a plan repeats by its seed, spreads over its limits, and its bodies differ', (t) => {
  const usual = new Plan(1)
  const entries = Array.from({ length: 300 }, (_, archive) => usual.archive(archive)).flat()
  t.deepEqual(new Plan(1).archive(5), usual.archive(5))
  t.notDeepEqual(new Plan(2).archive(5), usual.archive(5))
  const counts = new Set(
    Array.from({ length: 1000 }, (_, archive) => usual.archive(archive).length),
  )
  t.deepEqual([Math.min(...counts), Math.max(...counts)], [1, 50])
  const sizes = entries.map(({ size }) => size)
  t.is(Math.min(...sizes), 0)
  t.true(Math.max(...sizes) > 900_000)
  t.true(sizes.includes(511) && sizes.includes(512) && sizes.includes(513))
  t.true(entries.some(({ name }) => name.length > 100))
  const mean = sizes.reduce((sum, size) => sum + size, 0) / 300
  t.true(mean > 500_000 && mean < 1_100_000, `${mean}`)
  const bodies = entries.filter(({ size }) => size > 100).map((entry) => usual.hash(entry))
  t.is(new Set(bodies).size, bodies.length)
})
