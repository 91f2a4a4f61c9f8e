import { runWriter } from '../lib/programs.js'

export const about = { title: 'C writer, copying', kind: 'limit', packages: [] }

export const run = (fifoPath, load) => runWriter('copy', fifoPath, load)
