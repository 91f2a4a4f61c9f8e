/**
 * A time as headers have it: whole seconds since 1970, rounded down, and nanoseconds on top (0 to
 * 999,999,999).
 */
export interface Mtime {
  seconds: number
  nanoseconds: number
}

const NS_PER_SECOND = 1_000_000_000n
const EPOCH: Mtime = { seconds: 0, nanoseconds: 0 }

/**
 * Splits a `Date` or a bigint of nanoseconds. Throws TypeError for anything else, RangeError for an
 * invalid Date.
 */
export function splitMtime(mtime: Date | bigint | undefined): Mtime {
  if (mtime === undefined) return EPOCH
  if (typeof mtime === 'bigint') {
    const seconds =
      BigInt.asIntN(64, mtime) === mtime ? floorDivide(mtime, NS_PER_SECOND) : undefined
    if (seconds === undefined)
      throw new RangeError(`mtime must fit 64 bits of nanoseconds, found ${mtime}n`)
    return { seconds: Number(seconds), nanoseconds: Number(mtime - seconds * NS_PER_SECOND) }
  }
  if (!(mtime instanceof Date)) {
    throw new TypeError(
      `mtime must be a Date or a bigint of nanoseconds, found ${typeof mtime}; ` +
        'of seconds make new Date(seconds * 1000), of milliseconds new Date(milliseconds)',
    )
  }
  const ms = mtime.getTime()
  if (Number.isNaN(ms)) throw new RangeError('mtime must be a valid Date, found an invalid one')
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 }
}

function floorDivide(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  return dividend < 0n && quotient * divisor !== dividend ? quotient - 1n : quotient
}
