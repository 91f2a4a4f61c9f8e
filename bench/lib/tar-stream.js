// tar-stream's pack() fed as its documentation says, each entry after the callback of the one
// before; the same code drives tarspout's pack(), which has the same interface.
import { once } from 'node:events'
import { pack as tarStreamPack } from 'tar-stream'

/** writeArchive for sendArchives, with tar-stream's pack() or another of its kind. */
export function packWith(pack = tarStreamPack) {
  return async (stream, archive) => {
    const packed = pack()
    const ended = once(packed, 'end')
    // pipe(), spelled out: tar-stream's would also end the stream, and the next archive needs it
    packed.on('data', (chunk) => {
      if (stream.write(chunk)) return
      packed.pause()
      stream.once('drain', () => packed.resume())
    })
    archive.beginning()
    for (const { name, data, size, mode, mtime } of archive.entries()) {
      await new Promise((resolve, reject) => {
        packed.entry({ name, size, mode, mtime }, data, (error) =>
          error ? reject(error) : resolve(),
        )
      })
    }
    packed.finalize()
    await ended
  }
}
