import test from 'ava'
import { Pending } from '../../dist/spout/pending.js'

test('who waits is found by the number of his archive, once, in any order, however many came before', (t) => {
  const pending = new Pending<string>()
  let first = 1
  for (const many of [1, 7, 1000, 3000]) {
    const numbers = Array.from({ length: many }, (_, i) => pending.add(`waits for ${first + i}`))
    t.deepEqual(
      numbers,
      Array.from({ length: many }, (_, i) => first + i),
    )
    first += many
    t.deepEqual(pending.archives(), numbers)
    // Every third is taken back before the others end, the first one last.
    for (const taken of [
      numbers.filter((n) => n % 3 === 0),
      numbers.filter((n) => n % 3 !== 0).reverse(),
    ]) {
      for (const number of taken) t.is(pending.take(number), `waits for ${number}`)
    }
    t.is(pending.size, 0)
    t.deepEqual(pending.archives(), [])
    for (const number of [0, ...numbers, first]) t.is(pending.take(number), undefined)
  }
})

test('those who came and went take no memory', (t) => {
  const pending = new Pending<number>()
  const before = process.memoryUsage().heapUsed
  let wrong = 0
  for (let number = 1; number <= 3_000_000; number++) {
    pending.add(number)
    // One of a thousand waits ten times as long.
    if (number > 100 && number % 1000 !== 0 && pending.take(number - 100) !== number - 100) wrong++
    if (number > 1100 && number % 1000 === 0 && pending.take(number - 1100) === undefined) wrong++
  }
  t.is(wrong, 0)
  const grown = process.memoryUsage().heapUsed - before
  t.true(grown < 12e6, `${grown}`)
})
