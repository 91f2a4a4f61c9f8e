// The bench's C programs (bench/c), built on first use.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cycleFile } from './workloads.js'

const benchFolder = join(dirname(fileURLToPath(import.meta.url)), '..')
const programs = join(benchFolder, '../build/bench')
const writeBytes = {
  copy: 256 * 1024,
  vmsplice: 256 * 1024,
  'staged-copy': 512 * 1024,
  'staged-vmsplice': 512 * 1024,
}

function promiseWithResolvers() {
  const settlers = {}
  settlers.promise = new Promise((resolve, reject) => Object.assign(settlers, { resolve, reject }))
  return settlers
}

/** Builds what is not up to date (`all`, or `micro`); throws with the compiler's words. */
export function buildPrograms(target = 'all') {
  const made = spawnSync('make', ['-s', '-C', join(benchFolder, 'c'), target], { encoding: 'utf8' })
  if (made.error) throw new Error(`the bench needs make and a C compiler: ${made.error.message}`)
  if (made.status !== 0) throw new Error(`bench/c does not build:\n${made.stdout}${made.stderr}`)
}

/** The nanoseconds per archive that the send window takes: { case: { step: ns } }. */
export function measureSendWindow() {
  buildPrograms('micro')
  return JSON.parse(execFileSync(join(programs, 'send-window-cost'), { encoding: 'utf8' }))
}

/**
 * A process of the C reader: one task after the other, since starting it costs as much as a short
 * run.
 */
class Reader {
  #child = spawn(join(programs, 'reader'), { stdio: ['pipe', 'pipe', 'pipe'] })
  #output = ''
  #stderr = ''
  #task

  constructor() {
    this.#child.stdout.setEncoding('utf8').on('data', (text) => this.#hear(text))
    this.#child.stderr.on('data', (chunk) => (this.#stderr += chunk))
    this.#child.stdin.on('error', () => {}) // of one that ended, which its close event tells
    this.#child.on('error', (error) => this.#fail(error))
    this.#child.on('close', (status, signal) =>
      this.#fail(new Error(`the reader ended with ${signal ?? status}: ${this.#stderr.trim()}`)),
    )
  }

  /** Whether the process lives for it. */
  #hold(isHeld) {
    const { stdin, stdout, stderr } = this.#child
    for (const part of [this.#child, stdin, stdout, stderr]) isHeld ? part.ref() : part.unref()
  }

  #hear(text) {
    this.#output += text
    for (let end = this.#output.indexOf('\n'); end >= 0; end = this.#output.indexOf('\n')) {
      const line = this.#output.slice(0, end)
      this.#output = this.#output.slice(end + 1)
      if (line === 'ready') {
        this.#task.ready.resolve()
        continue
      }
      const { report } = this.#task
      this.#task = undefined
      this.#hold(false)
      idleReaders.push(this)
      report.resolve(JSON.parse(line))
    }
  }

  #fail(error) {
    idleReaders = idleReaders.filter((reader) => reader !== this)
    this.#task?.ready.resolve()
    this.#task?.report.reject(error)
    this.#task = undefined
  }

  start(fifoPath, options) {
    const task = { ready: promiseWithResolvers(), report: promiseWithResolvers() }
    task.report.promise.catch(() => {}) // whoever waits for it still sees the failure
    this.#task = task
    this.#hold(true)
    const words = Object.entries(options).map(([name, value]) => `${name}=${value}`)
    this.#child.stdin.write(`${[fifoPath, ...words].join('\t')}\n`)
    const signal = (name) => this.#task === task && this.#child.kill(name)
    return {
      ready: task.ready.promise,
      report: task.report.promise,
      stop: () => signal('SIGTERM'),
      kill: () => signal('SIGKILL'),
    }
  }
}

let idleReaders = []

/**
 * Has the C reader read a FIFO. It is `ready` when it waits for a writer (or has ended). Its report
 * comes when the write end is closed, or when it is stopped.
 */
export function startReader(fifoPath, options) {
  return (idleReaders.pop() ?? new Reader()).start(fifoPath, options)
}

const execute = promisify(execFile)

/** Runs another program as the writer, for its times and memory; `fd` becomes its descriptor 3. */
export function runMeasured(command, fd) {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])]
    const child = spawn(join(programs, 'measure'), command, { stdio })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (status) => {
      if (status === 0) resolve(JSON.parse(stdout))
      else reject(new Error(`${command[0]} ended with ${status}: ${stderr.trim().split('\n')[0]}`))
    })
  })
}

/** What streams in calls of many entries takes no part where each archive is one write. */
export const streamsOnly = (toDo) => (workload) =>
  workload.entriesPerArchive ? `one write per archive, nothing to ${toDo}` : undefined

/**
 * Runs the C writer in the mode the load asks for; `way` is how its bytes leave, see writeBytes.
 */
export async function runWriter(way, fifoPath, load) {
  const file = cycleFile(load.folder)
  const rest = [fifoPath, file]
  let args = [way, ...rest, load.count / load.cycle.length, writeBytes[way]]
  if (load.pauseMs) {
    args = ['latency', ...rest, load.archiveBytes, load.count, load.pauseMs * 1000]
  } else if (load.archiveCount > 1) {
    args = [load.connection, ...rest, load.archiveBytes, load.count]
  }
  try {
    const { stdout } = await execute(join(programs, 'writer'), args.map(String), {
      maxBuffer: 1 << 24,
    })
    return JSON.parse(stdout)
  } catch (error) {
    throw new Error(`the C writer: ${error.stderr?.trim() || error.message}`)
  }
}
