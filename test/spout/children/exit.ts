// Brings a spout into a state and ends the process: by process.exit(7), or ('fall') by having
// nothing left to do.
import { reach, type State } from './states.js'

const [state, path = '', how] = process.argv.slice(2)
await reach(state as State, path)
console.log('reached')
if (how !== 'fall') setImmediate(() => process.exit(7))
