import { openSocket, sendArchives } from '../lib/peers.js'
import { packWith } from '../lib/tar-stream.js'

export const about = { title: 'tar-stream, net.Socket', kind: 'peer', packages: ['tar-stream'] }

export const run = (fifoPath, load) => sendArchives(fifoPath, load, openSocket, packWith())
