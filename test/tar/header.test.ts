import test from 'ava'
import fc from 'fast-check'
import { type Entry, encodeHeader, TarspoutError } from 'tarspout'
import { headerFields } from '../../dist/tar/fields.js'
import { headerBlocks } from '../../dist/tar/header.js'
import { Random } from '../support/random.js'
import { type OracleEntry, oracle, TYPEFLAGS } from './header-oracle.js'

const GiB = 2 ** 30

function entryOf(row: OracleEntry): Entry {
  const { mtimeNs, typeflag, ...rest } = row
  return { ...rest, mtime: mtimeNs, type: typeflag }
}

const PLAIN: OracleEntry = {
  name: 'a',
  size: 0,
  mode: 0o644,
  mtimeNs: 0n,
  uid: 0,
  gid: 0,
  uname: '',
  gname: '',
  typeflag: '0',
  linkname: '',
  devmajor: 0,
  devminor: 0,
  pax: {},
}

const around = (limit: number) => [limit - 1, limit, limit + 1]
const aroundNs = (limit: bigint) => [limit - 1n, limit, limit + 1n]

// Values on both sides of every limit of a field.
const VALUES: { [K in keyof OracleEntry]-?: readonly OracleEntry[K][] } = {
  name: [
    '',
    'a',
    'dir/',
    '/abs',
    'a\0b',
    'é',
    'a\nb',
    '日'.repeat(34),
    ...[99, 100, 101, 255, 256, 257].map((n) => 'n'.repeat(n)),
    ...[1, 154, 155, 156].flatMap((prefix) =>
      [99, 100, 101].map((tail) => `${'p'.repeat(prefix)}/${'t'.repeat(tail)}`),
    ),
    `${'d'.repeat(100)}/`,
    `/${'d'.repeat(100)}`,
    `${'d/'.repeat(100)}e`,
    `${'d'.repeat(60)}//${'e'.repeat(60)}`,
  ],
  size: [
    -1,
    0,
    1,
    100,
    511,
    512,
    513,
    ...around(2 * GiB),
    ...around(4 * GiB),
    ...around(8 * GiB),
    2 ** 53 - 1,
  ],
  mode: [-1, 0, 0o600, 0o7777, 0o10000],
  mtimeNs: [
    0n,
    ...aroundNs(0n),
    ...aroundNs(10n ** 9n),
    -3599_500_000_000n,
    ...[2n ** 31n, 8n ** 11n].flatMap((seconds) => aroundNs(seconds).map((s) => s * 10n ** 9n)),
    -1_000_000_000n,
    1_700_000_000_120_000_000n,
  ],
  uid: [-1, 0, ...around(2 ** 18), ...around(2 ** 21), 2 ** 53 - 1],
  gid: [-1, 0, ...around(2 ** 18), ...around(2 ** 21), 2 ** 53 - 1],
  uname: ['', 'root', 'é', ...[30, 31, 32, 33].map((n) => 'u'.repeat(n)), 'a\0'],
  gname: ['', 'wheel', 'ü', ...[30, 31, 32, 33].map((n) => 'g'.repeat(n)), 'a\0'],
  typeflag: [...'01234567ABDKLSVXZxg\x7f '],
  linkname: ['', 'b', 'é', ...[99, 100, 101].map((n) => 'l'.repeat(n)), 'a\0'],
  devmajor: [-1, 0, 8, ...around(2 ** 18), ...around(2 ** 21)],
  devminor: [-1, 0, 8, ...around(2 ** 18), ...around(2 ** 21)],
  namesInPax: [false, true],
  pax: [
    {},
    { comment: 'x' },
    { comment: 'ü\nü', 'VENDOR.key': '' },
    { mtime: '1.5', uid: '9', gid: '8', uname: 'é', gname: 'ü' },
    { atime: '-1.25', ctime: '7' },
    { path: 'b' },
    { linkpath: 'b' },
    { size: '1' },
    { mtime: '1e3' },
    { atime: '' },
    { uid: '-1' },
    { uname: '' },
    { 'a=b': 'c' },
    { '': 'c' },
    ...around(1_000_000).map((bytes) => ({ k: 'v'.repeat(bytes - 11) })),
  ],
}

// The layout with both names in pax is the drop-in's, not part of encodeHeader().
function encode(row: OracleEntry): Buffer {
  const { namesInPax = false, ...entry } = row
  if (!namesInPax) return Buffer.from(encodeHeader(entryOf(entry)))
  return Buffer.from(headerBlocks({ ...headerFields(entryOf(entry), entry.size), namesInPax }))
}

function same(row: OracleEntry): 'encoded' | 'refused' {
  const want = oracle(row)
  try {
    const got = encode(row)
    if (want === undefined) throw new Error('the oracle refuses it, the encoder does not')
    if (!got.equals(want)) throw new Error('the bytes differ')
    return 'encoded'
  } catch (error) {
    if (error instanceof TarspoutError && want === undefined) return 'refused'
    const shown = JSON.stringify(row, (_, value) =>
      typeof value === 'bigint' ? `${value}n` : value,
    ).slice(0, 500)
    throw new Error(`${(error as Error).message}: ${shown}`)
  }
}

test('each value of each field gives the bytes of the oracle, or is refused by both', (t) => {
  const counts = { encoded: 0, refused: 0 }
  for (const typeflag of ['0', '2', '5'] as const) {
    for (const key of Object.keys(VALUES) as (keyof OracleEntry)[]) {
      for (const value of VALUES[key]) {
        const base = {
          ...PLAIN,
          typeflag,
          linkname: typeflag === '2' ? 'target' : '',
          namesInPax: typeflag === '2',
        }
        counts[same({ ...base, [key]: value })]++
      }
    }
  }
  t.true(counts.encoded > 300 && counts.refused > 100, JSON.stringify(counts))
})

test('20,000 random combinations give the bytes of the oracle', (t) => {
  const random = new Random(20261123)
  const counts = { encoded: 0, refused: 0 }
  // Without the records of a mebibyte, which the test above has.
  const values = { ...VALUES, pax: VALUES.pax.filter((pax) => (pax.k ?? '').length < 1000) }
  for (let i = 0; i < 20_000; i++) {
    const row: Record<string, unknown> = { ...PLAIN }
    // A few fields away from plain at a time: with all of them, nearly everything would be refused.
    for (let changes = random.below(5); changes >= 0; changes--) {
      const key = random.pick(Object.keys(VALUES) as (keyof OracleEntry)[])
      row[key] = random.pick<unknown>(values[key])
    }
    counts[same(row as unknown as OracleEntry)]++
  }
  t.true(counts.encoded > 5000 && counts.refused > 5000, JSON.stringify(counts))
})

test('any well-formed text and any numbers give the bytes of the oracle', (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 200 })
  const id = fc.oneof(fc.nat(2 ** 22), fc.maxSafeNat())
  const row = fc.record({
    name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }),
    size: id,
    mode: fc.nat(0o7777),
    mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    uid: id,
    gid: id,
    uname: text,
    gname: text,
    typeflag: fc.constantFrom('0', '7'),
    linkname: text,
    devmajor: fc.nat(2 ** 21),
    devminor: fc.nat(2 ** 21),
    namesInPax: fc.boolean(),
    pax: fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), text, {
      noNullPrototype: true,
    }),
  })
  t.notThrows(() =>
    fc.assert(
      fc.property(row, (entry) => {
        same(entry as OracleEntry)
      }),
      { seed: 4, numRuns: 3000 },
    ),
  )
})

test('texts of every length around the KiB that the binding keeps on the stack come through whole', (t) => {
  let encoded = 0
  for (const character of ['a', 'é', '日', '😀']) {
    const width = Buffer.byteLength(character)
    for (let bytes = 1000; bytes < 1040; bytes++) {
      const text = character.repeat(Math.floor(bytes / width)) + 'z'.repeat(bytes % width)
      const rest = {
        linkname: character,
        uname: character.repeat(2),
        gname: 'g'.repeat(1025 - bytes > 0 ? 1025 - bytes : 1),
      }
      if (same({ ...PLAIN, ...rest, name: text, pax: { k: character } }) === 'encoded') encoded++
    }
  }
  t.is(encoded, 160)
})

test('the defaults are a regular file, mode 0600, no owner, no time: equal entries are equal bytes', (t) => {
  const bytes = Buffer.from(encodeHeader({ name: 'a', data: 'xyz' }))
  t.deepEqual(bytes, oracle({ ...PLAIN, size: 3, mode: 0o600 }))
  t.deepEqual(
    Buffer.from(encodeHeader({ name: 'd', type: 'directory' })),
    oracle({ ...PLAIN, name: 'd', typeflag: '5', mode: 0o700 }),
  )
})

test('each type word is its POSIX typeflag', (t) => {
  for (const [type, flag] of Object.entries(TYPEFLAGS)) {
    t.is(String.fromCharCode(encodeHeader({ name: 'a', linkname: 'b', type })[156] ?? 0), flag)
  }
  for (const type of ['pax-header', 'x', 'g', 'A', '8', '\0', 'toString', '', 'é', '01']) {
    const error = t.throws(
      () => encodeHeader({ name: 'a', type }),
      { instanceOf: TarspoutError },
      type,
    )
    t.is(error?.code, 'ERR_TAR_FIELD')
    t.is(error?.field, 'type')
    t.true(error?.message.includes(JSON.stringify(type)))
  }
})

test('a Date keeps its milliseconds, a bigint its nanoseconds', (t) => {
  const paxOf = (mtime: Date | bigint) => {
    const bytes = Buffer.from(encodeHeader({ name: 'a', mtime }))
    return bytes.length === 512
      ? ''
      : bytes
          .subarray(512, 512 + 40)
          .toString()
          .replace(/\0.*/, '')
  }
  t.is(paxOf(new Date(1_700_000_000_000)), '')
  t.is(paxOf(new Date(1_700_000_000_120)), '23 mtime=1700000000.12\n')
  t.is(paxOf(new Date(-1)), '16 mtime=-0.001\n')
  t.is(paxOf(new Date(-8.64e15)), '24 mtime=-8640000000000\n')
  t.is(paxOf(new Date(8.64e15)), '23 mtime=8640000000000\n')
  t.is(paxOf(1n), '21 mtime=0.000000001\n')
})

test('a header goes where it is told and nowhere else', (t) => {
  const target = new Uint8Array(2048).fill(0xee)
  t.is(encodeHeader({ name: 'é' }, target, 300), 1536)
  t.deepEqual(Buffer.from(target.subarray(300, 1836)), oracle({ ...PLAIN, name: 'é', mode: 0o600 }))
  t.true(target.subarray(0, 300).every((byte) => byte === 0xee))
  t.true(target.subarray(1836).every((byte) => byte === 0xee))
  t.is(encodeHeader({ name: 'a' }, Buffer.alloc(512)), 512)
})

test('a target that is too small is refused with what it needs, and left alone', (t) => {
  for (const [name, need] of [
    ['a', 512],
    ['é', 1536],
  ] as const) {
    const target = new Uint8Array(need + 9).fill(0xee)
    t.throws(() => encodeHeader({ name }, target, 10), {
      instanceOf: RangeError,
      message: new RegExp(`${need} bytes`),
    })
    t.true(target.every((byte) => byte === 0xee))
    t.is(encodeHeader({ name }, target, 9), need)
  }
})

test('arguments of a wrong type are a TypeError, numbers out of reach a RangeError', (t) => {
  const wrongTypes: unknown[] = [
    undefined,
    null,
    'a',
    {},
    { name: 1 },
    { name: 'a', size: '1' },
    { name: 'a', mtime: 1 },
    { name: 'a', mtime: '2020' },
    { name: 'a', uid: 1n },
    { name: 'a', type: 5 },
    { name: 'a', pax: 'x' },
    { name: 'a', pax: ['x'] },
    { name: 'a', pax: { k: 1 } },
    { name: 'a', data: 5 },
    { name: 'a', data: {} },
    { name: 'a', data: null },
  ]
  for (const entry of wrongTypes)
    t.throws(() => encodeHeader(entry as Entry), { instanceOf: TypeError })
  for (const value of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    t.throws(() => encodeHeader({ name: 'a', size: value }), { instanceOf: RangeError })
    t.throws(() => encodeHeader({ name: 'a', uid: value }), { instanceOf: RangeError })
  }
  t.throws(() => encodeHeader({ name: 'a', mtime: new Date(Number.NaN) }), {
    instanceOf: RangeError,
  })
  t.throws(() => encodeHeader({ name: 'a', mtime: 2n ** 63n }), { instanceOf: RangeError })
  for (const offset of [-1, 1.5, 513, Number.NaN]) {
    t.throws(() => encodeHeader({ name: 'a' }, new Uint8Array(512), offset), {
      instanceOf: RangeError,
      message: /^offset must be 0 to 512/,
    })
  }
  t.throws(() => encodeHeader({ name: 'a' }, [] as unknown as Uint8Array), {
    instanceOf: TypeError,
  })
})

test('an error names the entry, the first field, every reason and what was found', (t) => {
  const error = t.throws(
    () => encodeHeader({ name: 'a', uid: -1, mode: 0o100644, pax: { size: '5' } }),
    {
      instanceOf: TarspoutError,
    },
  )
  t.is(error?.code, 'ERR_TAR_FIELD')
  t.is(error?.entry, 'a')
  t.is(error?.field, 'uid')
  for (const part of ['-1', '0o100644', '"size": "5"']) t.true(error?.message.includes(part), part)
  t.is(
    t.throws(() => encodeHeader({ name: '' }), { instanceOf: TarspoutError })?.code,
    'ERR_TAR_NAME',
  )
  t.is(
    t.throws(() => encodeHeader({ name: 'a', size: -1 }), { instanceOf: TarspoutError })?.code,
    'ERR_TAR_SIZE',
  )
})

test('a lone surrogate is refused: UTF-8 has no form for it', (t) => {
  const code = (entry: Entry) =>
    t.throws(() => encodeHeader(entry), { instanceOf: TarspoutError })?.code
  t.is(code({ name: 'a\ud800' }), 'ERR_TAR_NAME')
  t.is(code({ name: 'a', uname: '\udc00' }), 'ERR_TAR_FIELD')
  t.is(code({ name: 'a', pax: { k: '\ud800x' } }), 'ERR_TAR_FIELD')
  t.notThrows(() => encodeHeader({ name: '😀' }))
})

test('the size is what data has; another one, or an iterable without, is ERR_TAR_SIZE', (t) => {
  const sizeOf = (entry: Entry) =>
    Number.parseInt(Buffer.from(encodeHeader(entry)).toString('latin1', 124, 135), 8)
  t.is(sizeOf({ name: 'a', data: 'é' }), 2)
  t.is(sizeOf({ name: 'a', data: new Float64Array(3) }), 24)
  t.is(sizeOf({ name: 'a', data: [Buffer.from('x')], size: 7 }), 7)
  t.is(sizeOf({ name: 'a' }), 0)
  const code = (entry: Entry) =>
    t.throws(() => encodeHeader(entry), { instanceOf: TarspoutError })?.code
  t.is(code({ name: 'a', data: 'abc', size: 2 }), 'ERR_TAR_SIZE')
  t.is(code({ name: 'a', data: [Buffer.from('x')] }), 'ERR_TAR_SIZE')
})
