import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface UserCodeOptions {
  cmd: readonly string[]
  stdin: readonly string[]
  cwd: string | undefined
  env: NodeJS.ProcessEnv
  onLine: (stream: 'stdout' | 'stderr', line: string) => void
}

/** How a process ended; `error` if it could not be started. */
export interface UserCodeExit {
  code: number | null
  signal: NodeJS.Signals | null
  error?: Error
}

/** One run of `transform.cmd`, in a process group of its own. */
export class UserCode {
  readonly exit: Promise<UserCodeExit>
  readonly #child: ChildProcess

  constructor({ cmd, stdin, cwd, env, onLine }: UserCodeOptions) {
    const [program = '', ...args] = cmd
    const child = spawn(program, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    this.#child = child
    child.stdin.on('error', () => {}) // it need not read it
    child.stdin.end(stdin.join('\n'))
    createInterface({ input: child.stdout }).on('line', (line) => onLine('stdout', line))
    createInterface({ input: child.stderr }).on('line', (line) => onLine('stderr', line))
    // `close` and not `exit`: like Pachyderm, it waits for whoever still holds the output.
    this.exit = new Promise((resolve) => {
      child.on('error', (error) => resolve({ code: null, signal: null, error }))
      child.on('close', (code, signal) => resolve({ code, signal }))
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Kills the whole group, at once: Pachyderm gives a spout no other sign of its end. */
  kill(): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // the group is gone
    }
  }
}
