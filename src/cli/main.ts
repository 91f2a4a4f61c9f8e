#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { UsageError } from './usage-error.js'

const HELP = `Usage: tarspout <command> [options]

  run SPEC [SPEC...]         run a spout, and pipelines that process its commits
  receive FIFO --repo DIR    read archives from a FIFO, commit each to a git repository
  write [FIFO]               write standard input to a FIFO as archives
  check SPEC...              check pipeline specifications

  -h, --help                 help; also: tarspout <command> --help
  --version

Exit codes: 0 done; 1 something failed, as the message says; 2 wrong usage; 130 ended by Ctrl-C.`

// Each is loaded when it is needed, so that what needs the addon does not keep the others from
// running.
const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  run: async (args) => (await import('./run.js')).run(args),
  receive: async (args) => (await import('./receive.js')).receive(args),
  write: async (args) => (await import('./write.js')).write(args),
  check: async (args) => (await import('./check.js')).check(args),
}

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    console.log(HELP)
    return name === undefined ? 2 : 0
  }
  if (name === '--version') {
    const file = new URL('../../package.json', import.meta.url)
    console.log((JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version)
    return 0
  }
  const command = COMMANDS[name]
  if (command === undefined) throw new UsageError(`no command '${name}'`)
  return await command(args)
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = (error as NodeJS.ErrnoException).code
  return code === undefined || error.message.includes(code)
    ? error.message
    : `${code}: ${error.message}`
}

// Nobody reads the output any more (`tarspout run spec.json | head`). Not a crash, which would
// leave the spout running.
for (const stream of [process.stdout, process.stderr])
  stream.once('error', () => process.kill(process.pid, 'SIGTERM')).on('error', () => {})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const usage = error instanceof UsageError
  console.error(`tarspout: ${explain(error)}${usage ? '\nTry tarspout --help.' : ''}`)
  process.exitCode = usage ? 2 : 1
}
