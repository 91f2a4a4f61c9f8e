import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

export interface Result {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
}

/** A folder that goes with the test. */
export function temporaryFolder(t: ExecutionContext<unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'test-'))
  // A git whose runner was killed may still be at work there.
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  return folder
}

/** A program that is killed with the test, should it still run. */
export class Program {
  readonly child: ChildProcess
  readonly result: Promise<Result>
  stdout = ''
  stderr = ''
  readonly #waiting: { pattern: RegExp; resolve: () => void; reject: (error: Error) => void }[] = []

  constructor(
    t: ExecutionContext<unknown>,
    cwd: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ) {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child = child
    child.stdin.on('error', () => {})
    t.teardown(() => child.kill('SIGKILL'))
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#add('stdout', text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#add('stderr', text))
    this.result = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        const { stdout, stderr } = this
        for (const { pattern, reject } of this.#waiting)
          reject(new Error(`ended without ${pattern}: ${stdout}${stderr}`))
        resolve({ code, signal, stdout, stderr })
      })
    })
  }

  /** Settles once the output matches. */
  printed(pattern: RegExp): Promise<void> {
    if (pattern.test(this.stdout + this.stderr)) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.push({ pattern, resolve, reject }))
  }

  #add(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text
    for (const { pattern, resolve } of this.#waiting)
      if (pattern.test(this.stdout + this.stderr)) resolve()
  }
}

export const sh = (t: ExecutionContext<unknown>, cwd: string, script: string, ...args: string[]) =>
  new Program(t, cwd, 'sh', ['-ec', script, 'sh', ...args]).result

export const python = (
  t: ExecutionContext<unknown>,
  cwd: string,
  script: string,
  ...args: string[]
) => new Program(t, cwd, 'python3', ['-c', script, ...args])

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export const tarspoutWith = (
  t: ExecutionContext<unknown>,
  cwd: string,
  env: NodeJS.ProcessEnv,
  ...args: string[]
) => new Program(t, cwd, process.execPath, [main, ...args], env)

export const tarspout = (t: ExecutionContext<unknown>, cwd: string, ...args: string[]) =>
  new Program(t, cwd, process.execPath, [main, ...args])

/** What git prints, without its last newline. */
export async function git(
  t: ExecutionContext<unknown>,
  repository: string,
  ...args: string[]
): Promise<string> {
  const { code, stdout, stderr } = await new Program(t, repository, 'git', [
    '--git-dir',
    repository,
    ...args,
  ]).result
  t.is(code, 0, stderr)
  return stdout.replace(/\n$/, '')
}
