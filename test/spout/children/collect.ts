// Brings many spouts into a state, drops them, and collects garbage until nothing more happens.
// --expose-gc
import { readdirSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { makeFifo } from '../../support/fifo.js'
import { reach, type State } from './states.js'

const state = process.argv[2] as State
const gc = globalThis.gc
if (!gc) throw new Error('needs --expose-gc')
const fifos = []
for (let i = 0; i < 20; i++) {
  const fifo = makeFifo()
  fifos.push(fifo)
  await reach(state, fifo.path)
  gc()
  await turn()
}
for (let i = 0; i < 20; i++) {
  gc()
  await turn()
}
console.log(`descriptors ${readdirSync('/proc/self/fd').length}`)
for (const fifo of fifos) fifo.remove()
process.exit(0)
