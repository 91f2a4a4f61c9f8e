/** One piece of a body. Views and buffers give their bytes, a string its UTF-8. */
export type BodyChunk = string | ArrayBufferView | ArrayBuffer | SharedArrayBuffer

/** A body: its bytes, or an iterable of pieces (so any Node or web stream of bytes). */
export type Body = BodyChunk | Iterable<BodyChunk> | AsyncIterable<BodyChunk>

/**
 * The typeflag of each word; the words are tar-stream's. Source: POSIX pax, ustar typeflag field.
 */
export const TYPEFLAGS = {
  file: '0',
  link: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
  'contiguous-file': '7',
} as const

/**
 * What an entry is: a word, or the typeflag itself, `'0'` to `'7'`. Pax headers (`x`, `g`) are no
 * entries: `x` is written where it is needed, and `g` never, since it would change entries after
 * it. Capital letters, which POSIX leaves to implementations, are refused: readers disagree on
 * them.
 */
export type EntryType = keyof typeof TYPEFLAGS | (string & {})

/**
 * What the header of an entry says. Nothing is clamped or cut: what does not fit ustar becomes a
 * pax record or an error.
 */
export interface EntryFields {
  /** UTF-8; not empty, no NUL, and no slash at its end unless the type is `'directory'`. */
  name: string
  /**
   * Bytes of the body, 0 to 2^53 - 1. Default: what `data` has; 0 without data. Links, devices,
   * directories and FIFOs have 0.
   */
  size?: number | undefined
  /** Permission, set-id and sticky bits, 0 to 0o7777. Default 0o600, for directories 0o700. */
  mode?: number | undefined
  /**
   * When the content changed: a `Date`, or nanoseconds since 1970 as a bigint (as `fs.Stats` has in
   * `mtimeNs`). Fractions of a second are kept, in a pax record. No number: seconds and
   * milliseconds look alike. Default 1970-01-01, so that equal entries are equal bytes.
   */
  mtime?: Date | bigint | undefined
  /** Numeric owner, 0 to 2^53 - 1. Default 0. */
  uid?: number | undefined
  /** Numeric group, 0 to 2^53 - 1. Default 0. */
  gid?: number | undefined
  /** Name of the owner. Default none. */
  uname?: string | undefined
  /** Name of the group. Default none. */
  gname?: string | undefined
  /** Default `'file'`. */
  type?: EntryType | undefined
  /** Target of a link or symlink, which need one. */
  linkname?: string | undefined
  /** Numbers of a device, 0 to 2097151. Default 0. */
  devmajor?: number | undefined
  devminor?: number | undefined
  /**
   * Further pax records, written in this order. `mtime`, `uid`, `gid`, `uname` and `gname` stand
   * for the field of that name; `path`, `linkpath` and `size` are refused. All records together:
   * 1,000,000 bytes.
   */
  pax?: Readonly<Record<string, string>> | undefined
}

/** An entry: header and body. */
export interface Entry extends EntryFields {
  data?: Body | undefined
}
