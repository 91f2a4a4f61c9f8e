import { writeByHand } from '../lib/node-tar.js'
import { openFileStream, sendArchives } from '../lib/peers.js'

export const about = {
  title: 'node-tar Header by hand, fs.createWriteStream',
  kind: 'peer',
  packages: ['tar'],
}

export const run = (fifoPath, load) => sendArchives(fifoPath, load, openFileStream, writeByHand)
