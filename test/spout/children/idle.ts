// Brings a spout into a state and measures the CPU time this process takes over some seconds in it,
// and how often its engine wakes: STATE PATH SECONDS OPTIONS_AS_JSON
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { reach, type State } from './states.js'

const [state, path = '', seconds = '5', options = '{}'] = process.argv.slice(2)
await reach(state as State, path, JSON.parse(options))
await delay(1000)
/** How often the engine's thread went to sleep. */
function sleeps(): number {
  const tasks = '/proc/self/task'
  const engine = readdirSync(tasks).find(
    (task) => readFileSync(`${tasks}/${task}/comm`, 'utf8') === 'tarspout\n',
  )
  const status = readFileSync(`${tasks}/${engine}/status`, 'utf8')
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1])
}

const sleepsBefore = sleeps()
const before = process.cpuUsage()
await delay(Number(seconds) * 1000)
const { user, system } = process.cpuUsage(before)
console.log(`cpu ${(user + system) / 1e6}`)
console.log(`wakes ${sleeps() - sleepsBefore}`)
process.exit(0)
