const NEWLINE = 0x0a
const LENGTH_BYTES = 4

/** Splits a stream into lines, each with its newline; the last may have none. */
export function lines(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  return split(source, NEWLINE, true)
}

/** Splits a stream at NUL bytes, which are left out. */
export function nulRecords(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  return split(source, 0, false)
}

/**
 * Splits a stream into records with their length before them, 4 bytes, big-endian.
 *
 * @throws Error when the stream ends within a record
 */
export async function* lengthRecords(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = []
  let gathered = 0
  let wanted = LENGTH_BYTES
  let length: number | undefined
  let number = 1
  for await (const chunk of source) {
    chunks.push(chunk)
    gathered += chunk.length
    if (gathered < wanted) continue
    let bytes = Buffer.concat(chunks)
    while (bytes.length >= wanted) {
      if (length === undefined) length = bytes.readUInt32BE()
      else {
        yield bytes.subarray(0, length)
        number++
        length = undefined
      }
      bytes = bytes.subarray(wanted)
      wanted = length ?? LENGTH_BYTES
    }
    chunks = [bytes]
    gathered = bytes.length
  }
  if (length !== undefined)
    throw new Error(`record ${number} is cut off: ${length} bytes announced, ${gathered} came`)
  if (gathered > 0) throw new Error(`record ${number} is cut off in its length`)
}

async function* split(
  source: AsyncIterable<Buffer>,
  delimiter: number,
  keep: boolean,
): AsyncGenerator<Buffer> {
  let pending: Buffer[] = []
  for await (const chunk of source) {
    let from = 0
    for (let at = chunk.indexOf(delimiter); at >= 0; at = chunk.indexOf(delimiter, from)) {
      const piece = chunk.subarray(from, keep ? at + 1 : at)
      yield pending.length === 0 ? piece : Buffer.concat([...pending, piece])
      pending = []
      from = at + 1
    }
    if (from < chunk.length) pending.push(chunk.subarray(from))
  }
  if (pending.length > 0) yield Buffer.concat(pending)
}
