import SonicBoom from 'sonic-boom'
import { sendArchives, writeChunk } from '../lib/peers.js'

export const about = { title: 'sonic-boom, bytes only', kind: 'bytes', packages: ['sonic-boom'] }

const open = (dest) =>
  new SonicBoom({ dest, contentMode: 'buffer', maxWrite: 1 << 20, sync: false })

export const run = (fifoPath, load) =>
  sendArchives(fifoPath, load, open, async (stream, archive) => {
    archive.beginning()
    for (const chunk of archive.chunks()) await writeChunk(stream, chunk)
  })
