import { openSocket, sendArchives, writeChunk } from '../lib/peers.js'

export const about = { title: 'net.Socket, bytes only', kind: 'bytes', packages: [] }

export const run = (fifoPath, load) =>
  sendArchives(fifoPath, load, openSocket, async (stream, archive) => {
    archive.beginning()
    for (const chunk of archive.chunks()) await writeChunk(stream, chunk)
  })
