import { sendArchives, writeChunk } from '../lib/peers.js'
import { tarspout } from '../lib/tarspout.js'

export const about = {
  title: 'tarspout createFifoWriteStream(), bytes only',
  kind: 'bytes',
  packages: [],
}

export async function run(fifoPath, load) {
  const { createFifoWriteStream } = await tarspout()
  await sendArchives(
    fifoPath,
    load,
    (path) => createFifoWriteStream(path),
    async (stream, archive) => {
      archive.beginning()
      for (const chunk of archive.chunks()) await writeChunk(stream, chunk)
    },
  )
}
