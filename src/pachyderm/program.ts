import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TarspoutError } from '../errors.js'

export interface ProgramResult {
  /** The exit status; null if a signal ended it. */
  readonly status: number | null
  readonly output: string
  /** What it wrote to its standard error. */
  readonly complaint: string
}

export interface ProgramOptions {
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv
  /** Lead a process group of its own, which Ctrl-C on the terminal does not reach. Default false. */
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
  const child = spawn(program, args, { env, detached, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  let complaint = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const closed = once(child, 'close') as Promise<[number | null]>
  // EPIPE: it ended early, and its status says more.
  const sent = pipeline(Readable.from(input), child.stdin).catch(() => {})
  try {
    const [status] = await closed
    await sent
    return { status, output, complaint: complaint.trim() }
  } catch (cause) {
    throw new TarspoutError('ERR_STORE', `${program} cannot be run: ${(cause as Error).message}`, { cause })
  }
}
