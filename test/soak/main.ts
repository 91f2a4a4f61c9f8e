// What takes too long for `npm test`, or is a matter of time: `npm run soak`.

import type { State } from '../spout/children/states.js'
import { readOptions } from '../support/arguments.js'
import { Child } from '../support/child.js'
import { makeFifo } from '../support/fifo.js'
import { StandIn } from '../support/stand-in.js'

const usage = `npm run soak [-- OPTIONS]

Memory and descriptors over many archives in one process, the CPU time of waiting, and whether many that wait delay others. Prints what
is demanded and what was measured, and ends with 1 where something is missed.

--archives N       so many (1000000); 0: none
--seconds N        how long each waits (60); 0: none does
--help`

const { archives, seconds } = readOptions(
  'soak',
  usage,
  {},
  { archives: 1_000_000, seconds: 60 },
).numbers

const modes = (['per-archive', 'persistent'] as const).flatMap((connection) =>
  (['read', 'committed'] as const).map((confirm) => ({ connection, confirm })),
)
type Mode = (typeof modes)[number]

let missed = 0
function tell(what: string, demanded: string, measured: string, isMet: boolean) {
  if (!isMet) missed++
  console.log(`${isMet ? 'met   ' : 'MISSED'}  ${what}: demanded ${demanded}; measured ${measured}`)
}

const mostCpu = (0.05 * seconds) / 60

/** The CPU seconds of a process whose spout is in that state all the time. */
async function cpuOf(state: State, mode: Mode): Promise<number> {
  const fifo = makeFifo()
  const child = new Child('idle', [state, fifo.path, String(seconds), JSON.stringify(mode)])
  const cpu = Number((await child.line('cpu')).slice(4))
  await child.ended()
  fifo.remove()
  return cpu
}

// V8 tidies its heap in the seconds after the start, whatever the program does: what that costs, a
// process shows that waits for nothing, its spout closed.
async function wait(state: State, what: string, mode: Mode, idle: Promise<number>) {
  const cpu = await cpuOf(state, mode)
  const more = cpu - (await idle)
  const demanded = `under ${mostCpu.toFixed(3)} s of CPU in ${seconds} s more than a process without a spout`
  const measured = `${more.toFixed(3)} s (${cpu.toFixed(3)} s in all)`
  tell(`${what}, ${mode.connection}, ${mode.confirm}`, demanded, measured, more < mostCpu)
}

const mib = 1 << 20
const mostGrowth = 16 * mib

// Per archive the write end stays open for 2 ms each time, so fewer of them.
async function send(count: number, { connection, confirm }: Mode) {
  const fifo = makeFifo()
  const reader = new StandIn(fifo, 'C', [], 'reader', '/dev/null')
  const words = ['--path', fifo.path, '--archives', String(count)]
  const child = new Child(
    'archives',
    [...words, '--connection', connection, '--confirm', confirm],
    ['--expose-gc'],
  )
  const samples: { rss: number; descriptors: number }[] = []
  for (let i = 0; i < 10; i++) samples.push(JSON.parse(await child.line('{')))
  const [early, late] = [samples[2], samples[9]]
  if (!early || !late) throw new Error('no samples')
  const growth = late.rss - early.rss
  const descriptors = late.descriptors - early.descriptors
  const demanded = `from 30 % on RSS grows by under ${mostGrowth / mib} MiB, descriptors by none`
  const measured = `${(growth / mib).toFixed(1)} MiB (to ${Math.round(late.rss / mib)} MiB), ${descriptors} descriptors`
  tell(
    `${count} archives, ${connection}, ${confirm}`,
    demanded,
    measured,
    growth < mostGrowth && descriptors === 0,
  )
  await child.line('done')
  await child.ended()
  reader.kill()
  fifo.remove()
}

async function waitTogether() {
  const child = new Child('many-fifos')
  const ms = async (beginning: string) => Number((await child.line(beginning)).split(' ')[1])
  const [readFile, delivery] = [await ms('readFile'), await ms('delivery')]
  await child.ended()
  const demanded = 'fs.readFile under 100 ms, a delivery under 500 ms after its reader came'
  const measured = `${readFile.toFixed(1)} ms, ${delivery.toFixed(1)} ms`
  tell('64 FIFOs waited for at once', demanded, measured, readFile < 100 && delivery < 500)
}

if (seconds > 0) {
  await waitTogether()
  for (const mode of modes) {
    const idle = cpuOf('closed', mode)
    await Promise.all([
      wait('waiting', 'waits for a reader', mode, idle),
      wait('delivered', 'idle, with a reader', mode, idle),
      wait('stalled', 'waits for room', mode, idle),
    ])
  }
}
if (archives > 0) {
  for (const mode of modes)
    await send(mode.connection === 'persistent' ? archives : archives / 20, mode)
}
process.exitCode = missed > 0 ? 1 : 0
