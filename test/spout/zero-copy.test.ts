// What `zeroCopy` promises, and what it demands of its user (README, Zero copy).
import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { Receipt, Spout } from 'tarspout'
import { Cat, fifoFor, readArchive, spoutFor } from '../support/spout.js'

// Encoded by JavaScript's thread, handed over many at a time, and borrowed.
const COUNTS: readonly (readonly [count: number, size: number])[] = [
  [20, 300],
  [200, 100],
  [3, 5_000],
  [100, 700],
  [6, 100_000],
]

interface Part {
  readonly name: string
  readonly data: Buffer
}

/** The entries of archive k, each body filled with what tells it from all others. */
function partsOf(k: number): Part[] {
  return COUNTS.flatMap(([count, size], kind) =>
    Array.from({ length: count }, (_, i) => ({
      name: `${kind}-${i}`,
      data: Buffer.alloc(size, `archive ${k} entry ${kind}-${i} `),
    })),
  )
}

async function send(spout: Spout, parts: readonly Part[]): Promise<{ ended: Promise<Receipt> }> {
  const commit = spout.beginCommit()
  for (const { name, data } of parts) {
    if (!commit.add(name, data)) await commit.ready()
  }
  return { ended: commit.end() }
}

/** Of archives one behind the other: how many are what was sent. */
async function intact(bytes: Buffer, receipts: readonly Receipt[]): Promise<number> {
  let at = 0
  let count = 0
  for (const [k, receipt] of receipts.entries()) {
    const archive = bytes.subarray(at, at + receipt.bytes)
    at += receipt.bytes
    const entries = await readArchive(archive).catch(() => [])
    const parts = partsOf(k)
    const isIntact =
      entries.length === parts.length &&
      parts.every(({ name, data }, i) => entries[i]?.name === name && entries[i]?.body.equals(data))
    if (isIntact) count++
  }
  return count
}

/** Sends archives that reuse one another's memory: after its receipt each body is overwritten. */
async function sendAndOverwrite(spout: Spout, archives: number): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  const memory = partsOf(0)
  for (let k = 0; k < archives; k++) {
    for (const [i, { data }] of partsOf(k).entries()) data.copy(memory[i]?.data as Buffer)
    const { ended } = await send(spout, memory)
    receipts.push(await ended)
    for (const { data } of memory) data.fill(0xff)
  }
  return receipts
}

function handedOn(t: ExecutionContext, path: string): Promise<Buffer> {
  const program = fileURLToPath(new URL('../../test/readers/splice.py', import.meta.url))
  const child = spawn('python3', [program, path, '200'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return (async () => {
    const parts: Buffer[] = []
    for await (const part of child.stdout) parts.push(part)
    return Buffer.concat(parts)
  })()
}

test('a reader that is stopped for seconds, with everything full, then reads what was added', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { zeroCopy: true, connection: 'persistent' })
  const cat = new Cat(t, fifo.path)
  const receipts = [await (await send(spout, partsOf(0))).ended]
  process.kill(cat.pid as number, 'SIGSTOP')
  const sending = (async () => {
    for (let k = 1; k < 20; k++) receipts.push(await (await send(spout, partsOf(k))).ended)
  })()
  await delay(2500)
  t.true(receipts.length < 20)
  process.kill(cat.pid as number, 'SIGCONT')
  await sending
  await spout.close()
  t.is(await intact(await cat.bytes, receipts), 20)
})

test('the same with many archives on their way', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { zeroCopy: true, connection: 'persistent' })
  const cat = new Cat(t, fifo.path)
  const ends: Promise<Receipt>[] = []
  for (let k = 0; k < 20; k++) ends.push((await send(spout, partsOf(k))).ended)
  process.kill(cat.pid as number, 'SIGSTOP')
  const sending = (async () => {
    for (let k = 20; k < 40; k++) ends.push((await send(spout, partsOf(k))).ended)
    return Promise.all(ends)
  })()
  await delay(1500)
  process.kill(cat.pid as number, 'SIGCONT')
  const receipts = await sending
  await spout.close()
  t.is(await intact(await cat.bytes, receipts), 40)
})

for (const zeroCopy of [true, false]) {
  test(`bodies may be overwritten after the receipt, ${zeroCopy ? 'mapped' : 'copied'}`, async (t) => {
    const fifo = fifoFor(t)
    const spout = await spoutFor(t, fifo, { zeroCopy, connection: 'persistent' })
    const cat = new Cat(t, fifo.path)
    const receipts = await sendAndOverwrite(spout, 30)
    await spout.close()
    t.is(await intact(await cat.bytes, receipts), 30)
  })
}

test('a reader that hands pages on by splice(2) gets copied archives whole, whatever happens to the bodies', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { connection: 'persistent' })
  const bytes = handedOn(t, fifo.path)
  const receipts = await sendAndOverwrite(spout, 6)
  await spout.close()
  t.is(await intact(await bytes, receipts), 6)
})

// Why the README forbids it. Should this ever fail, the README can allow it.
test('with zeroCopy such a reader sees what happens to the memory after the receipt', async (t) => {
  const fifo = fifoFor(t)
  const spout = await spoutFor(t, fifo, { zeroCopy: true, connection: 'persistent' })
  const bytes = handedOn(t, fifo.path)
  const receipts = await sendAndOverwrite(spout, 6)
  await spout.close()
  t.true((await intact(await bytes, receipts)) < 6)
})
