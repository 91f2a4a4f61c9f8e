// Where pack() writes other bytes than tar-stream 3.2.2, and why: the one list, which
// pack-differential.test.ts proves from both sides and scripts/format-tables.js copies into
// docs/format.md.
import type { PackHeader } from 'tarspout'

export interface Difference {
  /** What of a header brings it about. */
  when: string
  /** What tar-stream writes. */
  tarStream: string
  /** What pack() writes. */
  tarspout: string
  /** Whether this header is such a one. `size` is that of the body. */
  applies: (header: PackHeader, size: number) => boolean
}

const GiB = 2 ** 30
const bytes = (text: string | null | undefined) => Buffer.byteLength(text ?? '')
const isAscii = (text: string | null | undefined) => bytes(text) === (text ?? '').length
const hasNul = (text: string | null | undefined) => (text ?? '').includes('\0')
const ms = (header: PackHeader) => (header.mtime instanceof Date ? header.mtime.getTime() : 0)
const ids = (header: PackHeader) => [header.uid ?? 0, header.gid ?? 0]
const devices = (header: PackHeader) => [header.devmajor ?? 0, header.devminor ?? 0]
const owners = (header: PackHeader) => [header.uname, header.gname]
const names = (header: PackHeader) => [header.name, header.linkname, ...owners(header)]

// tar-stream splits at the first slash that leaves at most 100 bytes behind it.
const splitSlash = (name: string) => name.indexOf('/', Math.max(0, name.length - 101))
const isLong = ({ name }: PackHeader) => name.length > 100
const prefixBytes = (name: string) => splitSlash(name) - (name.startsWith('/') ? 1 : 0)

// Where tar-stream writes a pax header, names and linknames are in there.
const usesPax = (header: PackHeader) =>
  Boolean(header.pax) ||
  !isAscii(header.name) ||
  bytes(header.linkname) > 100 ||
  (isLong(header) && (splitSlash(header.name) === -1 || prefixBytes(header.name) > 155))
const isSplit = (header: PackHeader) => isLong(header) && !usesPax(header)

const VOID = ['link', 'symlink', 'character-device', 'block-device', 'directory', 'fifo']
const KNOWN = ['file', 'contiguous-file', ...VOID]
const BY_MODE = new Map([
  [0o40000, 'directory'],
  [0o120000, 'symlink'],
  [0o60000, 'block-device'],
  [0o20000, 'character-device'],
  [0o10000, 'fifo'],
])

/** The type tar-stream gives an entry. */
export const typeOf = (header: PackHeader) =>
  header.type || (BY_MODE.get((header.mode ?? 0) & 0o170000) ?? 'file')
export const isVoid = (header: PackHeader) => VOID.includes(typeOf(header))

export const DIFFERENCES: Difference[] = [
  {
    when: '`uid` or `gid` of 262144 to 2097151',
    tarStream: 'clamped to 262143',
    tarspout: 'seven digits',
    applies: (header) => ids(header).some((id) => id > 262143 && id <= 2097151),
  },
  {
    when: '`uid` or `gid` above 2097151',
    tarStream: 'clamped to 262143',
    tarspout: 'a pax record',
    applies: (header) => ids(header).some((id) => id > 2097151),
  },
  {
    when: '`devmajor` or `devminor` of 262144 to 2097151',
    tarStream: 'clamped to 262143',
    tarspout: 'seven digits',
    applies: (header) => devices(header).some((id) => id > 262143 && id <= 2097151),
  },
  {
    when: '`mtime` before 1970',
    tarStream: 'a minus sign in an octal field, which readers refuse',
    tarspout: 'a pax record',
    applies: (header) => ms(header) < 0,
  },
  {
    when: '`mtime` from 2038-01-19 on',
    tarStream: 'the year 2242, or what is left of 32 bits',
    tarspout: 'its seconds; from 2242 on a pax record',
    applies: (header) => ms(header) >= 2 ** 31 * 1000,
  },
  {
    when: '`mtime` with a fraction of a second',
    tarStream: 'the fraction is lost',
    tarspout: 'a pax record',
    applies: (header) => ms(header) % 1000 !== 0,
  },
  {
    when: '`size` from 8 GiB on',
    tarStream: "GNU's base-256 number in a header that says POSIX",
    tarspout: 'a pax record',
    applies: (_, size) => size >= 8 * GiB,
  },
  {
    when: '`uname` or `gname` of more than 31 bytes',
    tarStream: 'without the NUL that POSIX asks for, and cut after 32',
    tarspout: 'a pax record',
    applies: (header) => owners(header).some((owner) => bytes(owner) > 31),
  },
  {
    when: '`uname` or `gname` that is not ASCII',
    tarStream: 'UTF-8 in a field that POSIX keeps for ASCII',
    tarspout: 'a pax record',
    applies: (header) => owners(header).some((owner) => !isAscii(owner)),
  },
  {
    when: '`linkname` of up to 100 bytes that is not ASCII',
    tarStream: 'UTF-8 in a field that POSIX keeps for ASCII',
    tarspout: 'a pax record',
    applies: (header) => !isAscii(header.linkname) && !usesPax(header),
  },
  {
    when: 'a split name that begins with a slash',
    tarStream: 'the slash is lost',
    tarspout: 'split elsewhere, or a pax record',
    applies: (header) => isSplit(header) && header.name.startsWith('/'),
  },
  {
    when: 'a directory whose only place to split is the slash at its end',
    tarStream: 'an empty name field behind the prefix',
    tarspout: 'a pax record',
    applies: (header) => isSplit(header) && splitSlash(header.name) === header.name.length - 1,
  },
  {
    when: '`mode` of 0',
    tarStream: '0644, or 0755 for a directory',
    tarspout: '0',
    applies: (header) => header.mode === 0,
  },
  {
    when: '`size` of a type that has no body, other than a symlink',
    tarStream: 'the size, with no body behind the header: readers take what follows for it',
    tarspout: '0',
    applies: (header) => isVoid(header) && typeOf(header) !== 'symlink' && (header.size ?? 0) > 0,
  },
  {
    when: 'no `type`, and a name that ends in a slash',
    tarStream: 'the typeflag and mode of a file, which readers take for a directory',
    tarspout: 'a directory',
    applies: (header) => !header.type && typeOf(header) === 'file' && header.name.endsWith('/'),
  },
  {
    when: '`pax` with `path`, `linkpath` or `size`, as in headers from extract',
    tarStream: 'written a second time, and the second one counts',
    tarspout: '`name`, `linkname` and `size` count',
    applies: ({ pax }) =>
      pax != null && ['path', 'linkpath', 'size'].some((key) => Object.hasOwn(pax, key)),
  },
  {
    when: '`pax` without any record',
    tarStream: 'a pax header all the same',
    tarspout: 'none',
    applies: (header) =>
      header.pax != null &&
      Object.keys(header.pax).length === 0 &&
      !usesPax({ ...header, pax: null }),
  },
  {
    when: 'a type that is none of the words',
    tarStream: 'the typeflag of a file',
    tarspout: 'ERR_TAR_FIELD',
    applies: (header) => header.type != null && !KNOWN.includes(header.type),
  },
  {
    when: 'an empty name',
    tarStream: 'written',
    tarspout: 'ERR_TAR_NAME',
    applies: (header) => header.name === '',
  },
  {
    when: 'a NUL in a name',
    tarStream: 'written, and the name ends there for every reader',
    tarspout: 'ERR_TAR_NAME, ERR_TAR_FIELD',
    applies: (header) => names(header).some(hasNul),
  },
  {
    when: 'a name that ends in a slash with a `type` other than directory',
    tarStream: 'written, and read as a directory',
    tarspout: 'ERR_TAR_NAME',
    applies: (header) =>
      header.name.endsWith('/') &&
      typeOf(header) !== 'directory' &&
      (header.type != null || isVoid(header)),
  },
  {
    when: 'a link without a target',
    tarStream: 'written',
    tarspout: 'ERR_TAR_FIELD',
    applies: (header) => typeOf(header) === 'link' && !header.linkname,
  },
  {
    when: 'negative `uid`, `gid`, `devmajor` or `devminor`',
    tarStream: 'a minus sign in an octal field, which readers refuse',
    tarspout: 'ERR_TAR_FIELD',
    applies: (header) => [...ids(header), ...devices(header)].some((id) => id < 0),
  },
  {
    when: '`devmajor` or `devminor` above 2097151',
    tarStream: 'clamped to 262143',
    tarspout: 'ERR_TAR_FIELD',
    applies: (header) => devices(header).some((id) => id > 2097151),
  },
  {
    when: 'a record in `pax` that breaks a reader: an empty key, a key with `=`, a time or id that is no number',
    tarStream: 'written',
    tarspout: 'ERR_TAR_FIELD',
    applies: ({ pax }) =>
      pax != null &&
      Object.entries(pax).some(
        ([key, value]) =>
          key === '' ||
          key.includes('=') ||
          (/^[amc]time$/.test(key) && !/^-?\d+(\.\d+)?$/.test(String(value))) ||
          (/^[ug]id$/.test(key) && !/^\d+$/.test(String(value))) ||
          (/^[ug]name$/.test(key) && value === ''),
      ),
  },
]
