// A plain encoder of entries, written for the bench alone: what the contenders that only move bytes
// send, and what every tar writer's output is compared with before it is timed.

const blockBytes = 512
const pad = (size) => -size & (blockBytes - 1)

/** The end-of-archive marker: two zero blocks. */
export const marker = Buffer.alloc(2 * blockBytes)

/** The pax record of a key: its length counts itself. */
function paxRecord(key, value) {
  const rest = ` ${key}=${value}\n`
  const restBytes = Buffer.byteLength(rest)
  let length = restBytes
  while (length !== restBytes + String(length).length) length = restBytes + String(length).length
  return `${length}${rest}`
}

function headerBlock({ name, size, mode, mtime, typeflag }) {
  const block = Buffer.alloc(blockBytes)
  const octal = (value, at, width) => block.write(value.toString(8).padStart(width - 1, '0'), at)
  block.write(name, 0, 100)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(mtime.getTime() / 1000, 136, 12)
  block.write(typeflag, 156)
  block.write('ustar\0' + '00', 257)
  octal(0, 329, 8)
  octal(0, 337, 8)
  block.fill(' ', 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  octal(sum, 148, 7)
  block[154] = 0
  return block
}

/**
 * The blocks of one entry: header and body, and before them a pax extended header where the name
 * needs one.
 */
export function encodeEntry({ name, data, mode, mtime }) {
  const parts = []
  if (Buffer.byteLength(name) > 100) {
    const records = Buffer.from(paxRecord('path', name))
    parts.push(
      headerBlock({ name: 'PaxHeader', size: records.length, mode, mtime, typeflag: 'x' }),
      records,
      Buffer.alloc(pad(records.length)),
    )
  }
  parts.push(
    headerBlock({ name, size: data.length, mode, mtime, typeflag: '0' }),
    data,
    Buffer.alloc(pad(data.length)),
  )
  return Buffer.concat(parts)
}
