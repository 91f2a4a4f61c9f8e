import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

// Opens the FIFO, says so, and reads what it is told to on its input: a number of bytes, or "rest".
const SCRIPT = `exec 3<"$1"; echo open >&2
while read -r bytes; do
  if [ "$bytes" = rest ]; then exec cat <&3; else head -c "$bytes" <&3; fi
done`

/** A reader in its own process that opens a FIFO at once and reads only what it is told to. */
export class ByteReader {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #parts: Buffer[] = []
  #bytes = 0
  #waker: (() => void) | undefined

  constructor(path: string) {
    this.#child = spawn('sh', ['-c', SCRIPT, 'sh', path], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#exited = once(this.#child, 'close')
    // Killed, it does not take its orders any more.
    this.#child.stdin?.on('error', () => {})
    this.#child.stdout?.on('data', (part: Buffer) => {
      this.#parts.push(part)
      this.#bytes += part.length
      this.#waker?.()
    })
  }

  /** Settles when it has the FIFO open, which takes a writer. */
  async opened(): Promise<void> {
    if (this.#child.stderr) await once(this.#child.stderr, 'data')
  }

  /** Settles when it has read `bytes` more, with everything read so far. */
  async read(bytes: number): Promise<Buffer> {
    const wanted = this.#bytes + bytes
    this.#child.stdin?.write(`${bytes}\n`)
    while (this.#bytes < wanted) await new Promise<void>((resolve) => (this.#waker = resolve))
    return Buffer.concat(this.#parts)
  }

  /** Reads to the end of file; settles with everything read. */
  async rest(): Promise<Buffer> {
    this.#child.stdin?.end('rest\n')
    await this.#exited
    return Buffer.concat(this.#parts)
  }

  /** Ends it where it is, with the FIFO open; settles when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
