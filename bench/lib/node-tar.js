// node-tar's Header filled in by hand. Small entries are gathered into one buffer of 64 KiB before
// they are written, large bodies go out by reference: what a careful user would write without a
// packer.
import { Header, Pax } from 'tar'
import { marker } from './archive.js'
import { writeChunk } from './peers.js'

const batchBytes = 64 * 1024
const largeBytes = 16 * 1024
const blockBytes = 512
const padding = Buffer.alloc(blockBytes)

/** writeArchive for sendArchives. */
export async function writeByHand(stream, archive) {
  let batch = Buffer.allocUnsafe(batchBytes)
  let filled = 0
  const flush = async () => {
    if (filled === 0) return
    const full = batch.subarray(0, filled)
    batch = Buffer.allocUnsafe(batchBytes)
    filled = 0
    await writeChunk(stream, full)
  }
  archive.beginning()
  for (const { name, data, size, mode, mtime } of archive.entries()) {
    const fields = { path: name, size, mode, mtime, uid: 0, gid: 0, type: 'File' }
    if (filled + 4 * blockBytes > batchBytes) await flush()
    const header = new Header(fields)
    batch.fill(0, filled, filled + blockBytes)
    if (header.encode(batch, filled)) {
      const extended = new Pax(fields).encode()
      if (filled + extended.length + blockBytes > batchBytes) await flush()
      extended.copy(batch, filled)
      filled += extended.length
      batch.fill(0, filled, filled + blockBytes)
      header.encode(batch, filled)
    }
    filled += blockBytes
    const padBytes = -size & (blockBytes - 1)
    if (size >= largeBytes) {
      const headers = batch.subarray(0, filled)
      batch = Buffer.allocUnsafe(batchBytes)
      filled = 0
      stream.cork()
      stream.write(headers)
      let more = stream.write(data)
      if (padBytes > 0) more = stream.write(padding.subarray(0, padBytes))
      stream.uncork()
      if (!more && stream.writableNeedDrain)
        await new Promise((resolve) => stream.once('drain', resolve))
      continue
    }
    if (filled + size + padBytes > batchBytes) await flush()
    data.copy(batch, filled)
    filled += size
    batch.fill(0, filled, filled + padBytes)
    filled += padBytes
  }
  await flush()
  await writeChunk(stream, marker)
}
