import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Child } from '../support/child.js'
import { archiveSize, fifoFor, HeldReader, pattern, readArchive } from '../support/spout.js'

const prober = fileURLToPath(new URL('../../build/readers/prober', import.meta.url))
const mostEvents = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'))

test('what a full inotify queue may have hidden is doubt: the archive is sent again', async (t) => {
  const fifo = fifoFor(t)
  const bytes = 200_000
  const size = archiveSize(bytes)
  const first = new HeldReader(t, fifo.path)
  const child = new Child('written', [fifo.path, String(bytes)])
  t.teardown(() => child.kill())
  await child.line('written')
  // While the spout's process stands still, probes fill its queue; they are nothing, since no byte
  // was read before.
  await child.pause()
  execFileSync(prober, ['--fifo', fifo.path, '--every-us', '0', '--times', String(mostEvents)])
  // Two readers share the archive, and every byte of it is taken when the spout looks again.
  await first.take(1000)
  const second = new HeldReader(t, fifo.path)
  first.close()
  await second.take(size - 1000)
  child.process.kill('SIGCONT')
  const [entry] = await readArchive(await second.take(size))
  t.true(entry?.body.equals(pattern(bytes)))
  t.is(await child.line('delivered'), 'delivered 2')
  t.is(await child.ended(), 0, child.stderr)
})
