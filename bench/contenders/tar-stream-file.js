import { openFileStream, sendArchives } from '../lib/peers.js'
import { packWith } from '../lib/tar-stream.js'

export const about = {
  title: 'tar-stream, fs.createWriteStream',
  kind: 'peer',
  packages: ['tar-stream'],
}

export const run = (fifoPath, load) => sendArchives(fifoPath, load, openFileStream, packWith())
