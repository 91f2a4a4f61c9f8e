import { runWriter } from '../lib/programs.js'

export const about = {
  title: 'C writer, vmsplice',
  kind: 'limit',
  packages: [],
  skips: (workload) => (workload.entriesPerArchive ? 'one write per archive, nothing to splice' : undefined),
}

export const run = (fifoPath, load) => runWriter('vmsplice', fifoPath, load)
