// The bench's C programs (bench/c), built on first use.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cycleFile } from './workloads.js'

const benchFolder = join(dirname(fileURLToPath(import.meta.url)), '..')
const programs = join(benchFolder, '../build/bench')
const writeBytes = 256 * 1024

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
 * Starts the C reader on a FIFO. It is `ready` when it waits for a writer (or has ended). Its report comes when the write end is
 * closed, or when it is stopped.
 */
export function startReader(fifoPath, options) {
  const list = Object.entries(options).map(([name, value]) => `${name}=${value}`)
  const child = spawn(join(programs, 'reader'), [fifoPath, ...list], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => (output[name] += chunk))
  const report = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      if (status === 0) resolve(JSON.parse(output.stdout.slice(output.stdout.indexOf('\n'))))
      else reject(new Error(`the reader ended with ${signal ?? status}: ${output.stderr.trim()}`))
    })
  })
  report.catch(() => {}) // whoever waits for it still sees the failure
  const ready = new Promise((resolve) => {
    child.stdout.once('data', resolve)
    child.on('close', resolve)
  })
  return { ready, report, stop: () => child.kill('SIGTERM'), kill: () => child.kill('SIGKILL') }
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

/** Runs the C writer in the mode the load asks for; `way` is how its bytes leave: copy or vmsplice. */
export async function runWriter(way, fifoPath, load) {
  const file = cycleFile(load.folder)
  const rest = [fifoPath, file]
  let args = [way, ...rest, load.count / load.cycle.length, writeBytes]
  if (load.pauseMs) {
    args = ['latency', ...rest, load.archiveBytes, load.count, load.pauseMs * 1000]
  } else if (load.archiveCount > 1) {
    args = [load.connection, ...rest, load.archiveBytes, load.count]
  }
  try {
    const { stdout } = await execute(join(programs, 'writer'), args.map(String), { maxBuffer: 1 << 24 })
    return JSON.parse(stdout)
  } catch (error) {
    throw new Error(`the C writer: ${error.stderr?.trim() || error.message}`)
  }
}
