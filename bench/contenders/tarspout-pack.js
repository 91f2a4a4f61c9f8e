import { sendArchives } from '../lib/peers.js'
import { packWith } from '../lib/tar-stream.js'
import { tarspout } from '../lib/tarspout.js'

export const about = {
  title: 'tarspout pack(), createFifoWriteStream()',
  kind: 'tarspout',
  packages: [],
}

export async function run(fifoPath, load) {
  const { pack, createFifoWriteStream } = await tarspout()
  await sendArchives(fifoPath, load, (path) => createFifoWriteStream(path), packWith(pack))
}
