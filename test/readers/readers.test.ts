import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { hasReader, makeFifo, openWriter, type TestFifo, takeUnread } from '../support/fifo.js'
import {
  type Generation,
  generations,
  hasGo,
  type ReaderProgram,
  StandIn,
} from '../support/stand-in.js'
import {
  archiveBytes,
  blockBytes,
  entryBytes,
  headerBlock,
  zeroBlocks,
} from '../support/tar-bytes.js'
import { hashOf } from '../torture/plan.js'

const programs: readonly ReaderProgram[] = hasGo ? ['reader', 'gotar'] : ['reader']

/** One test per program and generation, in a fresh FIFO. */
function each(
  title: string,
  run: (
    t: ExecutionContext,
    it: {
      fifo: TestFifo
      generation: Generation
      start: (...options: string[]) => StandIn
      own: boolean
    },
  ) => Promise<void>,
  only: readonly Generation[] = generations,
  which: readonly ReaderProgram[] = programs,
) {
  for (const program of which) {
    for (const generation of only) {
      test(`${program} ${generation}: ${title}`, async (t) => {
        const fifo = makeFifo()
        const started: StandIn[] = []
        const start = (...options: string[]) => {
          const reader = new StandIn(fifo, generation, options, program)
          started.push(reader)
          return reader
        }
        try {
          await run(t, { fifo, generation, start, own: program === 'reader' })
        } finally {
          for (const reader of started) reader.kill()
          fifo.remove()
        }
      })
    }
  }
}

const one = { name: 'one', body: 'first body' }
const two = { name: 'two', body: Buffer.alloc(1500, 'b') }
const logged = ({ name, body }: { name: string; body: string | Uint8Array }) => ({
  name,
  size: Buffer.byteLength(body),
  hash: hashOf(Buffer.from(body)),
})
const namesOf = (commits: readonly { entries: readonly { name: string }[] }[]) =>
  commits.map(({ entries }) => entries.map(({ name }) => name))

each('an archive becomes a commit with its names, sizes and hashes', async (t, { fifo, start }) => {
  const reader = start()
  const long = { name: `${'d/'.repeat(60)}é`, body: 'long' }
  const writer = await openWriter(fifo.path)
  await writer.write(archiveBytes([one, two, { name: 'empty', body: '' }, long]))
  await reader.event('finished')
  const [commit] = reader.commits()
  t.true(commit?.complete)
  t.deepEqual(commit?.entries, [one, two, { name: 'empty', body: '' }, long].map(logged))
  writer.close()
})

each(
  'nothing behind the second zero block is read before the commit is finished',
  async (t, { fifo, start }) => {
    const reader = start('--finish-ms', '10000')
    const writer = await openWriter(fifo.path)
    await writer.write(Buffer.concat([archiveBytes([one, two]), Buffer.alloc(700, 'X')]))
    await reader.event('finishing')
    t.is(takeUnread(fifo.path).toString(), 'X'.repeat(700))
    writer.close()
  },
)

each('the read end stays open while a commit is being finished', async (t, { fifo, start }) => {
  const reader = start('--finish-ms', '10000')
  const writer = await openWriter(fifo.path)
  await writer.write(archiveBytes([one]))
  await reader.event('finishing')
  writer.close()
  t.true(hasReader(fifo.path))
  t.deepEqual(reader.commits(), [])
})

each(
  'a body cut short: A and B finish the part, C gives up',
  async (t, { fifo, generation, start }) => {
    const reader = start()
    const writer = await openWriter(fifo.path)
    await writer.write(
      Buffer.concat([entryBytes(one), entryBytes(two).subarray(0, blockBytes + 1000)]),
    )
    writer.close()
    t.is(await reader.event('error'), 'error unexpected EOF')
    if (generation === 'C') {
      t.is(await reader.ended(), 3)
      t.deepEqual(reader.commits(), [])
      return
    }
    const [commit] = reader.commits()
    t.false(commit?.complete)
    const cut = {
      name: 'two',
      size: 1000,
      declared: 1500,
      hash: hashOf(two.body.subarray(0, 1000)),
    }
    t.deepEqual(commit?.entries, [logged(one), cut])
  },
)

for (const [where, bytes] of [
  ['at the end of an entry', entryBytes(two)],
  ['in the padding of the last entry', entryBytes(two).subarray(0, -7)],
  ['after one zero block', archiveBytes([two], 1)],
] as const) {
  each(
    `the FIFO's end ${where} ends the archive as if it were whole`,
    async (t, { fifo, generation, start }) => {
      const reader = start()
      const writer = await openWriter(fifo.path)
      await writer.write(bytes)
      writer.close()
      if (generation === 'B') {
        await reader.event('waiting')
        const next = await openWriter(fifo.path)
        await reader.event('finished')
        next.close()
      } else {
        await reader.event('finished')
      }
      const [commit] = reader.commits()
      t.true(commit?.complete)
      t.deepEqual(commit?.entries, [logged(two)])
    },
  )
}

each(
  'opening and closing without a byte makes a commit on A only',
  async (t, { fifo, generation, start }) => {
    const reader = start()
    for (let i = 0; i < 2; i++) {
      if (generation === 'A') await reader.event('opening')
      const writer = await openWriter(fifo.path)
      writer.close()
      await reader.event(generation === 'A' ? 'finished' : 'waiting')
    }
    const counts = reader.commits().map(({ entries }) => entries.length)
    t.deepEqual(counts, generation === 'A' ? [0, 0] : [])
  },
)

each(
  '17 zero blocks break the next archive on B, and no other',
  async (t, { fifo, generation, start }) => {
    const reader = start()
    const writer = await openWriter(fifo.path)
    await writer.write(Buffer.concat([archiveBytes([one], 17), archiveBytes([two])]))
    if (generation === 'B') {
      t.regex(await reader.event('error'), /invalid tar header$/)
      t.deepEqual(namesOf(reader.commits()), [['one']])
    } else {
      await reader.event('finished 2')
      t.deepEqual(namesOf(reader.commits()), [['one'], ['two']])
    }
    writer.close()
  },
  ['B', 'C'],
)

each(
  'padding to a record of 20 blocks makes empty commits while the writer stays',
  async (t, { fifo, start }) => {
    const reader = start()
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([one], 18))
    for (let n = 1; n <= 9; n++) t.is(await reader.event('finished'), `finished ${n}`)
    t.deepEqual(namesOf(reader.commits()), [['one'], ...Array(8).fill([])])
    writer.close()
  },
  ['A'],
)

each(
  'a commit is not finished before a writer has the FIFO open once more',
  async (t, { fifo, start }) => {
    const reader = start('--finish-ms', '1')
    const writer = await openWriter(fifo.path)
    await reader.event('opened')
    await reader.pause()
    await writer.write(archiveBytes([one]))
    writer.close()
    reader.kill('SIGCONT')
    await reader.event('waiting')
    t.deepEqual(reader.commits(), [])
    const next = await openWriter(fifo.path)
    await reader.event('finished')
    t.deepEqual(namesOf(reader.commits()), [['one']])
    next.close()
  },
  ['B'],
)

each(
  'a first header cut short is dropped without a word',
  async (t, { fifo, start }) => {
    const reader = start()
    const writer = await openWriter(fifo.path)
    await writer.write(headerBlock(one).subarray(0, 300))
    writer.close()
    await reader.event('waiting')
    const next = await openWriter(fifo.path)
    await next.write(archiveBytes([two]))
    await reader.event('finished')
    next.close()
    t.deepEqual(namesOf(reader.commits()), [['two']])
  },
  ['C'],
)

each('a header whose checksum is wrong is an error', async (t, { fifo, generation, start }) => {
  const reader = start('--backoff-ms', '10000')
  const bytes = archiveBytes([one, two])
  bytes[2 * blockBytes + 10] = 1 // in the second header
  const writer = await openWriter(fifo.path)
  await writer.write(bytes)
  t.regex(await reader.event('error'), /invalid tar header$/)
  t.deepEqual(namesOf(reader.commits()), generation === 'C' ? [] : [['one']])
  t.true(reader.commits().every(({ complete }) => !complete))
  writer.close()
})

if (hasGo) {
  test("an archive cut anywhere ends the same on the stand-ins as on Go's archive/tar", async (t) => {
    const whole = archiveBytes([
      { ...one, body: 'x'.repeat(600) },
      { name: 'n'.repeat(120), body: 'pax' },
      two,
    ])
    const edges = Array.from(
      { length: whole.length / blockBytes },
      (_, block) => (block + 1) * blockBytes,
    )
    const cuts = edges
      .flatMap((edge) => [edge - 512 + 1, edge - 1, edge])
      .concat([1112, 3075, 3076])
    const endOf = async (program: ReaderProgram, generation: Generation, bytes: Uint8Array) => {
      // A opens again after a commit, and may find the writer still there.
      const options = ['--on-error', 'exit', ...(generation === 'A' ? ['--commits', '1'] : [])]
      const fifo = makeFifo()
      const reader = new StandIn(fifo, generation, options, program)
      const writer = await openWriter(fifo.path)
      await writer.write(bytes)
      writer.close()
      const settled = reader.event(generation === 'A' ? 'closed' : 'waiting')
      const ended = await settled.then(() => false).catch(() => true)
      if (generation === 'B' && !ended) {
        const next = await openWriter(fifo.path)
        await reader.event('finished')
        next.close()
      }
      const commits = reader.commits().map(({ entries, complete }) => ({ entries, complete }))
      reader.kill()
      fifo.remove()
      return JSON.stringify({ commits, ended })
    }
    const seen = new Set<string>()
    for (const generation of generations) {
      for (const cut of cuts) {
        const bytes = whole.subarray(0, cut)
        const [own, go] = await Promise.all(
          programs.map((program) => endOf(program, generation, bytes)),
        )
        t.is(own, go, `${generation} cut at ${cut}`)
        seen.add(own ?? '')
      }
    }
    t.true(seen.size > 10, 'the cuts made no difference')
  })
}

// ---- faults by plan: the stand-in only
// -------------------------------------------------------------------------

const own: readonly ReaderProgram[] = ['reader']

each(
  'closes at the byte told and leaves the rest in the pipe',
  async (t, { fifo, generation, start }) => {
    const reader = start('--close-at', '700', '--reopen-us', '10000000')
    const bytes = archiveBytes([one, two])
    const writer = await openWriter(fifo.path)
    await writer.write(bytes)
    await reader.event('closed')
    t.is(takeUnread(fifo.path).length, bytes.length - 700)
    writer.close()
    t.deepEqual(namesOf(reader.commits()), generation === 'C' ? [] : [['one']])
  },
  generations,
  own,
)

each(
  'closes once when told once, and takes the archive sent again',
  async (t, { fifo, start }) => {
    const reader = start('--close-at', '1100', '--close-times', '1', '--reopen-us', '0')
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([one, two]).subarray(0, 1100))
    await reader.event('error closed by plan')
    writer.close()
    const next = await openWriter(fifo.path)
    await next.write(archiveBytes([one, two]))
    while (!reader.commits().some(({ complete, entries }) => complete && entries.length === 2))
      await reader.event('finished')
    next.close()
    t.pass()
  },
  generations,
  own,
)

each(
  'kills itself at the byte told',
  async (t, { fifo, start }) => {
    const reader = start('--kill-at', '600')
    const bytes = archiveBytes([one, two])
    const writer = await openWriter(fifo.path)
    await writer.write(bytes)
    t.is(await reader.ended(), 'SIGKILL')
    t.is(takeUnread(fifo.path).length, bytes.length - 600)
    writer.close()
  },
  generations,
  own,
)

each(
  'killed while finishing, it has read everything and logged nothing',
  async (t, { fifo, start }) => {
    const reader = start('--kill-finishing-percent', '100', '--finish-ms', '2')
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([one]))
    t.is(await reader.ended(), 'SIGKILL')
    t.is(takeUnread(fifo.path).length, 0)
    t.deepEqual(reader.commits(), [])
    writer.close()
  },
  generations,
  own,
)

each(
  'stalls at the byte told for the time told, and goes on',
  async (t, { fifo, start }) => {
    const reader = start('--stall-at', '600', '--stall-ms', '50')
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([one, two]))
    await reader.event('stalling')
    await reader.event('finished')
    const [commit] = reader.commits()
    t.true(commit && commit.endNs - commit.startNs >= 50e6)
    t.deepEqual(namesOf(reader.commits()), [['one', 'two']])
    writer.close()
  },
  generations,
  own,
)

each(
  'reads of 7 bytes find the same archive',
  async (t, { fifo, start }) => {
    const reader = start('--read-max', '7')
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([one, two]))
    await reader.event('finished')
    t.deepEqual(reader.commits()[0]?.entries, [logged(one), logged(two)])
    writer.close()
  },
  generations,
  own,
)

test('the same seed closes at the same bytes, another seed elsewhere', async (t) => {
  const left = async (seed: string) => {
    const fifo = makeFifo()
    const reader = new StandIn(fifo, 'C', [
      '--close-within',
      '2000',
      '--reopen-us',
      '10000000',
      '--seed',
      seed,
    ])
    const writer = await openWriter(fifo.path)
    await writer.write(archiveBytes([two]))
    await reader.event('closed')
    const { length } = takeUnread(fifo.path)
    writer.close()
    reader.kill()
    fifo.remove()
    return length
  }
  t.is(await left('5'), await left('5'))
  t.not(await left('5'), await left('6'))
})

test('the prober opens and closes the FIFO as often as told and reads nothing', async (t) => {
  const fifo = makeFifo()
  const reader = new StandIn(fifo, 'C', ['--stall-at', '0', '--stall-ms', '10000'])
  const writer = await openWriter(fifo.path)
  await writer.write(Buffer.alloc(900))
  const program = fileURLToPath(new URL('../../build/readers/prober', import.meta.url))
  const prober = spawn(program, ['--fifo', fifo.path, '--times', '25', '--every-us', '100'])
  let printed = ''
  prober.stdout.on('data', (text) => {
    printed += text
  })
  await once(prober, 'close')
  t.is(printed, '25\n')
  t.is(takeUnread(fifo.path).length, 900)
  writer.close()
  reader.kill()
  fifo.remove()
})

test('an option nobody knows, or a generation, ends a reader with status 2', async (t) => {
  for (const options of [
    ['--close-att', '7'],
    ['--generation', 'Z'],
    ['--finish-ms', 'soon'],
  ]) {
    const fifo = makeFifo()
    t.is(await new StandIn(fifo, 'A', options).ended(), 2, options.join(' '))
    fifo.remove()
  }
})

test('zero blocks alone make no commit on B and C', async (t) => {
  for (const generation of ['B', 'C'] as const) {
    const fifo = makeFifo()
    const reader = new StandIn(fifo, generation)
    const writer = await openWriter(fifo.path)
    await writer.write(zeroBlocks(6))
    await writer.write(archiveBytes([one]))
    await reader.event('finished')
    t.deepEqual(namesOf(reader.commits()), [['one']])
    writer.close()
    reader.kill()
    fifo.remove()
  }
})
