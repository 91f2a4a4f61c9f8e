import { type ParseArgsConfig, parseArgs } from 'node:util'
import { UsageError } from './usage-error.js'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<O extends Options> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: true }>
>

/** `util.parseArgs`, whose complaints become usage errors. */
export function readArguments<const O extends Options>(args: string[], options: O): Parsed<O> {
  let parsed: Parsed<O>
  try {
    parsed = parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    const [first = '', ...more] = (error as Error).message.split('\n')
    throw new UsageError(more.length > 0 ? [first, ...more].join(' ') : first.split('. ')[0])
  }
  for (const [name, value] of Object.entries(parsed.values))
    if (value === '') throw new UsageError(`--${name} takes a value, not ''`)
  if (parsed.positionals.includes('')) throw new UsageError("an argument is ''")
  return parsed
}

/** A whole number of at least `min`, or undefined where the option is not given. */
export function readCount(name: string, text: string | undefined, min = 1): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < min) {
    throw new UsageError(`--${name} takes a whole number of at least ${min}, not '${text}'`)
  }
  return number
}

// Beyond this Node's timers fire at once.
const MAX_MS = 2 ** 31 - 1
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration such as `200ms`, `30s`, `5m` (a bare number is seconds) in milliseconds. */
export function readDuration(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? []
  if (number === undefined)
    throw new UsageError(`--${name} takes a duration such as 200ms, 30s or 5m, not '${text}'`)
  const ms = Number(number) * UNITS[unit as keyof typeof UNITS]
  if (ms > MAX_MS)
    throw new UsageError(`--${name} takes at most ${Math.floor(MAX_MS / UNITS.h)}h, not '${text}'`)
  return ms
}

/** The mode of a file in octal digits, or undefined where the option is not given. */
export function readMode(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^0?[0-7]{3}$/.test(text))
    throw new UsageError(`--${name} takes three octal digits, such as 622, not '${text}'`)
  return Number.parseInt(text, 8)
}

/** One of `values`, or undefined where the option is not given. */
export function readChoice<T extends string>(
  name: string,
  text: string | undefined,
  values: readonly T[],
): T | undefined {
  if (text === undefined) return undefined
  const value = values.find((each) => each === text)
  if (value === undefined)
    throw new UsageError(`--${name} takes ${values.join(', ')}, not '${text}'`)
  return value
}
