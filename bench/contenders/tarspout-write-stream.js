import { sendArchives } from '../lib/peers.js'
import { packWith } from '../lib/tar-stream.js'
import { tarspout } from '../lib/tarspout.js'

export const about = {
  title: 'tar-stream, tarspout createFifoWriteStream()',
  kind: 'tarspout',
  packages: ['tar-stream'],
}

export async function run(fifoPath, load) {
  const { createFifoWriteStream } = await tarspout()
  await sendArchives(fifoPath, load, (path) => createFifoWriteStream(path), packWith())
}
