import { addon } from '../addon.js'
import { TarspoutError, type TarspoutErrorCode } from '../base/errors.js'
import { BLOCK_BYTES } from './blocks.js'
import { bytesOf } from './body.js'
import type { Entry } from './entry.js'
import { type HeaderFields, headerFields } from './fields.js'

/**
 * Encodes the header of an entry: one block, or, where the entry needs pax records, those in blocks
 * of their own before it. The body is not written; it follows, padded with zeros to a whole block.
 *
 * `data` only states the size, where `size` does not; an iterable states none.
 *
 * @param entry what the header says; {@link Entry} has the defaults
 * @param target where to write; without it the blocks come back in new memory
 * @param offset where in `target` to begin, in bytes; default 0
 * @returns the bytes written to `target`, always whole blocks; or the blocks
 * @throws TypeError, RangeError for wrong arguments, and RangeError if `target` is too small (the
 *   message says what it needs; nothing was written)
 * @throws TarspoutError ERR_TAR_NAME, ERR_TAR_SIZE or ERR_TAR_FIELD if no tar format can hold the
 *   entry; the message names every reason, `field` the first
 */
export function encodeHeader(entry: Entry): Uint8Array
export function encodeHeader(entry: Entry, target: Uint8Array, offset?: number): number
export function encodeHeader(entry: Entry, target?: Uint8Array, offset = 0): Uint8Array | number {
  const fields = headerFields(entry, statedSize(entry))
  if (target === undefined) return headerBlocks(fields)
  if (!(target instanceof Uint8Array))
    throw new TypeError(`target must be a Uint8Array, found ${typeof target}`)
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > target.length) {
    throw new RangeError(`offset must be 0 to ${target.length}, found ${offset}`)
  }
  const bytes = writeHeader(fields, target, offset)
  if (bytes > target.length - offset) {
    throw new RangeError(
      `target must have ${bytes} bytes from offset ${offset} on, found ${target.length - offset}`,
    )
  }
  return bytes
}

/** The blocks of a header, in memory of their own. Throws as {@link encodeHeader}. */
export function headerBlocks(fields: HeaderFields): Uint8Array {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  const bytes = writeHeader(fields, block, 0)
  if (bytes === BLOCK_BYTES) return block
  const blocks = Buffer.allocUnsafe(bytes)
  writeHeader(fields, blocks, 0)
  return blocks
}

function writeHeader(fields: HeaderFields, target: Uint8Array, offset: number): number {
  const result = addon.encodeHeader(
    target,
    offset,
    fields.name,
    fields.linkname,
    fields.uname,
    fields.gname,
    fields.size,
    fields.mode,
    fields.mtime.seconds,
    fields.mtime.nanoseconds,
    fields.uid,
    fields.gid,
    fields.typeflag,
    fields.devmajor,
    fields.devminor,
    fields.namesInPax,
    fields.pax,
  )
  if (typeof result === 'number') return result
  throw unencodable(fields, result)
}

const CODES: Record<string, TarspoutErrorCode> = { name: 'ERR_TAR_NAME', size: 'ERR_TAR_SIZE' }

// `faults` is field, reason, record, field, reason, record, ...
function unencodable(fields: HeaderFields, faults: (string | number)[]): TarspoutError {
  const reasons: string[] = []
  for (let i = 0; i < faults.length; i += 3) {
    reasons.push(
      `${faults[i]} ${faults[i + 1]}, found ${found(fields, String(faults[i]), Number(faults[i + 2]))}`,
    )
  }
  const field = String(faults[0])
  return new TarspoutError(
    CODES[field] ?? 'ERR_TAR_FIELD',
    `no tar format can hold the entry ${JSON.stringify(fields.name)}: ${reasons.join('; ')}`,
    { entry: fields.name, field },
  )
}

function found(fields: HeaderFields, field: string, record: number): string {
  if (field === 'pax') {
    const [key, value] = fields.pax?.slice(2 * record, 2 * record + 2) ?? []
    if (key === undefined) return 'more'
    return `${JSON.stringify(key)}: ${JSON.stringify(shortened(value ?? ''))}`
  }
  if (field === 'mode') return `0o${fields.mode.toString(8)}`
  return JSON.stringify(fields[field as keyof HeaderFields])
}

function shortened(value: string): string {
  return value.length > 100 ? `${value.slice(0, 100)}...` : value
}

function statedSize(entry: Entry): number {
  const { data, size } = entry ?? {}
  if (data === undefined) return size ?? 0
  const bytes = bytesOf(data)
  if (bytes === undefined) {
    if (size !== undefined) return size
    throw new TarspoutError(
      'ERR_TAR_SIZE',
      'size must be given: an iterable does not state how many bytes it has',
      {
        entry: entry.name,
        field: 'size',
      },
    )
  }
  if (size !== undefined && size !== bytes.byteLength) {
    throw new TarspoutError(
      'ERR_TAR_SIZE',
      `size must be what data has, ${bytes.byteLength}, found ${size}`,
      {
        entry: entry.name,
        field: 'size',
      },
    )
  }
  return bytes.byteLength
}
