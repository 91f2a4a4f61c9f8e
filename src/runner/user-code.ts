import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { TarspoutError } from '../base/errors.js'
import type { PipelineSpec } from '../spec/spec.js'

// setPipelineDefaults of Pachyderm.
const DEFAULT_IMAGE = 'ubuntu:16.04'
// What docker and podman end with when they could not start the container (docker-run(1)).
const NOT_STARTED = 125

export interface UserCodeOptions {
  transform: PipelineSpec['transform']
  /** The folder that is `/pfs` in Pachyderm. */
  pfs: string
  /** The environment that Pachyderm gives the command, where it sees that folder at `pfs`. */
  env: (pfs: string) => Record<string, string>
  /**
   * Run it in the image with this program, `docker` or `podman`. Without it, it runs on this host.
   */
  container?: string | undefined
  onLine: (stream: 'stdout' | 'stderr', line: string) => void
}

/** How a process ended; `error` if it could not be started. */
export interface UserCodeExit {
  code: number | null
  signal: NodeJS.Signals | null
  error?: Error
}

/** One run of `transform.cmd`: in a process group of its own, or in a container. */
export class UserCode {
  readonly exit: Promise<UserCodeExit>
  readonly #child: ChildProcess
  readonly #container: { program: string; name: string } | undefined
  #hasEnded = false

  /**
   * @throws TarspoutError `ERR_SPEC` for a working_dir that is not there; what spawn says of
   * arguments that no program can get
   */
  constructor({ transform, pfs, env, container, onLine }: UserCodeOptions) {
    const { workingDir } = transform
    if (container === undefined && workingDir !== undefined && !isFolder(workingDir)) {
      // spawn would say that the program is not there.
      throw new TarspoutError('ERR_SPEC', `working_dir ${workingDir} is no folder on this host`, {
        path: workingDir,
      })
    }
    const options: SpawnOptions = { stdio: ['pipe', 'pipe', 'pipe'], detached: true }
    if (container === undefined) {
      const [program = '', ...args] = transform.cmd
      const environment = { ...process.env, ...env(pfs), PFS_DIR: pfs }
      this.#child = spawn(program, args, { ...options, cwd: workingDir, env: environment })
    } else {
      this.#container = { program: container, name: `tarspout-${randomUUID()}` }
      this.#child = spawn(
        container,
        containerArguments(this.#container.name, transform, pfs, env('/pfs')),
        options,
      )
    }
    const child = this.#child
    child.stdin?.on('error', () => {}) // it need not read it
    child.stdin?.end(transform.stdin.join('\n'))
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) => onLine('stdout', line))
    if (child.stderr)
      createInterface({ input: child.stderr }).on('line', (line) => onLine('stderr', line))
    // `close` and not `exit`: like Pachyderm, it waits for whoever still holds the output.
    this.exit = new Promise((resolve) => {
      child.on('error', (error) => resolve({ code: null, signal: null, error }))
      child.on('close', (code, signal) => {
        this.#hasEnded = true
        if (container === undefined || code !== NOT_STARTED) return resolve({ code, signal })
        const message = `${container} could not start ${transform.image ?? DEFAULT_IMAGE}, and said why above`
        resolve({ code, signal, error: new Error(message) })
      })
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /**
   * Kills the whole group or the container, at once: Pachyderm gives a spout no other sign of its
   * end.
   */
  kill(): void {
    if (this.#child.pid === undefined) return
    if (this.#container === undefined) {
      try {
        process.kill(-this.#child.pid, 'SIGKILL')
      } catch {
        // the group is gone
      }
    } else if (!this.#hasEnded) {
      // The program that was started is only a client; it ends with the container.
      const { program, name } = this.#container
      spawn(program, ['rm', '--force', name], { stdio: 'ignore', detached: true }).on(
        'error',
        () => {},
      )
    }
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function containerArguments(
  name: string,
  { cmd, image, workingDir, user }: PipelineSpec['transform'],
  pfs: string,
  env: Record<string, string>,
): string[] {
  const [program = '', ...args] = cmd
  const variables = Object.entries({ ...env, PFS_DIR: '/pfs' }).flatMap(([key, value]) => [
    '--env',
    `${key}=${value}`,
  ])
  return [
    ...['run', '--rm', '-i', '--name', name, '--volume', `${pfs}:/pfs`],
    ...variables,
    ...(workingDir === undefined ? [] : ['--workdir', workingDir]),
    ...(user === undefined ? [] : ['--user', user]),
    ...['--entrypoint', program, image ?? DEFAULT_IMAGE, ...args],
  ]
}
