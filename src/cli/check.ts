import { specSchema } from '../spec/spec-schema.js'
import { readArguments } from './arguments.js'
import { formatCount } from './report.js'
import { readSpecFiles } from './spec-files.js'
import { UsageError } from './usage-error.js'

export const CHECK_HELP = `Usage: tarspout check SPEC...

Checks pipeline specifications, JSON or YAML, one or several documents in each file ('-': standard
input), as Pachyderm 1.9 to 1.13 would. All faults are shown, each with its place and what to write.

  --schema      print the JSON schema for editors instead
  -h, --help

Exit codes: 0 no faults; 1 faults; 2 wrong usage.`

export async function check(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    schema: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) {
    console.log(CHECK_HELP)
    return 0
  }
  if (values.schema) {
    console.log(JSON.stringify(specSchema(), undefined, 2))
    return 0
  }
  if (positionals.length === 0) throw new UsageError('check takes at least one file')
  const { specs, faults } = readSpecFiles(positionals)
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) {
    console.error(formatCount(faults.length, 'fault'))
    return 1
  }
  console.log(
    `${formatCount(specs.length, 'specification')}, no faults: ${specs.map(({ name }) => name).join(', ')}`,
  )
  return 0
}
