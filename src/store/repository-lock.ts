import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { TarspoutError } from '../base/errors.js'

const WAIT_MS = 60_000
const WRITERS = ['fast-import', 'repack', 'gc']

/**
 * Keeps a second process from committing to a repository: an abstract socket, which goes with the
 * process however it ends. A git process that a killed owner left behind finishes what it was told
 * first; it is waited for.
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
    writeFileSync(file, `${process.pid}\n`)
  }

  /**
   * @throws TarspoutError `ERR_STORE` if another process holds it, or a git that is left does not
   * end
   */
  static async take(repository: string, waitMs = WAIT_MS): Promise<RepositoryLock> {
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
    try {
      const isAfterCrash = existsSync(file)
      if (isAfterCrash) await gitsGone(repository, waitMs)
      return new RepositoryLock(server, file, isAfterCrash)
    } catch (error) {
      server.close()
      throw error
    }
  }

  async release(): Promise<void> {
    rmSync(this.#file, { force: true })
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

async function gitsGone(repository: string, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs
  for (let pid = gitAtWork(repository); pid !== undefined; pid = gitAtWork(repository)) {
    if (performance.now() > deadline) {
      const message = `git (process ${pid}) still works on ${repository} after ${waitMs / 1000} s; a run that was killed left it`
      throw new TarspoutError('ERR_STORE', message, { path: repository })
    }
    await delay(10)
  }
}

/** A git that changes the repository. */
function gitAtWork(repository: string): string | undefined {
  const { dev, ino } = statSync(repository)
  return readdirSync('/proc').find((pid) => {
    try {
      // Empty once it is a zombie.
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      const at = args.indexOf('--git-dir')
      if (at < 0 || !WRITERS.some((command) => args.includes(command))) return false
      const found = statSync(args[at + 1] ?? '')
      return found.dev === dev && found.ino === ino
    } catch {
      return false // no process, or it has ended, or works elsewhere
    }
  })
}
