import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { TarspoutError } from '../base/errors.js'
import { spawnApart } from '../base/program.js'
import { gitEnvironment } from './git.js'

/**
 * One `git fast-import` process: commands go in, each question gets one line of answer, in order.
 *
 * `--done` makes a stream that simply ends an error, so a runner that is killed in the middle of a commit leaves none.
 * The process leads a group of its own: Ctrl-C on the terminal does not reach it, and its end comes with that of its
 * standard input.
 */
export class FastImport {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #answers: { resolve: (line: string) => void; reject: (error: unknown) => void }[] = []
  readonly #closed: Promise<void>
  #partial = ''
  #complaint = ''
  #failure: TarspoutError | undefined

  constructor(repository: string) {
    const config = [
      // Without any, more has to be hashed and written, which takes longer.
      'core.compression=1',
      // A checkpoint keeps its pack; to unpack it would take another process each time.
      'fastimport.unpackLimit=0',
      // On the disk before the checkpoint is answered; git's own default leaves out the branch.
      'core.fsync=committed,derived-metadata,reference',
    ]
    const args = ['--git-dir', repository, ...config.flatMap((setting) => ['-c', setting])]
    const child = spawnApart(() =>
      spawn('git', [...args, 'fast-import', '--quiet', '--done', '--date-format=raw'], {
        env: gitEnvironment(),
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      }),
    )
    this.#child = child
    child.stdout.setEncoding('latin1').on('data', (text: string) => this.#read(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-4096)
    })
    child.stdin.on('error', () => {}) // EPIPE: the end of the process says more
    this.#closed = new Promise((resolve) => {
      child.on('error', (cause) => this.#end(`git cannot be run: ${cause.message}`))
      child.on('close', (status, signal) => {
        this.#end(`git fast-import ended with ${signal ?? status}: ${this.#complaint.trim()}`)
        resolve()
      })
    })
  }

  /** What git wrote to its standard error so far, for a message. */
  get complaint(): string {
    return this.#complaint.trim()
  }

  /** Sends a command or a piece of data; waits while the pipe is full. */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure
    if (!this.#child.stdin.write(data))
      await Promise.race([once(this.#child.stdin, 'drain'), this.#closed])
    if (this.#failure) throw this.#failure
  }

  /** Sends a command that is answered by one line. */
  ask(command: string): Promise<string> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#answers.push({ resolve, reject })
      this.#child.stdin.write(command)
    })
  }

  /** Ends the process; what was not followed by a checkpoint is then in the repository, too. */
  async close(): Promise<void> {
    this.#child.stdin.end('done\n')
    await this.#closed
  }

  /** Ends the process at once; what was not followed by a checkpoint is not in the repository. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split('\n')
    this.#partial = lines.pop() ?? ''
    for (const line of lines) this.#answers.shift()?.resolve(line)
  }

  #end(message: string): void {
    this.#failure ??= new TarspoutError('ERR_STORE', message)
    for (const { reject } of this.#answers.splice(0)) reject(this.#failure)
  }
}

/** A path as fast-import reads it: quoted, since it may begin with a quote. */
export function quotePath(path: string): string {
  return `"${path.replace(/[\\"]/g, '\\$&')}"`
}
