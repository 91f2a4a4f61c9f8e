import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { ExecutionContext } from 'ava'
import { extract, type Header } from 'tar-stream'
import {
  type FifoOptions,
  type FifoWriter,
  openFifo,
  openSpout,
  type Spout,
  type SpoutOptions,
} from 'tarspout'
import { makeFifo, type TestFifo } from './fifo.js'
import { type FinishedCommit, type Generation, StandIn } from './stand-in.js'

export const packageFolder = fileURLToPath(new URL('../../', import.meta.url))

/** A FIFO for one test. */
export function fifoFor(t: ExecutionContext): TestFifo {
  const fifo = makeFifo()
  t.teardown(() => fifo.remove())
  return fifo
}

const signalOf = ({ signal }: { signal?: AbortSignal | undefined }, end: AbortController) =>
  signal ? AbortSignal.any([signal, end.signal]) : end.signal

/** A spout on it, ended with the test whatever its state. */
export async function spoutFor(
  t: ExecutionContext,
  fifo: TestFifo,
  options: SpoutOptions = {},
): Promise<Spout> {
  const end = new AbortController()
  const spout = await openSpout({ path: fifo.path, ...options, signal: signalOf(options, end) })
  t.teardown(() => {
    end.abort()
    return spout.close()
  })
  return spout
}

/** The same for an open FIFO. */
export async function writerFor(
  t: ExecutionContext,
  fifo: TestFifo,
  options: FifoOptions = {},
): Promise<FifoWriter> {
  const end = new AbortController()
  t.teardown(() => end.abort())
  const writer = await openFifo(fifo.path, { ...options, signal: signalOf(options, end) })
  t.teardown(() => {
    end.abort()
    return writer.close()
  })
  return writer
}

/** A reader as Pachyderm has it, in a process of its own. */
export function standInFor(
  t: ExecutionContext,
  fifo: TestFifo,
  generation: Generation,
  ...options: string[]
): StandIn {
  const reader = new StandIn(fifo, generation, options)
  t.teardown(() => reader.kill())
  return reader
}

/** `cat`: reads from one opening to the end of file. */
export class Cat {
  readonly pid: number | undefined
  /** Everything it read, once it saw the end of file. */
  readonly bytes: Promise<Buffer>
  readonly #kill: (signal: NodeJS.Signals) => void
  readonly #exited: Promise<unknown>

  constructor(t: ExecutionContext, path: string) {
    const child = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    this.pid = child.pid
    this.#kill = (signal) => child.kill(signal)
    this.#exited = once(child, 'exit')
    this.bytes = (async () => {
      const parts: Buffer[] = []
      for await (const part of child.stdout) parts.push(part)
      return Buffer.concat(parts)
    })()
  }

  /** Settles when it is gone, and its read end with it. */
  async kill(): Promise<void> {
    this.#kill('SIGKILL')
    await this.#exited
  }
}

/** A reader that reads only what it is told to, in this process. */
export class HeldReader {
  #fd: number

  constructor(t: ExecutionContext, path: string) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    t.teardown(() => this.close())
  }

  /** Reads exactly so many bytes, as they come. */
  async take(bytes: number): Promise<Buffer> {
    const taken = Buffer.alloc(bytes)
    for (let have = 0; have < bytes; ) have += await this.#read(taken, have)
    return taken
  }

  /** Reads what lies in the pipe, without waiting: how many bytes. */
  takeWhatIsThere(): number {
    const target = Buffer.alloc(1 << 20)
    let have = 0
    try {
      for (;;) {
        const count = readSync(this.#fd, target, 0, target.length, null)
        if (count === 0) return have
        have += count
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      return have
    }
  }

  async #read(target: Buffer, offset: number): Promise<number> {
    for (;;) {
      try {
        const count = readSync(this.#fd, target, offset, target.length - offset, null)
        if (count > 0) return count
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      await delay(1)
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }
}

/** Sends an archive of one entry and reads it whole: delivered. */
export async function deliverOne(spout: Spout, reader: HeldReader): Promise<void> {
  const commit = spout.beginCommit()
  commit.add('a', 'a')
  const ended = commit.end()
  await reader.take(archiveSize(1))
  await ended
}

/** For what gives no event: looks every millisecond. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`it never came to this: ${what}`)
    await delay(1)
  }
}

export interface ReadEntry {
  readonly header: Omit<Header, 'pax'> & { pax?: Record<string, string> | null | undefined }
  readonly name: string
  readonly body: Buffer
}

/** What another tar library reads from an archive. */
export async function readArchive(bytes: Buffer): Promise<ReadEntry[]> {
  const entries: ReadEntry[] = []
  const reader = extract()
  reader.end(bytes)
  for await (const entry of reader) {
    const parts: Buffer[] = []
    for await (const part of entry) parts.push(part as Buffer)
    entries.push({
      header: entry.header as ReadEntry['header'],
      name: entry.header.name,
      body: Buffer.concat(parts),
    })
  }
  return entries
}

/** Bytes that differ from place to place, so that a wrong one shows. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = 0x20 + ((i * 31 + (i >> 8) * 7) % 95)
  return bytes
}

/** What an archive of regular files without pax records takes. */
export function archiveSize(...sizes: number[]): number {
  return sizes.reduce((sum, size) => sum + 512 + Math.ceil(size / 512) * 512, 1024)
}

/**
 * The code a call ends with: of what it throws or rejects with (a class's name where there is
 * none), or 'ok'.
 */
export async function outcome(call: () => unknown): Promise<string> {
  try {
    await call()
    return 'ok'
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return name === 'AbortError' ? name : (code ?? name)
  }
}

/** Runs a script in a process of its own. */
export function runScript(script: string, env: NodeJS.ProcessEnv = {}, ...words: string[]) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...words], {
    cwd: packageFolder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = (async () => {
    let text = ''
    for await (const part of child.stdout) text += part
    return text
  })()
  const exited = once(child, 'exit')
  return { output, exited }
}

/**
 * The commits a reader took for whole, without empty ones, and without what was sent again right
 * behind, an archive or a pair: readers that come and go (A and B) can cost that when the machine
 * is slow, as a receipt's `attempts` tells.
 */
export function wholeOf(commits: readonly FinishedCommit[]): FinishedCommit[] {
  const whole = commits.filter(({ complete, entries }) => complete && entries.length > 0)
  const isAgain = (i: number, back: number) =>
    isDeepStrictEqual(whole[i]?.entries, whole[i - back]?.entries)
  const isOfPair = (i: number) => isAgain(i, 2) && (isAgain(i - 1, 2) || isAgain(i + 1, 2))
  return whole.filter((_, i) => !isAgain(i, 1) && !isOfPair(i))
}
