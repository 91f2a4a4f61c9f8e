// Sends one archive of one entry: PATH BYTES. Prints "written" once all of it is in the pipe, then
// "delivered" and the attempts.
import { setTimeout as delay } from 'node:timers/promises'
import { openSpout } from 'tarspout'
import { archiveSize, pattern } from '../../support/spout.js'

const [path = '', bytes] = process.argv.slice(2)
const size = Number(bytes)
const spout = await openSpout({ path })
const commit = spout.beginCommit()
commit.add('a', pattern(size))
const ended = commit.end()
while (spout.stats().bytesWritten < archiveSize(size)) await delay(1)
console.log('written')
const { attempts } = await ended
console.log(`delivered ${attempts}`)
await spout.close()
