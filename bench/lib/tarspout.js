// tarspout as its users import it, from this checkout's build; loaded when a contender runs, so
// that a build that is missing or broken shows in the table with its reason.

export const tarspout = () => import('../../dist/index.js')

const endsPending = 1024

/** Sends a load with the imperative interface: beginCommit(), add(), end(). */
export async function sendCommits(fifoPath, load, options) {
  const { openSpout } = await tarspout()
  const spout = await openSpout({ path: fifoPath, connection: load.connection, ...options })
  const { mode, mtime } = load.cycle[0]
  const fields = { mode, mtime }
  let pending = []
  for (let i = 0; i < load.count; ) {
    if (load.pauseMs) await load.pause()
    load.beginning()
    const commit = spout.beginCommit()
    for (const end = i + load.entriesPerArchive; i < end; i++) {
      const { name, data } = load.at(i)
      if (!commit.add(name, data, fields)) await commit.ready()
    }
    pending.push(commit.end())
    if (load.pauseMs || pending.length === endsPending) {
      await Promise.all(pending)
      pending = []
      load.received()
    }
  }
  await Promise.all(pending)
  return { closing: spout.close() }
}

/** Sends a load with run(): the archive ends only where the load says so. */
export async function runSource(fifoPath, load, source) {
  const { openSpout } = await tarspout()
  const spout = await openSpout({ path: fifoPath, connection: load.connection })
  await spout.run(source, {
    toEntry: (entry) => entry,
    maxEntries: load.entriesPerArchive,
    maxBytes: Infinity,
    maxDelayMs: Infinity,
  })
  return { closing: spout.close() }
}

/**
 * run() takes its pace from its source, so that a single archive's latency is the imperative
 * interface's.
 */
export const skipsLatency = (workload) =>
  workload.pauseMs ? 'the same path as tarspout add(), which is measured' : undefined
