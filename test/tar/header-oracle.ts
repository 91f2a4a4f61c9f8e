// A twin of the encoder in plain TypeScript, written from POSIX pax and docs/format.md and not from
// the C++: slow, simple, and the oracle of header.test.ts. It imports nothing from the package.

/** The words for types, and their typeflags (POSIX pax, ustar). */
export const TYPEFLAGS: Readonly<Record<string, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
  'contiguous-file': '7',
}

export interface OracleEntry {
  name: string
  size: number
  mode: number
  /** Nanoseconds since 1970. */
  mtimeNs: bigint
  uid: number
  gid: number
  uname: string
  gname: string
  typeflag: string
  linkname: string
  devmajor: number
  devminor: number
  pax: Record<string, string>
  /** Both names as records where one of them or `pax` needs it. */
  namesInPax?: boolean
}

const utf8 = new TextEncoder()

/** The header blocks of an entry, or undefined where no format can hold it. */
export function oracle(entry: OracleEntry): Buffer | undefined {
  if (!isEncodable(entry)) return undefined
  const seconds = floorDivide(entry.mtimeNs, 10n ** 9n)
  const records: [string, string][] = []
  const own = (key: string, value: string) => {
    if (!Object.hasOwn(entry.pax, key)) records.push([key, value])
  }
  const inBlock = {
    ...entry,
    name: Buffer.from(entry.name),
    prefix: Buffer.alloc(0),
    mtime: Number(seconds),
  }

  const split = isAscii(entry.name) ? splitName(Buffer.from(entry.name)) : undefined
  const longLink = !isAscii(entry.linkname) || byteLength(entry.linkname) > 100
  const moved = entry.namesInPax && (!split || longLink || Object.keys(entry.pax).length > 0)
  if (split && !moved) Object.assign(inBlock, split)
  else {
    own('path', entry.name)
    inBlock.name = Buffer.from('PaxHeader')
  }
  if (longLink || (moved && entry.linkname !== '')) {
    own('linkpath', entry.linkname)
    inBlock.linkname = 'PaxHeader'
  }
  if (entry.size >= 8 ** 11) {
    own('size', String(entry.size))
    inBlock.size = 0
  }
  const octalTime = seconds >= 0n && seconds < 8n ** 11n
  if (!octalTime) inBlock.mtime = 0
  if (!octalTime || entry.mtimeNs % 10n ** 9n !== 0n) own('mtime', decimal(entry.mtimeNs))
  for (const key of ['uid', 'gid'] as const) {
    if (entry[key] >= 8 ** 7) {
      own(key, String(entry[key]))
      inBlock[key] = 0
    }
  }
  for (const key of ['uname', 'gname'] as const) {
    if (!isAscii(entry[key]) || byteLength(entry[key]) > 31) {
      own(key, entry[key])
      inBlock[key] = ''
    }
  }
  records.push(...Object.entries(entry.pax))
  if (records.length === 0) return block(inBlock)

  const body = Buffer.concat(records.map(([key, value]) => record(key, value)))
  if (body.length > 1_000_000) return undefined
  const extended = {
    ...inBlock,
    name: Buffer.from('PaxHeader'),
    prefix: Buffer.alloc(0),
    linkname: records.some(([key]) => key === 'linkpath') ? 'PaxHeader' : '',
    typeflag: 'x',
    size: body.length,
  }
  return Buffer.concat([
    block(extended),
    body,
    Buffer.alloc((512 - (body.length % 512)) % 512),
    block(inBlock),
  ])
}

function isEncodable(entry: OracleEntry): boolean {
  const { name, typeflag, pax } = entry
  if (!/^[0-7]$/.test(typeflag)) return false
  if (name === '' || (name.endsWith('/') && typeflag !== '5')) return false
  if ([name, entry.linkname, entry.uname, entry.gname].some((text) => text.includes('\0')))
    return false
  if ('12'.includes(typeflag) && entry.linkname === '') return false
  if ('123456'.includes(typeflag) && entry.size !== 0) return false
  if ([entry.size, entry.uid, entry.gid].some((value) => value < 0)) return false
  if (entry.mode < 0 || entry.mode >= 8 ** 4) return false
  if ([entry.devmajor, entry.devminor].some((value) => value < 0 || value >= 8 ** 7)) return false
  return Object.entries(pax).every(([key, value]) => {
    if (key === '' || /[=\0]/.test(key) || ['path', 'linkpath', 'size'].includes(key)) return false
    if (key === 'uid' || key === 'gid') return /^[0-9]+$/.test(value)
    if (/^[amc]time$/.test(key)) return /^-?[0-9]+(\.[0-9]+)?$/.test(value)
    if (key === 'uname' || key === 'gname') return value !== '' && !value.includes('\0')
    return true
  })
}

interface BlockFields extends Omit<OracleEntry, 'name' | 'mtimeNs'> {
  name: Buffer
  prefix: Buffer
  mtime: number
}

function block(fields: BlockFields): Buffer {
  const bytes = Buffer.concat([
    fixed(fields.name, 100),
    octal(fields.mode, 8),
    octal(fields.uid, 8),
    octal(fields.gid, 8),
    octal(fields.size, 12),
    octal(fields.mtime, 12),
    Buffer.from('        '),
    Buffer.from(fields.typeflag),
    fixed(Buffer.from(fields.linkname), 100),
    Buffer.from('ustar\x0000'),
    fixed(Buffer.from(fields.uname), 32),
    fixed(Buffer.from(fields.gname), 32),
    octal(fields.devmajor, 8),
    octal(fields.devminor, 8),
    fixed(fields.prefix, 155),
    Buffer.alloc(12),
  ])
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  octal(sum, 8).copy(bytes, 148)
  return bytes
}

// 8 bytes: six digits, space, NUL, or seven digits, NUL. 12 bytes: eleven digits, space.
function octal(value: number, width: 8 | 12): Buffer {
  if (width === 12) return Buffer.from(`${value.toString(8).padStart(11, '0')} `)
  const digits = value.toString(8).padStart(6, '0')
  return Buffer.from(digits.length === 6 ? `${digits} \0` : `${digits}\0`)
}

function fixed(text: Buffer, width: number): Buffer {
  return Buffer.concat([text, Buffer.alloc(width - text.length)])
}

function splitName(name: Buffer): { name: Buffer; prefix: Buffer } | undefined {
  if (name.length <= 100) return { name, prefix: Buffer.alloc(0) }
  for (let i = 1; i <= 155 && i < name.length - 1; i++) {
    if (name[i] === 0x2f && name.length - i - 1 <= 100) {
      return { prefix: name.subarray(0, i), name: name.subarray(i + 1) }
    }
  }
  return undefined
}

// The length counts itself: try until it agrees.
function record(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  const restBytes = byteLength(rest)
  let length = restBytes
  while (String(length).length + restBytes !== length) length++
  return Buffer.from(`${length}${rest}`)
}

function decimal(ns: bigint): string {
  const digits = (ns < 0n ? -ns : ns).toString().padStart(10, '0')
  const fraction = digits.slice(-9).replace(/0+$/, '')
  return `${ns < 0n ? '-' : ''}${digits.slice(0, -9)}${fraction && `.${fraction}`}`
}

function floorDivide(a: bigint, b: bigint): bigint {
  return (a - (((a % b) + b) % b)) / b
}

function byteLength(text: string): number {
  return utf8.encode(text).length
}

function isAscii(text: string): boolean {
  return byteLength(text) === text.length && [...text].every((c) => c < '\x80')
}
