import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import tar from 'tar-stream'
import { ArchiveParser } from '../../dist/receiver/archive-parser.js'
import { ReceivedArchive } from '../../dist/store/received-archive.js'
import { sh, temporaryFolder } from '../support/processes.js'

const options = { skipZeroBlocks: true, stopAtRefusal: false }

/** Splits: whole, byte by byte, and random. */
const feeds: Record<string, (want: number) => number> = {
  'as much as wanted': (want) => want,
  'one byte at a time': () => 1,
  'random pieces': (want) => 1 + Math.floor(Math.random() * want),
}

interface Fed {
  archive: ReceivedArchive
  parser: ArchiveParser
  /** Bytes taken. */
  at: number
}

function feed(
  t: ExecutionContext,
  bytes: Buffer,
  size: (want: number) => number,
  parserOptions = options,
): Fed {
  const archive = new ReceivedArchive(temporaryFolder(t), undefined)
  const parser = new ArchiveParser(archive, parserOptions)
  let at = 0
  while (at < bytes.length) {
    const take = Math.min(size(parser.want), bytes.length - at)
    const goesOn = parser.push(bytes.subarray(at, at + take))
    at += take
    if (!goesOn && parser.state === 'done') break
  }
  return { archive, parser, at }
}

const contents = ({ archive }: Fed) =>
  archive.entries.map(({ path, offset, size }) => [
    path,
    Buffer.concat([...archive.spool.read(offset, size)]).toString(),
  ])

async function pack(
  entries: [name: string | tar.Header, body: string | Buffer][],
): Promise<Buffer> {
  const stream = tar.pack()
  for (const [header, body] of entries)
    stream.entry(typeof header === 'string' ? { name: header } : header, body as string)
  stream.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

for (const [how, size] of Object.entries(feeds)) {
  test(`entries come out as they went in: ${how}`, async (t) => {
    const long = `${'folder/'.repeat(40)}name`
    const bytes = await pack([
      ['a', 'hello'],
      ['empty', ''],
      ['b', 'x'.repeat(512)],
      ['c', 'x'.repeat(1537)],
      [long, 'long'],
      ['d', 'last'],
    ])
    const fed = feed(t, Buffer.concat([bytes, Buffer.from('next')]), size)
    t.deepEqual(contents(fed), [
      ['a', 'hello'],
      ['empty', ''],
      ['b', 'x'.repeat(512)],
      ['c', 'x'.repeat(1537)],
      [long, 'long'],
      ['d', 'last'],
    ])
    t.is(fed.at, bytes.length)
    t.true(fed.archive.hasEndMarker)
  })
}

for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix']) {
  test(`what GNU tar writes is understood: ${format}`, async (t) => {
    const folder = temporaryFolder(t)
    const name = format === 'v7' ? 'n'.repeat(90) : `${'f'.repeat(90)}/${'n'.repeat(90)}`
    const result = await sh(
      t,
      folder,
      `mkdir -p $(dirname "$1"); echo hi > "$1"; tar -b1 --format ${format} -cf t.tar "$1"`,
      name,
    )
    t.is(result.code, 0, result.stderr)
    const bytes = readFileSync(join(folder, 't.tar'))
    const fed = feed(t, bytes, feeds['as much as wanted'] as (want: number) => number)
    t.deepEqual(contents(fed), [[name, 'hi\n']])
    t.is(fed.at, bytes.length)
  })
}

test('the last byte is asked for alone', async (t) => {
  const bytes = await pack([['a', 'hello']])
  const archive = new ReceivedArchive(temporaryFolder(t), undefined)
  const parser = new ArchiveParser(archive, options)
  const wants: number[] = []
  for (let at = 0; at < bytes.length; ) {
    wants.push(parser.want)
    const take = parser.want
    t.is(parser.push(bytes.subarray(at, at + take)), at + take < bytes.length - 1)
    at += take
  }
  t.deepEqual(wants, [512, 1024, 511, 1])
})

test('zero blocks before the first header are skipped, or end an empty archive, as the generation has it', async (t) => {
  const bytes = Buffer.concat([Buffer.alloc(17 * 512), await pack([['a', 'hello']])])
  t.is(feed(t, bytes, (want) => want).at, bytes.length)
  const old = feed(t, bytes, (want) => want, { skipZeroBlocks: false, stopAtRefusal: true })
  t.is(old.at, 1024)
  t.deepEqual(contents(old), [])
})

test('a file that ends between entries, in padding or after one zero block ends a whole archive', async (t) => {
  const bytes = await pack([['a', 'hello']])
  for (const length of [1024, 512 + 5, 700, 1536, 1536 + 511]) {
    const { parser } = feed(t, bytes.subarray(0, length), (want) => want)
    t.true(parser.endOfFile(), String(length))
  }
  t.false(feed(t, Buffer.alloc(0), (want) => want).parser.endOfFile())
  t.false(feed(t, Buffer.alloc(512), (want) => want).parser.endOfFile())
})

test('a file that ends in a header or a body ends nothing', async (t) => {
  const bytes = await pack([
    [`${'d/'.repeat(200)}x`, 'hello'],
    ['b', 'y'.repeat(600)],
  ])
  for (const length of [1, 511, 512, 600, 1024, 1500, 2048 + 1, 2048 + 4, bytes.length - 2048]) {
    const { parser } = feed(t, bytes.subarray(0, length), (want) => want)
    t.throws(() => parser.endOfFile(), { code: 'ERR_ARCHIVE' }, String(length))
  }
})

/** A header block with a right checksum, and what comes behind it. */
function block(
  name: string,
  type: string,
  size: string | bigint,
  change: (block: Buffer) => void = () => {},
): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0, 'latin1')
  header.write('0000600\0', 100)
  if (typeof size === 'string') header.write(`${size}\0`, 124)
  else {
    header.writeUInt8(0x80, 124)
    header.writeBigInt64BE(size, 128)
  }
  header.write('ustar\x0000', 257)
  header.write(type, 156)
  change(header)
  header.write('        ', 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

const padded = (text: string) =>
  Buffer.concat([Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)])
const pax = (...records: string[]) => {
  const body = records
    .map((record) => {
      const rest = record.length + 2
      const length = rest + String(rest + String(rest).length).length
      return `${length} ${record}\n`
    })
    .join('')
  return Buffer.concat([block('pax', 'x', body.length.toString(8)), padded(body)])
}

const invalid: Record<string, Buffer> = {
  'a wrong checksum': block('a', '0', '5').fill('7', 148, 154),
  'a zero block in the middle': Buffer.concat([
    block('a', '0', '0'),
    Buffer.alloc(512),
    block('b', '0', '0'),
  ]),
  text: Buffer.from('no tar at all '.repeat(40)),
  gzip: Buffer.from([0x1f, 0x8b, 8, ...Buffer.alloc(600, 1)]),
  zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...Buffer.alloc(600, 1)]),
  'a size beyond 2^53': block('a', '0', 2n ** 62n),
  'a negative size': block('a', '0', -1n, (header) => header.fill(0xff, 124, 128)),
  'a size that is no number': block('a', '0', 'hello'),
  'a link with a body': block('a', '2', '10', (header) => header.write('target', 157)),
  'a file named like a directory, with a body': block('a/', '0', '10'),
  'an old sparse file': block('a', 'S', '0'),
  'a pax bomb': block('a', 'x', (2 << 20).toString(8)),
  'an endless name': block('././@LongLink', 'L', (2 << 20).toString(8)),
  'a pax record that lies about its length': Buffer.concat([
    block('p', 'x', '12'),
    padded('99 path=a\n'),
  ]),
  'a pax path with a newline': Buffer.concat([pax('path=a\nb'), block('c', '0', '0')]),
  'a pax path with a NUL': Buffer.concat([pax('path=a\0b'), block('c', '0', '0')]),
  'a pax size that is no number': Buffer.concat([pax('size=-5'), block('c', '0', '0')]),
  'a pax sparse file': Buffer.concat([
    pax('GNU.sparse.major=1', 'GNU.sparse.minor=0'),
    block('c', '0', '0'),
  ]),
}
for (const [what, bytes] of Object.entries(invalid)) {
  for (const [how, size] of Object.entries(feeds)) {
    test(`${what} makes an archive invalid: ${how}`, (t) => {
      t.throws(() => feed(t, Buffer.concat([bytes, Buffer.alloc(1024)]), size), {
        code: 'ERR_ARCHIVE',
      })
    })
  }
}

const refused: Record<string, Buffer> = {
  'a symbolic link': block('a', '2', '0', (header) => header.write('/etc/passwd', 157)),
  'a hard link': block('a', '1', '0', (header) => header.write('/etc/passwd', 157)),
  'a character device': block('a', '3', '0'),
  'a block device': block('a', '4', '0'),
  'a directory': block('a/', '5', '0'),
  'a directory that states a size': block('a/', '5', '10000'),
  'a file named like a directory': block('a/', '0', '0'),
  'a FIFO': block('a', '6', '0'),
  'an unknown type': block('a', 'Z', '0'),
  'a pax global header': Buffer.concat([
    block('g', 'g', '13'),
    padded('11 path=abc\n'.slice(0, 11)),
    block('a', '0', '0'),
  ]),
  'a name that leaves the repository': block('../a', '0', '0'),
  'a pax name that leaves the repository': Buffer.concat([
    pax('path=../../etc/passwd'),
    block('c', '0', '0'),
  ]),
  'a name of another alphabet': block('\xff', '0', '0'),
}
for (const [what, bytes] of Object.entries(refused)) {
  test(`${what} is refused, and the archive read to its end`, async (t) => {
    const archive = Buffer.concat([bytes, await pack([['ok', 'x']])])
    if (what === 'a pax global header') archive.write('11 path=ab\n', 512)
    const fed = feed(t, archive, (want) => want)
    t.is(fed.archive.refusal?.code, 'ERR_ARCHIVE')
    t.is(fed.at, archive.length)
    t.true(fed.archive.hasEndMarker)
  })
}

test('a pax size counts for the file, not for the long name between', (t) => {
  const bytes = Buffer.concat([
    pax('size=5'),
    block('././@LongLink', 'L', '4'),
    padded('long'),
    block('short', '0', '0'),
    padded('hello'),
    Buffer.alloc(1024),
  ])
  const fed = feed(t, bytes, (want) => want)
  t.deepEqual(contents(fed), [['long', 'hello']])
  t.is(fed.at, bytes.length)
})
