import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TarspoutError } from '../errors.js'

const WAIT_MS = 10_000
const WRITERS = ['fast-import', 'repack', 'gc']

/**
 * Keeps a second process from committing to a repository: an abstract socket, which goes with the process however it
 * ends. A git process that a killed owner left behind finishes what it was told first; it is waited for, and ended if
 * that takes too long.
 */
export class RepositoryLock {
  /** Whether the last owner was killed: it may have left temporary files. */
  readonly isAfterCrash: boolean
  readonly #server: Server
  readonly #file: string

  private constructor(server: Server, file: string, isAfterCrash: boolean) {
    this.#server = server
    this.#file = file
    this.isAfterCrash = isAfterCrash
  }

  /** @throws TarspoutError `ERR_STORE` if another process holds it */
  static async take(repository: string): Promise<RepositoryLock> {
    const { dev, ino } = statSync(repository)
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const message = `another tarspout commits to ${repository}`
        reject(new TarspoutError('ERR_STORE', message, { path: repository, cause }))
      })
      server.listen(`\0tarspout-repository-${dev}-${ino}`, resolve)
    })
    server.unref()
    const file = join(repository, 'tarspout.pid')
    const deadline = performance.now() + WAIT_MS
    for (let pid = readPid(file); isGit(pid); await delay(10)) if (performance.now() > deadline) endGroup(pid)
    return new RepositoryLock(server, file, existsSync(file))
  }

  /** The process that writes for the owner of the lock; it leads a group. */
  setWriter(pid: number | undefined): void {
    writeFileSync(this.#file, `${pid ?? ''}\n`)
  }

  async release(): Promise<void> {
    rmSync(this.#file, { force: true })
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function readPid(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, 'latin1'), 10) || undefined
  } catch {
    return undefined
  }
}

function isGit(pid: number | undefined): pid is number {
  try {
    // Empty once it is a zombie.
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
    return WRITERS.some((command) => args.includes(command))
  } catch {
    return false
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {} // it has ended
}
