import { sendCommits } from '../lib/tarspout.js'

export const about = { title: 'tarspout add(), zeroCopy', kind: 'tarspout', packages: [] }

export const run = (fifoPath, load) => sendCommits(fifoPath, load, { zeroCopy: true })
