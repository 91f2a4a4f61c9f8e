import { runSource, skipsLatency } from '../lib/tarspout.js'

export const about = {
  title: 'tarspout run(), iterable',
  kind: 'tarspout',
  packages: [],
  skips: skipsLatency,
}

export const run = (fifoPath, load) => runSource(fifoPath, load, load.entries())
