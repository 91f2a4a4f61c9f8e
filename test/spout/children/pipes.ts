// Sends a small archive: PATH GO. Prints "sent"; once the file GO is there sends a large one, and
// prints "large".
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { openSpout } from 'tarspout'

const [path = '', go = ''] = process.argv.slice(2)
const spout = await openSpout({ path, connection: 'persistent' })
for (const name of ['sent', 'large']) {
  while (name === 'large' && !existsSync(go)) await delay(5)
  const commit = spout.beginCommit()
  commit.add(name, Buffer.alloc(name === 'large' ? 4 << 20 : 100, name))
  await commit.end()
  console.log(name)
}
while (existsSync(go)) await delay(5)
await spout.close()
