// Brings a spout into a state and measures the CPU time this process takes over some seconds in it:
// STATE PATH SECONDS OPTIONS_AS_JSON
import { setTimeout as delay } from 'node:timers/promises'
import { reach, type State } from './states.js'

const [state, path = '', seconds = '5', options = '{}'] = process.argv.slice(2)
await reach(state as State, path, JSON.parse(options))
await delay(1000)
const before = process.cpuUsage()
await delay(Number(seconds) * 1000)
const { user, system } = process.cpuUsage(before)
console.log(`cpu ${(user + system) / 1e6}`)
process.exit(0)
