/** Bytes of a block. */
export const BLOCK_BYTES = 512

/** What ends an archive: two zero blocks, and nothing behind them. */
export const END_OF_ARCHIVE: Uint8Array = new Uint8Array(2 * BLOCK_BYTES)

/** Bytes of zeros that follow a body of `size` bytes. No bit operators: sizes go past 2^31. */
export function paddingBytes(size: number): number {
  const rest = size % BLOCK_BYTES
  return rest === 0 ? 0 : BLOCK_BYTES - rest
}
