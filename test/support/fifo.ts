import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Makes a FIFO; Node has no call for it. */
export function mkfifo(...paths: string[]): void {
  execFileSync('mkfifo', paths)
}

const spareCount = 16
const spares: string[] = []
let spareFolder: string | undefined

/**
 * Puts a FIFO there that nobody has used: made ahead, with others, since starting a program takes
 * longer than most tests.
 */
function placeFifo(path: string): void {
  if (spareFolder === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'tarspout-fifos-'))
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    spareFolder = folder
  }
  if (spares.length === 0) {
    for (let i = 0; i < spareCount; i++) spares.push(join(spareFolder, String(i)))
    mkfifo(...spares)
  }
  renameSync(spares.pop() as string, path)
}

/** A FIFO in a folder of its own, behind a symlink as Pachyderm has it. */
export interface TestFifo {
  readonly folder: string
  /** The symlink: what writers and readers are given. */
  readonly path: string
  /** The FIFO itself. */
  readonly target: string
  remove(): void
}

export function makeFifo(): TestFifo {
  const folder = mkdtempSync(join(tmpdir(), 'tarspout-'))
  const target = join(folder, 'scratch/out')
  const path = join(folder, 'pfs/out')
  for (const name of ['scratch', 'pfs']) mkdirSync(join(folder, name))
  placeFifo(target)
  symlinkSync(target, path)
  return { folder, path, target, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

/**
 * A write end for tests: whole writes, and no thread ever blocked, for one blocked would hold up
 * the process's end.
 */
export class TestWriter {
  readonly #fd: number

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Settles once every byte is in the pipe. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      try {
        written += writeSync(this.#fd, bytes, written)
      } catch (error) {
        if (codeOf(error) !== 'EAGAIN') throw error
        await delay(1)
      }
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/**
 * Opens the FIFO for writing once a reader has it open or is blocked opening it; gives up after
 * about 20 s.
 */
export async function openWriter(path: string): Promise<TestWriter> {
  for (let tries = 0; ; tries++) {
    try {
      return new TestWriter(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK))
    } catch (error) {
      if (codeOf(error) !== 'ENXIO' || tries > 10_000) throw error
      await delay(1)
    }
  }
}

/** Whether a reader has the FIFO open, or is blocked opening it. */
export function hasReader(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch (error) {
    if (codeOf(error) !== 'ENXIO') throw error
    return false
  }
}

/**
 * Takes what lies unread in the FIFO, without waiting; a writer or another reader must keep the
 * pipe alive.
 */
export function takeUnread(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const parts: Buffer[] = []
  try {
    for (;;) {
      const part = Buffer.alloc(65536)
      const count = readSync(fd, part)
      if (count === 0) break
      parts.push(part.subarray(0, count))
    }
  } catch (error) {
    if (codeOf(error) !== 'EAGAIN') throw error
  } finally {
    closeSync(fd)
  }
  return Buffer.concat(parts)
}
