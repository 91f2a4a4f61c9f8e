import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { Child } from '../support/child.js'
import { makeFifo } from '../support/fifo.js'
import { generations, StandIn } from '../support/stand-in.js'
import { hashOf } from '../torture/plan.js'
import { states } from './children/states.js'

// Most of these time something: alone, so that they do not time each other.

const idleSeconds = 5
const mostWakes = 12 * idleSeconds // `npm run soak` measures what they cost

test.serial('a spout that is idle, waits for a reader or for room hardly ever wakes', async (t) => {
  const idle = ['opened', 'begun', 'waiting', 'opening', 'stalled', 'delivered']
  await Promise.all(
    idle.map(async (state) => {
      const fifo = makeFifo()
      const child = new Child('idle', [state, fifo.path, String(idleSeconds)])
      const wakes = Number((await child.line('wakes')).slice(6))
      t.log(`${state}: ${wakes} in ${idleSeconds} s`)
      t.true(wakes < mostWakes, state)
      t.is(await child.ended(), 0, child.stderr)
      fifo.remove()
    }),
  )
})

for (const state of states) {
  test.serial(`process.exit() ends a process whose spout is ${state}`, async (t) => {
    const fifo = makeFifo()
    const child = new Child('exit', [state, fifo.path])
    await child.line('reached')
    t.is(await child.ended(3000), 7, child.stderr)
    fifo.remove()
  })
}

for (const state of ['opened', 'begun', 'delivered', 'closed'] as const) {
  test.serial(`a spout that is ${state} does not keep its process alive`, async (t) => {
    const fifo = makeFifo()
    const child = new Child('exit', [state, fifo.path, 'fall'])
    await child.line('reached')
    t.is(await child.ended(3000), 0, child.stderr)
    fifo.remove()
  })
}

for (const state of ['waiting', 'opening', 'stalled'] as const) {
  test.serial(`a spout that is ${state} keeps its process alive`, async (t) => {
    const fifo = makeFifo()
    const child = new Child('exit', [state, fifo.path, 'fall'])
    await child.line('reached')
    t.is(await child.ended(500), 'SIGKILL')
    fifo.remove()
  })
}

for (const who of ['alone', 'with the main thread'] as const) {
  for (const state of states) {
    test.serial(
      `a worker thread whose spout is ${state} can be terminated, having loaded the addon ${who}`,
      async (t) => {
        const fifo = makeFifo()
        const child = new Child('thread', [state, fifo.path, who])
        await child.line('in order')
        t.is(await child.ended(5000), 0, child.stderr)
        fifo.remove()
      },
    )
  }
}

for (const state of states) {
  test.serial(`a spout that is ${state} can be dropped for the garbage collector`, async (t) => {
    const child = new Child('collect', [state], ['--expose-gc'])
    await child.line('descriptors')
    t.is(await child.ended(), 0, child.stderr)
  })
}

test.serial('bodies of a spout that is aborted right after end() are let go', async (t) => {
  const child = new Child('aborted', [], ['--expose-gc'])
  const kept = await child.line('kept')
  t.is(await child.ended(), 0, child.stderr)
  t.is(kept, 'kept 0')
})

test.serial(
  'what V8 compiled for commits outlives garbage collections that find none',
  async (t) => {
    const child = new Child('compiled', [], ['--expose-gc', '--trace-opt', '--trace-deopt'])
    await child.line('sent')
    const told = child.lines
    t.true(told.some((line) => /completed optimizing .*#addPlain/.test(line)))
    const dropped = told.slice(told.indexOf('warm')).filter((line) => line.includes('weak objects'))
    const ours =
      /SharedFunctionInfo (#\w+|Commit|beginCommit|add|end|finish|take|claim|delivered|<instance_members_initializer>)>/
    t.deepEqual(
      dropped.filter((line) => ours.test(line)),
      [],
    )
    t.is(await child.ended(), 0, child.stderr)
  },
)

const allowed = (
  /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
)
  .split(',')
  .flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })

for (const count of [1, 2]) {
  const title = `large bodies arrive as they were where a process has ${count === 1 ? 'one processor' : 'two processors, and a thread copies for the engine'}`
  test.serial(title, async (t) => {
    const processors = allowed.slice(0, count)
    const fifo = makeFifo()
    const reader = new StandIn(fifo, 'C')
    const [archives, entries, bytes] = [4, 300, 300_000]
    const words = [fifo.path, processors.join(), archives, entries, bytes].map(String)
    const child = new Child('large', words)
    const threads = (await child.line('sent')).split(' ')
    t.is(await child.ended(), 0, child.stderr)
    t.is(threads.includes('tarspout-copier'), processors.length === 2, threads.join())
    const commits = await reader.stop()
    const sent = Array.from({ length: archives }, (_, archive) =>
      Array.from({ length: entries }, (_, entry) => {
        const name = `${archive}-${entry}`
        return { name, hash: hashOf(Buffer.alloc(bytes, name)) }
      }),
    )
    const got = commits.map((commit) => commit.entries.map(({ name, hash }) => ({ name, hash })))
    t.true(isDeepStrictEqual(got, sent))
    fifo.remove()
  })
}

for (const isGranted of [true, false]) {
  const title = isGranted
    ? 'an archive of 128 KiB or more goes by way of one pipe'
    : 'where the system grants no pipe, an archive is written directly'
  test.serial(title, async (t) => {
    const fifo = makeFifo()
    const reader = new StandIn(fifo, 'C')
    const go = join(fifo.folder, 'go')
    const child = new Child('pipes', [fifo.path, go])
    await child.line('sent')
    const folder = `/proc/${child.process.pid}/fd`
    const pipes = () =>
      readdirSync(folder).filter((fd) => readlinkSync(join(folder, fd)).startsWith('pipe:')).length
    const before = pipes()
    if (!isGranted) execFileSync('prlimit', [`--pid=${child.process.pid}`, '--nofile=3:'])
    writeFileSync(go, '')
    await child.line('large')
    t.is(pipes() - before, isGranted ? 2 : 0)
    rmSync(go)
    t.is(await child.ended(), 0, child.stderr)
    const large = { name: 'large', size: 4 << 20, hash: hashOf(Buffer.alloc(4 << 20, 'large')) }
    t.deepEqual((await reader.stop()).at(-1)?.entries, [large])
    fifo.remove()
  })
}

test.serial('64 FIFOs waited for at once delay neither fs.readFile nor each other', async (t) => {
  const child = new Child('many-fifos') // which checks it; `npm run soak` looks at the times
  t.log(await child.line('readFile'))
  t.log(await child.line('delivery'))
  t.is(await child.ended(), 0, child.stderr)
})

for (const generation of generations) {
  test.serial(
    `a spout killed in the middle of an entry and started again: ${generation} joins no archives`,
    async (t) => {
      const fifo = makeFifo()
      const plan = ['--stall-at', '100000', '--stall-times', '1', '--stall-ms', '300']
      const reader = new StandIn(fifo, generation, [
        ...plan,
        '--on-error',
        'reopen',
        '--backoff-ms',
        '20',
      ])
      t.teardown(() => reader.kill())
      const dead = new Child('send', [fifo.path, 'dead', String(4 << 20)])
      await reader.event('stalling') // in the middle of the entry
      dead.kill()
      await dead.ended()
      const alive = new Child('send', [fifo.path, 'alive', '3000'])
      await alive.line('delivered')
      t.is(await alive.ended(), 0, alive.stderr)
      const commits = await reader.stop()
      const intact = { name: 'alive', size: 3000, hash: hashOf(Buffer.alloc(3000, 'alive')) }
      t.deepEqual(
        commits.filter(({ complete }) => complete).flatMap(({ entries }) => entries),
        [intact],
      )
      for (const { entries } of commits.filter(({ complete }) => !complete)) {
        for (const { name, size, hash } of entries) {
          t.is(name, 'dead')
          t.is(hash, hashOf(Buffer.alloc(size, 'dead')))
        }
      }
      fifo.remove()
    },
  )
}

// ---- bad input
// ---------------------------------------------------------------------------------------------------

test.serial(
  'a reader that never comes: ERR_FIFO_NO_READER after the time allowed, and the process ends',
  async (t) => {
    const fifo = makeFifo()
    const child = new Child('send', [fifo.path, 'entry', '10', '200'])
    t.is(await child.line('error'), 'error ERR_FIFO_NO_READER')
    t.is(await child.ended(3000), 0, child.stderr)
    fifo.remove()
  },
)

test.serial('a FIFO removed while a spout waits: ERR_FIFO_REMOVED', async (t) => {
  const fifo = makeFifo()
  const child = new Child('send', [fifo.path, 'entry', '10'])
  await child.line('sending')
  rmSync(fifo.target)
  t.is(await child.line('error'), 'error ERR_FIFO_REMOVED')
  t.is(await child.ended(3000), 0, child.stderr)
  fifo.remove()
})

test.serial(
  'a second spout in another process is refused, and not once the first is gone',
  async (t) => {
    const fifo = makeFifo()
    const first = new Child('send', [fifo.path, 'entry', '10'])
    await first.line('sending')
    const second = new Child('send', [fifo.path, 'entry', '10'])
    t.is(await second.line('error'), 'error ERR_FIFO_BUSY')
    first.kill()
    await first.ended()
    const third = new Child('send', [fifo.path, 'entry', '10'])
    await third.line('sending')
    third.kill()
    fifo.remove()
  },
)

for (const [connection, archives] of [
  ['persistent', Number(process.env.TARSPOUT_ARCHIVES ?? 20_000)],
  ['per-archive', 1000],
] as const) {
  test.serial(
    `${archives} small archives, ${connection}: memory and descriptors stay flat`,
    async (t) => {
      t.timeout(60_000 + archives)
      const fifo = makeFifo()
      const reader = new StandIn(fifo, 'C', [], 'reader', '/dev/null')
      t.teardown(() => reader.kill())
      const words = [
        '--path',
        fifo.path,
        '--archives',
        String(archives),
        '--connection',
        connection,
      ]
      const child = new Child('archives', words, ['--expose-gc'])
      const samples: { rss: number; descriptors: number }[] = []
      for (let i = 0; i < 10; i++) samples.push(JSON.parse(await child.line('{')))
      const [early, late] = [samples[2], samples[9]]
      t.true(early && late && late.rss - early.rss < 16 << 20, JSON.stringify(samples))
      t.is(early?.descriptors, late?.descriptors)
      await child.line('done')
      t.is(await child.ended(), 0, child.stderr)
      fifo.remove()
    },
  )
}
