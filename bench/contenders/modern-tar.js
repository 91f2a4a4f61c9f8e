import { createTarPacker } from 'modern-tar'
import { openSocket, sendArchives, writeChunk } from '../lib/peers.js'

export const about = { title: 'modern-tar, net.Socket', kind: 'peer', packages: ['modern-tar'] }

export const run = (fifoPath, load) =>
  sendArchives(fifoPath, load, openSocket, async (stream, archive) => {
    const { readable, controller } = createTarPacker()
    const piped = (async () => {
      for await (const chunk of readable) await writeChunk(stream, chunk)
    })()
    archive.beginning()
    for (const { name, data, size, mode, mtime } of archive.entries()) {
      const writer = controller.add({ name, size, mode, mtime, type: 'file' }).getWriter()
      if (size > 0) await writer.write(data)
      await writer.close()
    }
    controller.finalize()
    await piped
  })
