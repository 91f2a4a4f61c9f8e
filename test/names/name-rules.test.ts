import test from 'ava'
import { checkName, putFlatName } from '../../dist/names/name-rules.js'

const GLOB = '*?[]{}!()@+^'

test('every single character: printable ASCII without slash, dot and globs is a Pachyderm name', (t) => {
  let good = 0
  for (let code = 0; code < 0x180; code++) {
    const character = String.fromCharCode(code)
    const printable = code >= 0x20 && code <= 0x7e
    const allowed = printable && !GLOB.includes(character)
    // Alone, at the start, inside and at the end of a longer name; a dot or slash alone is no name.
    for (const name of [`a${character}b`, `${character}b`, `a/${character}b`, `a${character}`]) {
      const slashed = character === '/' && name !== 'a/b' && name !== 'a//b'
      t.is(checkName(name, 'pachyderm') === undefined, allowed && !slashed, JSON.stringify(name))
    }
    if (allowed) good++
  }
  t.is(good, 95 - GLOB.length)
})

test('what is written as a flat name is one byte a character, a Pachyderm name, and in no folder', (t) => {
  let flat = 0
  for (let code = 0; code < 0x180; code++) {
    const character = String.fromCharCode(code)
    for (const name of [character, `a${character}b`, `${character}b`, `a${character}`]) {
      const target = new Uint8Array(8).fill(0xff)
      if (!putFlatName(name, target, 2)) continue
      flat++
      t.is(checkName(name, 'pachyderm'), undefined, JSON.stringify(name))
      t.false(name.includes('/'))
      t.deepEqual(
        [...target],
        [0xff, 0xff, ...Buffer.from(name), ...new Array(6 - name.length).fill(0xff)],
      )
    }
  }
  t.true(flat > 4 * 62, 'letters and digits, in all four')
  t.false(putFlatName('', new Uint8Array(8), 0))
})

test('a name Pachyderm would refuse or store under another name is told the rule', (t) => {
  const rows: [string, RegExp][] = [
    ['', /empty/],
    ['.', /empty once/],
    ['./', /end in a slash/],
    ['./.', /empty once/],
    ['.//.', /empty once/],
    ['/', /begin with a slash/],
    ['/a', /begin with a slash/],
    ['a/', /end in a slash/],
    ['..', /part \.\./],
    ['../a', /part \.\./],
    ['a/..', /part \.\./],
    ['a/../b', /part \.\./],
    ['a\0', /printable ASCII.*\\u0000.*at 1/],
    ['a\tb', /printable ASCII/],
    ['aé', /printable ASCII.*at 1/],
    ['😀', /printable ASCII/],
    ['me@example.com', /glob.*found @ at 2/],
    ['2020-01-01T00:00:00+02:00', /glob.*found \+ at 19/],
  ]
  for (const [name, rule] of rows)
    t.regex(checkName(name, 'pachyderm') ?? 'no rule', rule, JSON.stringify(name))
})

test('what Pachyderm takes passes', (t) => {
  const names = [
    'a',
    'a/b',
    './a',
    'a//b',
    '.hidden',
    '..a',
    'a..',
    '...',
    'a/.b/c',
    'topic-0-17',
    'a b',
    '~#%&$\\|<>`',
    'x'.repeat(5000),
  ]
  for (const name of names) t.is(checkName(name, 'pachyderm'), undefined, name)
})

test("'tar' refuses only what no tar can hold", (t) => {
  t.regex(checkName('', 'tar') ?? '', /empty/)
  t.regex(checkName('a\0b', 'tar') ?? '', /NUL/)
  for (const name of ['/', '..', 'é', 'a/', '*', '\n']) t.is(checkName(name, 'tar'), undefined)
})

test('a name that is no string is a TypeError', (t) => {
  for (const name of [undefined, null, 5, Buffer.from('a')]) {
    for (const rules of ['pachyderm', 'tar'] as const) {
      t.throws(() => checkName(name as unknown as string, rules), { instanceOf: TypeError })
    }
  }
})

test('a long hostile name is decided in linear time', (t) => {
  const started = performance.now()
  t.truthy(checkName(`${'a/'.repeat(200_000)}*`, 'pachyderm'))
  t.truthy(checkName(`${'a.'.repeat(200_000)}/`, 'pachyderm'))
  t.true(performance.now() - started < 2000)
})
