/**
 * Tar bytes made by hand, so that tests of readers and writers do not lean on the code they test.
 */

export const blockBytes = 512

export interface HandEntry {
  readonly name: string
  readonly body?: Uint8Array | string
  readonly type?: string
  /** What the header says, where it is not the body's length. */
  readonly size?: number
}

const padded = (bytes: Uint8Array) => {
  const out = new Uint8Array(Math.ceil(bytes.length / blockBytes) * blockBytes)
  out.set(bytes)
  return out
}

/** One ustar header block. */
export function headerBlock(entry: HandEntry): Uint8Array {
  const block = Buffer.alloc(blockBytes)
  const octal = (value: number, offset: number, width: number) =>
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1')
  const size = entry.size ?? Buffer.byteLength(entry.body ?? '')
  block.write(entry.name, 0, 100, 'utf8')
  octal(0o600, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  block.write(entry.type ?? '0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** Header, body and padding; a name over 100 bytes goes into a pax record before it. */
export function entryBytes(entry: HandEntry): Uint8Array {
  const body = Buffer.from(entry.body ?? '')
  const parts = [headerBlock({ ...entry, name: entry.name.slice(0, 100) }), padded(body)]
  if (Buffer.byteLength(entry.name) > 100) {
    const record = ` path=${entry.name}\n`
    const bytes = Buffer.byteLength(record)
    let length = bytes + 1
    while (String(length).length + bytes !== length) length++
    const text = Buffer.from(`${length}${record}`)
    parts.unshift(headerBlock({ name: 'pax', type: 'x', size: text.length }), padded(text))
  }
  return Buffer.concat(parts)
}

export const zeroBlocks = (count: number): Uint8Array => new Uint8Array(count * blockBytes)

/** Entries and the end-of-archive marker: two zero blocks, or as many as told. */
export function archiveBytes(entries: readonly HandEntry[], endBlocks = 2): Uint8Array {
  return Buffer.concat([...entries.map(entryBytes), zeroBlocks(endBlocks)])
}
