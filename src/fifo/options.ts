/**
 * Checks of options, before native code sees them. Each throws what Node throws: TypeError for the
 * type, RangeError for the value.
 */

export function checkPath(path: unknown): string {
  if (typeof path !== 'string')
    throw new TypeError(`path must be a string, found ${describe(path)}`)
  if (path === '' || path.includes('\0'))
    throw new RangeError(`path must not be empty nor hold a NUL, found ${JSON.stringify(path)}`)
  return path
}

export function checkBytes(name: string, value: unknown, fallback: number, least = 1): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number of bytes, found ${describe(value)}`)
  if (value === Number.POSITIVE_INFINITY) return Number.MAX_SAFE_INTEGER
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(
      `${name} must be a whole number of bytes, at least ${least}, found ${value}`,
    )
  }
  return value
}

export function checkCount(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number, found ${describe(value)}`)
  if (value === Number.POSITIVE_INFINITY) return Number.MAX_SAFE_INTEGER
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} must be a whole number, at least 1, found ${value}`)
  }
  return value
}

export function checkMs(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number of milliseconds, found ${describe(value)}`)
  if (Number.isNaN(value) || value < 0)
    throw new RangeError(`${name} must be at least 0 ms, found ${value}`)
  return value
}

export function checkFlag(name: string, value: unknown): boolean {
  if (value === undefined) return false
  if (typeof value !== 'boolean')
    throw new TypeError(`${name} must be true or false, found ${describe(value)}`)
  return value
}

export function checkChoice<T extends string>(
  name: string,
  value: unknown,
  choices: readonly [T, ...T[]],
): T {
  if (value === undefined) return choices[0]
  if (typeof value === 'string' && (choices as readonly string[]).includes(value)) return value as T
  const message = `${name} must be ${choices.map((choice) => `'${choice}'`).join(' or ')}, found ${JSON.stringify(value) ?? describe(value)}`
  throw typeof value === 'string' ? new RangeError(message) : new TypeError(message)
}

export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw new TypeError(`signal must be an AbortSignal, found ${describe(value)}`)
}

/** A misspelt option would otherwise be silently ignored. */
export function checkKnown(what: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${what} must be an object, found ${describe(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(
        `${what} has no option ${JSON.stringify(name)}; it has ${known.join(', ')}`,
      )
    }
  }
}

/** What every FIFO can be opened with: the options, and what they are when they are absent. */
export const FIFO_OPTIONS = [
  'signal',
  'readerTimeoutMs',
  'pipeSize',
  'highWaterMark',
  'zeroCopy',
] as const

export interface FifoSettings {
  signal: AbortSignal | undefined
  readerTimeoutMs: number
  pipeSize: number
  highWaterMark: number
  zeroCopy: boolean
}

export function fifoSettings(options: { [name in keyof FifoSettings]?: unknown }): FifoSettings {
  return {
    signal: checkSignal(options.signal),
    readerTimeoutMs: checkMs('readerTimeoutMs', options.readerTimeoutMs, Number.POSITIVE_INFINITY),
    // F_SETPIPE_SZ takes an int: what is larger would be refused anyway.
    pipeSize: Math.min(checkBytes('pipeSize', options.pipeSize, 1 << 20, 4096), 1 << 30),
    highWaterMark: checkBytes('highWaterMark', options.highWaterMark, 16 << 20),
    zeroCopy: checkFlag('zeroCopy', options.zeroCopy),
  }
}

export function describe(value: unknown): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value
}
