// Sends many archives in each way, and throws away what it can: commits, spouts, worker threads.
// Prints how the memory grew. Usage: node --expose-gc scripts/leaks.js [archives [MiB]]. Fails if
// it grew by more than so many MiB after the first fifth.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { openFifo, openSpout } from '../dist/index.js'

const [archives, most] = [process.argv[2] ?? 1_000_000, process.argv[3] ?? 16].map(Number)
const folder = mkdtempSync(join(tmpdir(), 'leaks-'))
const path = join(folder, 'out')
execFileSync('mkfifo', [path])
const reader = spawn('sh', ['-c', 'while cat "$1"; do :; done >/dev/null', 'sh', path], {
  stdio: 'ignore',
  detached: true,
})

const large = Buffer.alloc(40_000, 'x') // is borrowed
const WORKER = `import { openSpout } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
const { path } = (await import('node:worker_threads')).workerData
const spout = await openSpout({ path })
spout.beginCommit().add('begun', 'x'.repeat(100))
process.exit()`

async function rounds(count) {
  for (let left = count; left > 0; ) {
    const spout = await openSpout({ path, connection: 'persistent' })
    const receipts = []
    for (const last = left - 50_000; left > Math.max(last, 0); left--) {
      const commit = spout.beginCommit()
      commit.add(`n-${left}`, left % 100 === 0 ? large : 'body')
      if (left % 1000 === 0) commit.add(`${left}-`.repeat(60), 'a pax header')
      if (left % 777 === 0) {
        commit.abort()
        continue
      }
      receipts.push(commit.end())
      if (receipts.length === 256) await Promise.all(receipts.splice(0))
    }
    await Promise.all(receipts)
    await spout.close()
    const fifo = await openFifo(path)
    try {
      fifo.write(large)
      await fifo.consumed()
    } catch {} // a cat that was just leaving may have taken the opening
    await fifo.close().catch(() => {})
    const waiting = await openSpout({ path })
    waiting.beginCommit().add('never ended', large)
    await waiting.close().catch(() => {})
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(WORKER)}`), {
      workerData: { path },
    })
    await new Promise((resolve) => worker.once('exit', resolve))
  }
  globalThis.gc?.()
  return process.memoryUsage().rss / 2 ** 20
}

try {
  const sizes = []
  for (let fifth = 0; fifth < 5; fifth++) {
    sizes.push(await rounds(Math.ceil(archives / 5)))
    console.log(`${sizes.length} fifths of ${archives} archives: ${sizes.at(-1).toFixed(1)} MiB`)
  }
  if (sizes.at(-1) > sizes[0] + most) process.exitCode = 1
} finally {
  process.kill(-reader.pid)
  rmSync(folder, { recursive: true })
}
