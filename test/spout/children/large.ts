// Sends archives of large bodies, on the processors named: PATH PROCESSORS ARCHIVES ENTRIES BYTES.
// Prints "sent" and the names of this process's threads.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { openSpout } from 'tarspout'

const [path = '', processors = '', ...counts] = process.argv.slice(2)
const [archives = 0, entries = 0, bytes = 0] = counts.map(Number)
// The engine's threads, which are not there yet, get what this one has.
execFileSync('taskset', ['-pc', processors, String(process.pid)])

const spout = await openSpout({ path, connection: 'persistent' })
for (let archive = 0; archive < archives; archive++) {
  const commit = spout.beginCommit()
  for (let entry = 0; entry < entries; entry++) {
    const name = `${archive}-${entry}`
    if (!commit.add(name, Buffer.alloc(bytes, name))) await commit.ready()
  }
  await commit.end()
}
const tasks = readdirSync('/proc/self/task')
console.log(
  'sent',
  ...tasks.map((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()),
)
await spout.close()
