// Sends archives until V8 has compiled the way they take, then some more after each of several
// garbage collections that find none. --expose-gc
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSpout } from 'tarspout'
import { makeFifo } from '../../support/fifo.js'

const gc = globalThis.gc
if (!gc) throw new Error('needs --expose-gc')
const fifo = makeFifo()
const cat = spawn('sh', ['-c', 'exec cat "$0" > /dev/null', fifo.path], { stdio: 'ignore' })
const spout = await openSpout({ path: fifo.path, connection: 'persistent' })
const body = Buffer.alloc(100)

async function send(count: number): Promise<void> {
  let ends: Promise<unknown>[] = []
  for (let i = 0; i < count; i++) {
    const commit = spout.beginCommit()
    for (let k = 0; k < 4; k++) commit.add(`entry-${k}`, body)
    ends.push(commit.end())
    if (ends.length < 16 && i < count - 1) continue
    await Promise.all(ends)
    ends = []
  }
}

for (let round = 0; round < 3; round++) {
  await send(10_000)
  await sleep(50) // the compiler is a thread of its own
}
console.log('warm')
for (let round = 0; round < 5; round++) {
  gc()
  await sleep(10)
  await send(100)
}
console.log('sent')
await spout.close()
cat.kill()
fifo.remove()
