import type { ParseArgsConfig } from 'node:util'
import { readArguments, readCount } from '../../dist/cli/arguments.js'
import { UsageError } from '../../dist/cli/usage-error.js'

type Options = NonNullable<ParseArgsConfig['options']>
type Counts = Record<string, number | undefined>

/**
 * A script's options; `usage` for --help. What is wrong with them ends the process with 2.
 *
 * @param counts those that are whole numbers, each with its default; undefined: none
 */
export function readOptions<const O extends Options, C extends Counts>(
  script: string,
  usage: string,
  options: O,
  counts: C,
) {
  try {
    const texts: Options = Object.fromEntries(
      Object.keys(counts).map((name) => [name, { type: 'string' }]),
    )
    const known: Options = { ...options, ...texts, help: { type: 'boolean' } }
    const { values, positionals } = readArguments(process.argv.slice(2), known)
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    if (positionals.length > 0) throw new UsageError(`takes no '${positionals[0]}'`)
    const numbers = Object.entries(counts).map(([name, value]) => [
      name,
      readCount(name, values[name] as string | undefined, 0) ?? value,
    ])
    return {
      values: values as ReturnType<typeof readArguments<O>>['values'],
      numbers: Object.fromEntries(numbers) as {
        [K in keyof C]: C[K] extends number ? number : C[K] | number
      },
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${script}: ${error.message}\n\n${usage}`)
    process.exit(2)
  }
}
