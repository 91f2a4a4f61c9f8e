// What the contenders have in common: opening the FIFO the way Node's users do, and one archive
// after another.
import { once } from 'node:events'
import { constants, createWriteStream, openSync } from 'node:fs'
import { Socket } from 'node:net'

/** A net.Socket on the FIFO's descriptor: the fastest way out that Node itself has. */
export function openSocket(fifoPath) {
  const fd = openSync(fifoPath, constants.O_WRONLY)
  return new Socket({ fd, readable: false, writable: true })
}

/** What most people write. */
export const openFileStream = (fifoPath) => createWriteStream(fifoPath)

/** Ends a stream and waits until its descriptor is closed. */
export async function closeStream(stream) {
  const closed = once(stream, 'close')
  stream.end()
  await closed
}

/** Writes, and waits where the stream asks for it. */
export async function writeChunk(stream, chunk) {
  if (!stream.write(chunk)) await once(stream, 'drain')
}

/**
 * Sends a load: opens the FIFO once, or for every archive, and has `writeArchive(stream, archive)`
 * write each. archive: { entries(), chunks(), beginning() }.
 */
export async function sendArchives(fifoPath, load, open, writeArchive) {
  let stream = load.connection === 'persistent' ? open(fifoPath) : undefined
  for (let k = 0; k < load.archiveCount; k++) {
    if (load.pauseMs) await load.pause()
    if (load.connection === 'per-archive') stream = open(fifoPath)
    await writeArchive(stream, {
      entries: () => load.entries(k * load.entriesPerArchive, (k + 1) * load.entriesPerArchive),
      chunks: () => load.chunks(k),
      beginning: () => load.beginning(),
    })
    if (load.connection === 'per-archive') await closeStream(stream)
  }
  if (load.connection === 'persistent') await closeStream(stream)
}
