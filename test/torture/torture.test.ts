import test from 'ava'
import { hasGo } from '../support/stand-in.js'
import { brokenPromises } from './judge.js'
import { runRow } from './row.js'
import { allowances, type Row, rows, titleOf } from './rows.js'

// The short form of `npm run torture`: every reader, connection and confirm against the faults that
// cost archives.
const short: readonly [fault: string, archives: number][] = [
  ['none', 20],
  ['finishes in 0 to 20 ms', 20],
  ['closes often, reopens at once', 12],
  ['closes, reopens in 20 ms', 20],
  ['small archives 2 ms apart, closes, reopens at once', 60],
  ['many small entries, closes, reopens at once', 20],
  ['mapped, many small entries, closes, reopens at once', 20],
  ['closes, comes back from errors in 1 ms', 20],
  ['killed at a byte', 20],
  ['killed while finishing', 20],
  ['prober each 400 ms, slow reads', 12],
  ['writer killed', 20],
]

const isGo = ({ reader }: Row) => reader.startsWith('Go')
const pick = (fault: string, writer: Row['writer'], go = false) =>
  rows.filter((row) => row.writer === writer && row.fault.name === fault && isGo(row) === go)

const cases = short.map(([fault, archives]) => ({
  fault,
  archives,
  chosen: pick(fault, 'tarspout'),
}))
if (hasGo) {
  for (const fault of ['none', 'writer killed']) {
    cases.push({
      fault: `${fault}, Go's archive/tar`,
      archives: 12,
      chosen: pick(fault, 'tarspout', true),
    })
  }
}

for (const { fault, archives, chosen } of cases) {
  // One test per fault, its rows two at a time: a row mostly waits.
  test.serial(`a spout loses, mixes and corrupts nothing: ${fault}`, async (t) => {
    t.timeout(120_000)
    t.is(chosen.length, 12, 'three readers, two connections, two strengths of confirmation')
    const queue = [...chosen]
    const work = async () => {
      for (let row = queue.shift(); row; row = queue.shift()) {
        const result = await runRow(row, {
          archives,
          seed: 3,
          limits: { maxBytes: 200_000 },
          limitMs: 60_000,
        })
        t.deepEqual(
          brokenPromises(result, allowances(row)),
          [],
          `${titleOf(row)}\n${result.complaints}`,
        )
        t.is(result.delivered, archives, titleOf(row))
      }
    }
    await Promise.all([work(), work()])
  })
}

test.serial('the harness sees a stream per archive lose data without an error', async (t) => {
  const [row] = pick('small archives 20 ms apart, finishes in 50 ms', 'createWriteStream')
  t.is(row?.reader, 'A')
  if (!row) return
  const { delivered, lost, entriesLost } = await runRow(row, {
    archives: 20,
    seed: 3,
    limitMs: 60_000,
  })
  t.is(delivered, 20)
  t.true(lost > 0 && entriesLost >= lost)
})

test.serial('the harness sees faults strike', async (t) => {
  for (const fault of [
    'closes often, reopens at once',
    'killed while finishing',
    'prober each 0.3 ms',
    'writer killed',
  ]) {
    const [row] = pick(fault, 'createWriteStream')
    t.truthy(row)
    if (!row) return
    const { strikes } = await runRow(row, { archives: 60, seed: 3, limitMs: 60_000 })
    t.true(strikes > 0, fault)
  }
})
