// One measurement of limits.js in a process of its own: limit-case.js MEASUREMENT FIFO [JSON].
// Sends its result.
import { openSync, readFileSync, readSync } from 'node:fs'
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { explain } from './explain.js'
import { tarspout } from './tarspout.js'

const [measurement, fifoPath, given] = process.argv.slice(2)
const options = given ? JSON.parse(given) : {}
const now = () => Number(process.hrtime.bigint())
const statusBytes = (field) =>
  Number(
    new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1],
  ) * 1024

/** Entries as a queue hands them over: each body its own memory. */
function* freshEntries(bodyBytes, count, taken = { bytes: 0 }) {
  for (let i = 0; i < count; i++) {
    taken.bytes += bodyBytes
    yield { name: `topic-${i % 4}-${i}`, data: Buffer.allocUnsafeSlow(bodyBytes) }
  }
}

async function* awaited(entries) {
  yield* entries
}

/**
 * What the longest stretch between two timers of a millisecond was spent on, in ms: finish() tells.
 */
function watchLongest() {
  const collections = []
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()))
  observer.observe({ entryTypes: ['gc'] })
  // How long this thread has run and how long it was ready to, in ns (proc(5), schedstat).
  const file = openSync('/proc/thread-self/schedstat', 'r')
  const text = Buffer.alloc(64)
  const waitedMs = () =>
    Number(text.toString('latin1', 0, readSync(file, text, 0, 64, 0)).split(' ')[1]) / 1e6
  let longest = { ms: 0 }
  let last = { at: performance.now(), waitedMs: waitedMs() }
  const timer = setInterval(() => {
    const next = { at: performance.now(), waitedMs: waitedMs() }
    const ms = next.at - last.at
    if (ms > longest.ms)
      longest = { ms, from: last.at, to: next.at, waitedMs: next.waitedMs - last.waitedMs }
    last = next
  }, 1)
  return function finish() {
    clearInterval(timer)
    collections.push(...observer.takeRecords())
    observer.disconnect()
    const inside = collections.filter(
      ({ startTime }) => startTime >= longest.from && startTime < longest.to,
    )
    return { ...longest, collectedMs: inside.reduce((sum, { duration }) => sum + duration, 0) }
  }
}

const measurements = {
  /** Memory while many bytes go through one spout. */
  async memory({ bodyBytes, totalBytes }) {
    const { openSpout } = await tarspout()
    const idleBytes = statusBytes('VmRSS')
    const spout = await openSpout({ path: fifoPath, connection: 'persistent' })
    await spout.run(awaited(freshEntries(bodyBytes, Math.ceil(totalBytes / bodyBytes))), {
      toEntry: (entry) => entry,
    })
    await spout.close()
    return { idleBytes, peakBytes: statusBytes('VmHWM') }
  },

  /**
   * How far a source runs ahead of a reader that has stopped reading: sampled until it has long
   * stalled.
   */
  async stall({ way, bodyBytes, totalBytes, highWaterMark, watchMs }) {
    const { openSpout, createFifoWriteStream } = await tarspout()
    const taken = { bytes: 0 }
    const entries = freshEntries(bodyBytes, Math.ceil(totalBytes / bodyBytes), taken)
    let finished
    if (way === 'write stream') {
      const stream = createFifoWriteStream(fifoPath, { highWaterMark })
      finished = (async () => {
        for (const { data } of entries) {
          if (!stream.write(data)) await new Promise((resolve) => stream.once('drain', resolve))
        }
        await new Promise((resolve) => stream.end(resolve))
      })()
    } else {
      const spout = await openSpout({ path: fifoPath, connection: 'persistent', highWaterMark })
      finished = (async () => {
        if (way === 'run') {
          await spout.run(awaited(entries), { toEntry: (entry) => entry })
        } else {
          const commit = spout.beginCommit()
          for (const { name, data } of entries) if (!commit.add(name, data)) await commit.ready()
          await commit.end()
        }
        await spout.close()
      })()
    }
    finished.catch(() => {})
    await sleep(watchMs / 3)
    const early = taken.bytes
    await sleep(watchMs / 3)
    const late = taken.bytes
    await finished
    return { early, late }
  },

  /**
   * The event loop's delay while entries go out as fast as they can; and with nothing sent, for
   * what the machine adds.
   */
  async loop({ way, bodyBytes, beginsMs, lastsMs }) {
    const { openSpout } = await tarspout()
    const delay = monitorEventLoopDelay({ resolution: 1 })
    // The histogram counts from timer to timer: the timer's own millisecond is no delay.
    const longestMs = () => Math.max(0, delay.max / 1e6 - 1)
    const body = Buffer.alloc(bodyBytes)
    const spout =
      way === 'idle' || way === 'source alone'
        ? undefined
        : await openSpout({ path: fifoPath, connection: 'persistent' })
    const until = now() + (beginsMs + lastsMs) * 1e6
    let sent = 0
    function* source() {
      for (; sent % 64 || now() < until; sent++) yield { name: `topic-0-${sent}`, data: body }
    }
    delay.enable()
    let begun
    setTimeout(() => {
      begun = { maxMs: longestMs(), finishWatch: watchLongest() }
      delay.reset()
    }, beginsMs)
    await sleep(2) // the histogram's timer has begun
    if (way === 'idle') {
      await sleep(beginsMs + lastsMs)
    } else if (way === 'source alone') {
      let began = performance.now()
      for (const _entry of source()) {
        if (sent % 64 !== 0 || performance.now() - began < 1) continue
        await nextTurn()
        began = performance.now()
      }
    } else if (way === 'add') {
      const commit = spout.beginCommit()
      for (const { name, data } of source()) if (!commit.add(name, data)) await commit.ready()
      await commit.end()
    } else {
      await spout.run(way === 'run, async' ? awaited(source()) : source(), {
        toEntry: (entry) => entry,
      })
    }
    await sleep(5) // and ends: a loop that never turned would else leave no trace
    delay.disable()
    await spout?.close()
    if (!begun || delay.count < 2) throw new Error('the event loop never turned')
    return { beginningMs: begun.maxMs, maxMs: longestMs(), longest: begun.finishWatch() }
  },

  /** Bytes queued, then JavaScript that holds its thread: what does the reader get meanwhile? */
  async block({ way, queuedBytes, blockMs, isBusy }) {
    const bytes = Buffer.alloc(queuedBytes)
    let finish
    if (way === 'openFifo') {
      const { openFifo } = await tarspout()
      const fifo = await openFifo(fifoPath)
      fifo.write(bytes)
      finish = async () => {
        await fifo.consumed()
        await fifo.close()
      }
    } else {
      const { closeStream, openSocket } = await import('./peers.js')
      const socket = openSocket(fifoPath)
      socket.write(bytes)
      finish = () => closeStream(socket)
    }
    await sleep(5)
    const from = now()
    if (isBusy) while (now() < from + blockMs * 1e6);
    else await sleep(blockMs)
    const to = now()
    await finish()
    return { from, to }
  },
}

try {
  process.send({ result: await measurements[measurement](options) })
} catch (error) {
  process.send({ failed: explain(error) })
}
process.disconnect()
