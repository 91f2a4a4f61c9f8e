// npm run soak [-- --archives 1000000 --seconds 60]
// What takes too long for `npm test`: memory and descriptors over many archives in one process, and the CPU time of waiting.
// 0 leaves a part out. Prints what is demanded and what was measured, and ends with 1 where something is missed.
import { parseArgs } from 'node:util'
import { Child } from '../child.js'
import { makeFifo } from '../fifo.js'
import { StandIn } from '../stand-in.js'

const { values } = parseArgs({
  options: {
    archives: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '60' },
  },
})
const archives = Number(values.archives)
const seconds = Number(values.seconds)

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

async function wait(state: 'waiting' | 'delivered' | 'stalled', { connection, confirm }: Mode) {
  const what = { waiting: 'waits for a reader', delivered: 'idle, with a reader', stalled: 'waits for room' }
  const fifo = makeFifo()
  const words = [state, fifo.path, String(seconds), JSON.stringify({ connection, confirm })]
  const child = new Child('idle', words)
  const cpu = Number((await child.line('cpu')).slice(4))
  const demanded = `under ${mostCpu.toFixed(3)} s of CPU in ${seconds} s`
  tell(`${what[state]}, ${connection}, ${confirm}`, demanded, `${cpu.toFixed(3)} s`, cpu < mostCpu)
  await child.ended()
  fifo.remove()
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

if (seconds > 0) {
  await Promise.all(
    modes.flatMap((mode) => (['waiting', 'delivered', 'stalled'] as const).map((state) => wait(state, mode))),
  )
}
if (archives > 0) {
  for (const mode of modes) await send(mode.connection === 'persistent' ? archives : archives / 20, mode)
}
process.exitCode = missed > 0 ? 1 : 0
