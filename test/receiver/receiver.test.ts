import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openSpout, TarspoutError } from 'tarspout'
import { Receiver, type ReceiverEvent, type ReceiverOptions } from '../../dist/receiver/receiver.js'
import type { CommitStore } from '../../dist/store/commit-store.js'
import { GitStore } from '../../dist/store/git-store.js'
import type { ReceivedArchive } from '../../dist/store/received-archive.js'
import { python, sh, temporaryFolder } from '../support/processes.js'

/** A store that remembers, and commits when it is told to. */
class Memory implements CommitStore {
  readonly spoolFolder = tmpdir()
  readonly commits: [path: string, body: string][][] = []
  gate: Promise<void> = Promise.resolve()
  failure: TarspoutError | undefined

  async commit(archive: ReceivedArchive) {
    const files = archive.entries.map(({ path, offset, size }): [string, string] => [
      path,
      Buffer.concat([...archive.spool.read(offset, size)]).toString(),
    ])
    await this.gate
    if (this.failure) throw this.failure
    this.commits.push(files)
    const { entries, bytes } = archive
    return {
      oid: String(this.commits.length),
      branch: 'master',
      entries: entries.length,
      bytes,
      markers: 0,
      durationMs: 0,
    }
  }

  async pullMarker() {
    return 'none' as const
  }

  async close() {}
}

interface Fixture {
  folder: string
  path: string
  store: Memory
  receiver: Receiver
  events: ReceiverEvent[]
  /** Settles when so many events have come. */
  reached(count: number): Promise<void>
  done: Promise<void>
  sh(script: string): ReturnType<typeof sh>
}

function receive(t: ExecutionContext, options: Partial<ReceiverOptions> = {}): Fixture {
  const folder = temporaryFolder(t)
  const path = join(folder, 'fifo')
  execFileSync('mkfifo', [path])
  for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), name)
  const store = new Memory()
  const events: ReceiverEvent[] = []
  const waiting: [number, () => void][] = []
  const onEvent = (event: ReceiverEvent) => {
    events.push(event)
    for (const [count, resolve] of waiting) if (events.length >= count) resolve()
  }
  const receiver = new Receiver({ path, store, onEvent, ...options })
  t.teardown(() => receiver.stop())
  return {
    folder,
    path,
    store,
    receiver,
    events,
    reached: (count) =>
      new Promise((resolve) =>
        events.length >= count ? resolve() : waiting.push([count, resolve]),
      ),
    done: receiver.run(),
    sh: (script) => sh(t, folder, script),
  }
}

const names = (store: Memory) => store.commits.map((files) => files.map(([name]) => name).join(' '))
const kinds = (events: ReceiverEvent[]) => events.map(({ event }) => event)

// Writes an archive. Prints at `look` how many bytes of it are unread (FIONREAD), at `wait` when
// none is.
const WATCH = `
import fcntl, io, struct, sys, tarfile, termios, time
memory = io.BytesIO()
with tarfile.open(fileobj=memory, mode='w|', format=tarfile.USTAR_FORMAT) as archive:
    info = tarfile.TarInfo('a'); info.size = 5
    archive.addfile(info, io.BytesIO(b'hello'))
fifo = open(sys.argv[1], 'wb', buffering=0)
fifo.write(memory.getvalue()[:2048])
def unread():
    count = bytearray(4)
    fcntl.ioctl(fifo, termios.FIONREAD, count)
    return struct.unpack('i', count)[0]
for line in sys.stdin:
    while line == 'wait\\n' and unread() > 0: time.sleep(0.001)
    print('unread', unread(), flush=True)
`

test("an archive's last byte, and nothing but it, is unread until the commit is durable", async (t) => {
  let open = () => {}
  let reached = () => {}
  const committing = new Promise<void>((resolve) => {
    reached = resolve
  })
  const { path, folder, store, reached: events } = receive(t)
  store.gate = new Promise((resolve) => {
    open = resolve
  })
  const commit = store.commit.bind(store)
  store.commit = (archive) => {
    reached()
    return commit(archive)
  }
  const writer = python(t, folder, WATCH, path)
  await committing
  writer.child.stdin?.write('look\n')
  await writer.printed(/unread 1\n/)
  open()
  await events(1)
  writer.child.stdin?.write('wait\n')
  await writer.printed(/unread 1\nunread 0\n/)
  t.pass()
})

test('GNU tar, padding to records and opening the FIFO for each archive, gets a commit for each', async (t) => {
  const { store, sh, reached, events } = receive(t)
  await sh('for i in 1 2 3 4 5; do tar -cf fifo a b; tar -cf fifo c; done')
  await reached(10)
  t.deepEqual(names(store), ['a b', 'c', 'a b', 'c', 'a b', 'c', 'a b', 'c', 'a b', 'c'])
  t.true(events.every((event) => event.event === 'commit' && event.hasEndMarker))
})

test('archives that follow each other through one open FIFO are told apart', async (t) => {
  const { store, sh, reached } = receive(t)
  await sh(
    'for i in 1 2 3; do tar -cf t$i.tar a b; tar -b1 -cf u$i.tar c; done; cat t1.tar u1.tar t2.tar u2.tar t3.tar u3.tar >fifo',
  )
  await reached(6)
  t.deepEqual(names(store), ['a b', 'c', 'a b', 'c', 'a b', 'c'])
})

test('a writer that stalls anywhere is waited for', async (t) => {
  const { store, folder, path, reached } = receive(t)
  const script = `
import io, sys, tarfile, time
memory = io.BytesIO()
with tarfile.open(fileobj=memory, mode='w') as archive:
    for name in 'ab':
        info = tarfile.TarInfo(name); info.size = 700
        archive.addfile(info, io.BytesIO(bytes(32 + i * 7 % 90 for i in range(700))))
data = memory.getvalue()
fifo = open(sys.argv[1], 'wb', buffering=0)
for at in range(0, len(data), 97):
    fifo.write(data[at:at + 97])
    time.sleep(0.0005)
`
  await python(t, folder, script, path).result
  await reached(1)
  const body = String.fromCharCode(...Array.from({ length: 700 }, (_, i) => 32 + ((i * 7) % 90)))
  t.deepEqual(store.commits, [
    [
      ['a', body],
      ['b', body],
    ],
  ])
})

test('an archive that was refused is read to its end, and the ones behind it are committed', async (t) => {
  const { store, sh, events, reached } = receive(t)
  await sh(
    'ln -s /etc/passwd l; tar -cf x.tar a l b; tar -cf y.tar c; cat x.tar y.tar x.tar y.tar >fifo',
  )
  await reached(4)
  t.deepEqual(kinds(events), ['failure', 'commit', 'failure', 'commit'])
  t.deepEqual(names(store), ['c', 'c'])
})

test('a broken archive is reported, and the FIFO opened again', async (t) => {
  const { store, sh, events, reached } = receive(t)
  await sh('yes garbage | head -c 2000 >fifo')
  await reached(1)
  await sh('tar -cf fifo a')
  await reached(2)
  t.deepEqual(kinds(events), ['failure', 'commit'])
  t.deepEqual(names(store), ['a'])
})

test('a writer that dies in a body leaves no commit', async (t) => {
  const { store, sh, events, reached } = receive(t)
  await sh('head -c 5000 /dev/zero >z; tar -cf z.tar a z b; head -c 3000 z.tar >fifo')
  await reached(1)
  await sh('tar -cf fifo a')
  await reached(2)
  t.deepEqual(kinds(events), ['failure', 'commit'])
  t.deepEqual(names(store), ['a'])
})

test('an archive without its end marker is committed, as every Pachyderm does, and said to have none', async (t) => {
  const { sh, events, reached } = receive(t)
  await sh('tar -b1 -cf t.tar a; head -c 1024 t.tar >fifo')
  await reached(1)
  t.like(events[0], { event: 'commit', entries: 1, hasEndMarker: false })
})

test('a FIFO that is opened and closed without a byte makes no commit', async (t) => {
  const { store, sh, reached } = receive(t)
  await sh('for i in 1 2 3 4 5; do : >fifo; done; tar -cf fifo a')
  await reached(1)
  t.deepEqual(names(store), ['a'])
})

test('the receiver ends after the commits asked for, when told to finish, and when told to stop', async (t) => {
  const first = receive(t, { commits: 2 })
  await first.sh('tar -cf fifo a; tar -cf fifo b')
  await first.done
  const second = receive(t)
  await second.sh('tar -cf fifo a')
  await second.reached(1)
  second.receiver.finish()
  await second.done
  const third = receive(t)
  third.receiver.stop()
  await third.done
  t.is(second.receiver.commits, 1)
})

test('told to finish, it still commits what is in the FIFO', async (t) => {
  const { receiver, store, sh, done } = receive(t)
  await sh('for i in 1 2 3 4 5; do tar -b1 -cf fifo a; done')
  receiver.finish()
  await done
  t.deepEqual(names(store), ['a', 'a', 'a', 'a', 'a'])
})

test('a path that is no FIFO is refused, one that does not exist keeps the shape of Node', async (t) => {
  const folder = temporaryFolder(t)
  const store = new Memory()
  writeFileSync(join(folder, 'file'), '')
  const run = (name: string) => new Receiver({ path: join(folder, name), store }).run()
  await t.throwsAsync(run('file'), { code: 'ERR_FIFO_NOT_A_FIFO' })
  await t.throwsAsync(run('missing'), { code: 'ENOENT' })
})

test('1.9: a commit for each time the FIFO is opened, and what came of a broken archive', async (t) => {
  const { store, sh, events, reached } = receive(t, { generation: '1.9' })
  await sh('tar -cf fifo a')
  await reached(1)
  await sh(': >fifo')
  await reached(2)
  await sh('head -c 5000 /dev/zero >z; tar -b1 -cf z.tar a z; head -c 2000 z.tar >fifo')
  await reached(4)
  t.deepEqual(kinds(events), ['commit', 'commit', 'failure', 'commit'])
  t.deepEqual(names(store), ['a', '', 'a z'])
  t.is(store.commits[2]?.[1]?.[1].length, 2000 - 1536)
})

test('1.11: a commit is finished only when a writer has the FIFO open after the archive', async (t) => {
  const { store, sh } = receive(t, { generation: '1.11' })
  await sh('tar -b1 -cf fifo a')
  t.deepEqual(names(store), [])
  while (store.commits.length < 1) await sh(': >fifo')
  await sh('tar -b1 -cf fifo b')
  while (store.commits.length < 2) await sh(': >fifo')
  t.deepEqual(names(store), ['a', 'b'])
})

test('1.11: an odd number of zero blocks between archives is an error', async (t) => {
  const { sh, events } = receive(t, { generation: '1.11' })
  await sh('tar -b1 -cf t.tar a; { cat t.tar; head -c 512 /dev/zero; cat t.tar; } >fifo')
  while (!kinds(events).includes('failure')) await sh(': >fifo')
  t.pass()
})

test('a commit that the store fails ends the receiver', async (t) => {
  const { store, sh, done } = receive(t)
  store.failure = new TarspoutError('ERR_STORE', 'full')
  await Promise.all([t.throwsAsync(done, { code: 'ERR_STORE' }), sh('tar -b1 -cf fifo a')])
})

test('hostile archives change nothing outside of the repository, and the receiver goes on', async (t) => {
  const repository = join(temporaryFolder(t), 'r.git')
  const store = await GitStore.open({ path: repository })
  t.teardown(() => store.close())
  const { folder, path, events, reached } = receive(t, { store })
  const script = `
import io, sys, tarfile
names = ['../evil', 'x/../../evil', '.git/hooks/post-commit', '.GIT/config', 'a/.git/x', 'git~1/x', '.git./x', '\\u200c.git/x', 'd/' * 10000 + 'f', 'n' * 100000, 'a\\tb']
types = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
for name, type in [(name, tarfile.REGTYPE) for name in names] + [('link', type) for type in types]:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode='w', format=tarfile.PAX_FORMAT) as archive:
        first = tarfile.TarInfo('good'); first.size = 1
        archive.addfile(first, io.BytesIO(b'x'))
        info = tarfile.TarInfo(name); info.type = type; info.linkname = '/etc/passwd' if type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ''
        info.size = 1 if type == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(b'x'))
    with open(sys.argv[1], 'wb') as fifo: fifo.write(memory.getvalue())
memory = io.BytesIO()
with tarfile.open(fileobj=memory, mode='w') as archive:
    info = tarfile.TarInfo('last'); info.size = 1
    archive.addfile(info, io.BytesIO(b'x'))
with open(sys.argv[1], 'wb') as fifo: fifo.write(memory.getvalue())
`
  const { stderr } = await python(t, folder, script, path).result
  t.is(stderr, '')
  await reached(18)
  t.deepEqual(kinds(events), [...Array(17).fill('failure'), 'commit'])
  t.true(
    events.every(
      (event) =>
        event.event === 'commit' || (event.message.length < 300 && !/[^ -~]/.test(event.message)),
    ),
  )
  const git = (...args: string[]) =>
    execFileSync('git', ['--git-dir', repository, ...args], { encoding: 'utf8' })
  t.is(git('ls-tree', '-r', '--name-only', 'master'), 'last\n')
  t.is(git('fsck', '--strict'), '')
})

for (const connection of ['per-archive', 'persistent'] as const) {
  test(`openSpout is never told that a refused archive is delivered: ${connection}`, async (t) => {
    const { path, store, events } = receive(t)
    const spout = await openSpout({ path, connection, nameRules: 'tar', maxAttempts: 3 })
    t.teardown(() => spout.close())
    const send = (name: string) => {
      const commit = spout.beginCommit()
      commit.add(name, Buffer.from('x'))
      return commit.end()
    }
    await send('first')
    await t.throwsAsync(send('a*'), { code: 'ERR_DELIVERY_UNCERTAIN' })
    await send('last')
    t.deepEqual(new Set(names(store)), new Set(['first', 'last']))
    t.true(kinds(events).filter((kind) => kind === 'failure').length >= 3)
  })
}
