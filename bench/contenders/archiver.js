import { once } from 'node:events'
import { TarArchive } from 'archiver'
import { openSocket, sendArchives } from '../lib/peers.js'

// append() tells nothing of backpressure; so many entries are handed over before the last is waited
// for.
const entriesAhead = 256

export const about = { title: 'archiver, net.Socket', kind: 'peer', packages: ['archiver'] }

export const run = (fifoPath, load) =>
  sendArchives(fifoPath, load, openSocket, async (stream, archive) => {
    const packed = new TarArchive({})
    const ended = once(packed, 'end')
    packed.pipe(stream, { end: false })
    let waiting = 0
    let resume = () => {}
    packed.on('entry', () => {
      if (--waiting === 0) resume()
    })
    archive.beginning()
    for (const { name, data, mode, mtime } of archive.entries()) {
      packed.append(data, { name, mode, date: mtime })
      if (++waiting === entriesAhead) await new Promise((resolve) => (resume = resolve))
    }
    await packed.finalize()
    await ended
  })
