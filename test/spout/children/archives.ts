// Sends many small archives: --path P --archives N [--connection C] [--confirm C]. Prints RSS and
// descriptors on the way.
import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openSpout } from 'tarspout'

const { values } = parseArgs({
  options: {
    path: { type: 'string', default: '' },
    archives: { type: 'string', default: '1000000' },
    connection: { type: 'string', default: 'persistent' },
    confirm: { type: 'string', default: 'read' },
  },
})
const archives = Number(values.archives)
const connection = values.connection === 'persistent' ? 'persistent' : 'per-archive'
const confirm = values.confirm === 'read' ? 'read' : 'committed'
const spout = await openSpout({ path: values.path, connection, confirm })
const body = Buffer.alloc(100, 'x')
let pending: Promise<unknown>[] = []
for (let archive = 0; archive < archives; archive++) {
  const commit = spout.beginCommit()
  if (!commit.add(`a${archive}`, body)) await commit.ready()
  pending.push(commit.end())
  if (pending.length >= (connection === 'persistent' ? 64 : 1)) {
    await Promise.all(pending)
    pending = []
  }
  if ((archive + 1) % Math.ceil(archives / 10) === 0) {
    globalThis.gc?.()
    const descriptors = readdirSync('/proc/self/fd').length
    console.log(
      JSON.stringify({ archive: archive + 1, rss: process.memoryUsage.rss(), descriptors }),
    )
  }
}
await Promise.all(pending)
await spout.close()
console.log('done')
