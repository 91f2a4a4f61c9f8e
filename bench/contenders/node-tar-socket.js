import { writeByHand } from '../lib/node-tar.js'
import { openSocket, sendArchives } from '../lib/peers.js'

export const about = {
  title: 'node-tar Header by hand, net.Socket',
  kind: 'peer',
  packages: ['tar'],
}

export const run = (fifoPath, load) => sendArchives(fifoPath, load, openSocket, writeByHand)
