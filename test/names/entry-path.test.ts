import test from 'ava'
import { cleanPath, isMarkerName, storedPath } from '../../dist/names/entry-path.js'

const cleaned: [name: string, path: string][] = [
  ['a', 'a'],
  ['./a', 'a'],
  ['/a', 'a'],
  ['a//b', 'a/b'],
  ['b/../a', 'a'],
  ['/../a', 'a'],
  ['a b,c~$"\'', 'a b,c~$"\''],
  ['a\\b', 'a\\b'],
  ['.gitignore', '.gitignore'],
  ['git', 'git'],
  [`${'d/'.repeat(1023)}f`, `${'d/'.repeat(1023)}f`],
  ['x'.repeat(255), 'x'.repeat(255)],
]
for (const [name, path] of cleaned) {
  test(`${JSON.stringify(name.slice(0, 20))} (${name.length}) is stored as the cleaned path`, (t) => {
    t.is(storedPath(name), path)
  })
}

const refused = [
  '',
  '.',
  './',
  '/',
  '..',
  '../a',
  'a/../../b',
  'ä',
  'a\tb',
  'a\nb',
  'a\0b',
  'a\u202eb',
  'a*',
  'a?',
  '[a',
  'a]',
  '{a',
  'a}',
  '!a',
  '(a',
  'a)',
  'me@x',
  'a+b',
  '^a',
  '.git',
  '.git/config',
  'a/.git/x',
  '.GIT/x',
  '.gIt',
  '.git./x',
  '.git /x',
  '.git:stream/x',
  'git~1/x',
  'GIT~2',
  'a\\.git\\config',
  '.g\u200cit/x',
  'x'.repeat(256),
  `${'d/'.repeat(1024)}f`,
  `${'d/'.repeat(10_000)}f`,
  `${'x'.repeat(200)}/`.repeat(21),
]
for (const name of refused) {
  test(`${JSON.stringify(name.slice(0, 20))} (${name.length}) is refused`, (t) => {
    t.throws(() => storedPath(name), { code: 'ERR_ARCHIVE' })
  })
}

test('a marker is compared as a string, not as a path', (t) => {
  t.true(isMarkerName('mark', 'mark'))
  t.true(isMarkerName('./mark/a', 'mark'))
  t.true(isMarkerName('marketing.csv', 'mark'))
  t.false(isMarkerName('/mark', 'mark'))
  t.false(isMarkerName('a/mark', 'mark'))
  t.false(isMarkerName('mark', undefined))
})

test('cleaning is the path.Clean of Go', (t) => {
  for (const [name, path] of [
    ['', '.'],
    ['a/', 'a'],
    ['/', '/'],
    ['a/./b//c/..', 'a/b'],
    ['../..', '../..'],
    ['/..', '/'],
  ] as const) {
    t.is(cleanPath(name), path)
  }
})
