// Aborts many spouts right after their archives were ended, and says how many of the bodies lent to
// them are kept. --expose-gc
import { setImmediate as turn } from 'node:timers/promises'
import { openSpout } from 'tarspout'
import { makeFifo } from '../../support/fifo.js'

const gc = globalThis.gc
if (!gc) throw new Error('needs --expose-gc')
const bodies: WeakRef<Uint8Array>[] = []

async function endAndAbort(): Promise<void> {
  const fifo = makeFifo()
  const aborting = new AbortController()
  const spout = await openSpout({ path: fifo.path, signal: aborting.signal })
  for (let i = 0; i < 3; i++) {
    const body = new Uint8Array(17 << 10)
    bodies.push(new WeakRef(body))
    const commit = spout.beginCommit()
    commit.add('entry', body)
    commit.end().catch(() => {})
  }
  aborting.abort()
  // So long the engine has to be done with it, before anything else runs here.
  for (const until = performance.now() + 5; performance.now() < until; );
  await turn()
  fifo.remove()
}

for (let i = 0; i < 20; i++) await endAndAbort()
for (let i = 0; i < 20; i++) {
  gc()
  await turn()
}
console.log(`kept ${bodies.filter((body) => body.deref() !== undefined).length}`)
