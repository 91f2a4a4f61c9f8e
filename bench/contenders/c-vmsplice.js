import { runWriter, streamsOnly } from '../lib/programs.js'

export const about = {
  title: 'C writer, vmsplice',
  kind: 'limit',
  packages: [],
  skips: streamsOnly('splice'),
}

export const run = (fifoPath, load) => runWriter('vmsplice', fifoPath, load)
