// 64 spouts wait for readers in one process: files are read beside them, and each delivers once its
// reader comes, while those before it still wait. Prints the longest time of each, in ms.
import { openSync, readSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { openSpout } from 'tarspout'
import { makeFifo } from '../../support/fifo.js'

const nonblocking = 0o4000
const now = () => Number(process.hrtime.bigint()) / 1e6

const fifos = Array.from({ length: 64 }, () => makeFifo())
const spouts = await Promise.all(fifos.map(({ path }) => openSpout({ path })))
const receipts = spouts.map((spout, index) => {
  const commit = spout.beginCommit()
  commit.add(`entry-${index}`, Buffer.alloc(1000, index))
  return commit.end()
})
let delivered = 0
for (const receipt of receipts) receipt.then(() => delivered++)

let worst = 0
for (let i = 0; i < 200; i++) {
  const before = now()
  await readFile(fileURLToPath(import.meta.url))
  worst = Math.max(worst, now() - before)
}
if (delivered > 0) throw new Error('delivered without a reader')
console.log(`readFile ${worst}`)

// Readers come one after the other, the last FIFO first; the others still wait.
const piece = Buffer.alloc(65536)
let slowest = 0
for (const index of fifos.keys()) {
  const which = fifos.length - 1 - index
  const before = now()
  const fd = openSync(fifos[which]?.path ?? '', nonblocking)
  const reading = setInterval(() => {
    try {
      readSync(fd, piece)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }, 1)
  const receipt = await receipts[which]
  clearInterval(reading)
  if (delivered !== fifos.length - which) throw new Error(`${delivered} delivered`)
  if (receipt?.attempts !== 1) throw new Error(`sent ${receipt?.attempts} times`)
  slowest = Math.max(slowest, now() - before)
}
console.log(`delivery ${slowest}`)
await Promise.all(spouts.map((spout) => spout.close()))
for (const fifo of fifos) fifo.remove()
