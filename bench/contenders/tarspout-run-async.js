import { runSource, skipsLatency } from '../lib/tarspout.js'

export const about = {
  title: 'tarspout run(), async iterable',
  kind: 'tarspout',
  packages: [],
  skips: skipsLatency,
}

async function* messages(load) {
  for (let i = 0; i < load.count; i++) yield load.at(i)
}

export const run = (fifoPath, load) => runSource(fifoPath, load, messages(load))
