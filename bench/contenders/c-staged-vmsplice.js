import { runWriter, streamsOnly } from '../lib/programs.js'

export const about = {
  title: 'C writer, vmsplice by way of a pipe of its own',
  kind: 'limit',
  packages: [],
  skips: streamsOnly('stage'),
}

export const run = (fifoPath, load) => runWriter('staged-vmsplice', fifoPath, load)
