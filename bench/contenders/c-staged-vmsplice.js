import { runWriter } from '../lib/programs.js'

export const about = {
  title: 'C writer, vmsplice by way of a pipe of its own',
  kind: 'limit',
  packages: [],
  skips: (workload) => (workload.entriesPerArchive ? 'one write per archive, nothing to stage' : undefined),
}

export const run = (fifoPath, load) => runWriter('staged-vmsplice', fifoPath, load)
