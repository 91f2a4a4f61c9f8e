import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TarspoutError } from './errors.js'

export interface ProgramResult {
  /** The exit status; null if a signal ended it. */
  readonly status: number | null
  readonly output: string
  /** What it wrote to its standard error; how it ended, if that is nothing. */
  readonly complaint: string
}

export interface ProgramOptions {
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv
  /**
   * Lead a process group of its own, which Ctrl-C on the terminal does not reach. Default false.
   */
  readonly detached?: boolean
}

/**
 * Runs a program to its end, with `input` on its standard input.
 *
 * @throws TarspoutError `ERR_STORE` if it cannot be started
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  input: Iterable<string | Uint8Array> = [],
  { env = process.env, detached = false }: ProgramOptions = {},
): Promise<ProgramResult> {
  const start = () => spawn(program, args, { env, detached, stdio: ['pipe', 'pipe', 'pipe'] })
  const child = detached ? spawnApart(start) : start()
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const closed = once(child, 'close') as Promise<[number | null, string | null]>
  // EPIPE: it ended early, and its status says more.
  const sent = pipeline(Readable.from(input), child.stdin).catch(() => {})
  try {
    const [status, signal] = await closed
    await sent
    return { status, output, complaint: complaint.trim() || `ended with ${signal ?? status}` }
  } catch (cause) {
    throw new TarspoutError('ERR_STORE', `${program} cannot be run: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/**
 * Starts a program that Ctrl-C on the terminal does not reach, since it leads a process group of
 * its own (`detached`). Until it does, a Ctrl-C of that moment ends it before it has begun: then it
 * is started again.
 */
export function spawnApart<C extends ChildProcess>(start: () => C): C {
  for (;;) {
    const child = start()
    if (child.pid === undefined || !hasBeenInterrupted(child.pid)) return child
  }
}

// spawn() returns when the program runs, or when the child has ended before; until it is a zombie,
// its command line is empty (proc(5)).
function hasBeenInterrupted(pid: number): boolean {
  try {
    for (;;) {
      if (readFileSync(`/proc/${pid}/cmdline`).length > 0) return false
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      // from the third one, the state, to exit_code
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (fields[0] === 'Z') return (Number(fields.at(-1)) & 0x7f) === constants.signals.SIGINT
    }
  } catch {
    return false // gone already
  }
}
