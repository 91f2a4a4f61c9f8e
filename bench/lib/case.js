// One contender with one workload in a process of its own. The parent sends what to run, a run at a
// time; the answer says what it cost. See runner.js.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { explain } from './explain.js'
import { findWorkload, Load } from './workloads.js'

/**
 * Puts this thread on another processor each round, where it stays if nothing drives it away: on a
 * shared machine one can be half as fast as another, for seconds or minutes.
 */
function moveOn(round) {
  const allowed = /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  const processors = allowed.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
  const next = String(processors[round % processors.length])
  for (const list of [next, allowed]) spawnSync('taskset', ['-pc', list, String(process.pid)])
}

/** Makes the kernel forget the peak so far, so that the next one is this run's. */
function resetPeakRss() {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // not permitted: the peak is then the process's
  }
}

const peakRssBytes = () =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024

const seconds = ({ user, system }) => (user + system) / 1e6

const [contenderName, workloadName] = process.argv.slice(2)

async function serve() {
  const { run } = await import(`../contenders/${contenderName}.js`)
  const workload = findWorkload(workloadName)
  if (workload.encoded.length === 0) throw new Error('an empty cycle')
  process.on('message', async ({ fifo, count, folder, warming, round }) => {
    try {
      if (round !== undefined) moveOn(round)
      const load = new Load(workload, count, folder, warming)
      resetPeakRss()
      const before = process.cpuUsage()
      const startedAt = process.hrtime.bigint()
      const { closing, ...own } = (await run(fifo, load)) ?? {}
      const endedAt = process.hrtime.bigint()
      const cost = { cpuSeconds: seconds(process.cpuUsage(before)), peakRssBytes: peakRssBytes() }
      process.send({
        startedAt: Number(startedAt),
        endedAt: Number(endedAt),
        lastTakenAt: Number(own.endedAt ?? load.lastTakenAt),
        beganAt: load.beganAt.map(Number),
        receiptsAt: load.receiptsAt.map(Number),
        isRead: closing !== undefined,
        ...cost,
        ...own,
      })
      await closing
    } catch (error) {
      process.send({ failed: explain(error) })
    }
  })
  process.send({ ready: true })
}

serve().catch((error) => {
  process.send({ failed: explain(error) }, () => process.exit(1))
})
