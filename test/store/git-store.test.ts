import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { GitStore, type GitStoreOptions } from '../../dist/store/git-store.js'
import { ReceivedArchive } from '../../dist/store/received-archive.js'
import { RepositoryLock } from '../../dist/store/repository-lock.js'
import { git, Program, sh, temporaryFolder } from '../support/processes.js'

type Body = string | Buffer

interface Fixture {
  store: GitStore
  path: string
  commit(...entries: [name: string, body: Body][]): Promise<string>
  git(...args: string[]): Promise<string>
}

async function open(
  t: ExecutionContext,
  options: Partial<GitStoreOptions> & { marker?: string } = {},
): Promise<Fixture> {
  const path = options.path ?? join(temporaryFolder(t), 'store.git')
  const store = await GitStore.open({ path, ...options })
  t.teardown(() => store.close())
  return {
    store,
    path,
    async commit(...entries) {
      const archive = new ReceivedArchive(path, options.marker)
      for (const [name, body] of entries) {
        archive.begin(name)
        archive.body(Buffer.from(body as string))
      }
      try {
        return (await store.commit(archive)).oid
      } finally {
        archive.clear()
      }
    },
    git: (...args) => git(t, path, ...args),
  }
}

test('commits are cumulative: each has what its parent has, and more', async (t) => {
  const { store, commit, git } = await open(t)
  const first = await commit(['a', '1'], ['d/b', '2'])
  const second = await commit(['d/c', '3'])
  t.is(await git('rev-parse', 'master', 'master^'), `${second}\n${first}`)
  t.is(await git('ls-tree', '-r', '--name-only', 'master'), 'a\nd/b\nd/c')
  await store.close()
  t.is(await git('fsck', '--strict'), '')
})

test('a file that comes again is appended to, without a delimiter', async (t) => {
  const { store, commit, git } = await open(t)
  await commit(['a', 'one'])
  await commit(['./a', 'two'], ['/a', 'three'], ['b', ''])
  await commit(['b', 'x'])
  t.is(await git('show', 'master:a'), 'onetwothree')
  t.is(await git('show', 'master:b'), 'x')
  await store.close()
})

test('with overwrite it is replaced, and the last of one archive wins', async (t) => {
  const { store, commit, git } = await open(t, { overwrite: true })
  await commit(['a', 'one'], ['b', 'b'])
  await commit(['a', 'two'], ['a', 'three'])
  t.is(await git('show', 'master:a'), 'three')
  t.is(await git('show', 'master:b'), 'b')
  await store.close()
})

test('an archive without entries makes a commit without changes', async (t) => {
  const { store, commit, git } = await open(t)
  await commit(['a', '1'])
  await commit()
  t.is(await git('rev-list', '--count', 'master'), '2')
  t.is(await git('diff', 'master^', 'master'), '')
  await store.close()
})

const conflicts: [what: string, before: string[], archive: string[], overwrite: boolean][] = [
  ['a file of the parent cannot become a folder', ['a'], ['x', 'a/b'], false],
  ['nor can it with overwrite', ['a'], ['x', 'a/b/c'], true],
  ['a folder of the parent cannot be appended to', ['a/b'], ['x', 'a'], false],
  ['one archive cannot have a file and a folder of one name', [], ['x', 'a', 'a/b'], false],
  ['in whatever order', [], ['a/b/c', 'a'], true],
]
for (const [what, before, archive, overwrite] of conflicts) {
  test(`${what}; nothing of the archive is committed, and the next one is`, async (t) => {
    const { store, commit, git } = await open(t, { overwrite })
    await commit(['first', '1'], ...before.map((name): [string, Body] => [name, name]))
    await t.throwsAsync(commit(...archive.map((name): [string, Body] => [name, name])), {
      code: 'ERR_ARCHIVE',
    })
    t.is(await git('rev-list', '--count', 'master'), '1')
    await commit(['last', '2'])
    t.is(
      await git('ls-tree', '-r', '--name-only', 'master'),
      ['first', ...before, 'last'].sort().join('\n'),
    )
    await store.close()
    t.is(await git('fsck', '--strict'), '')
  })
}

test('with overwrite a file replaces a folder, as in Pachyderm', async (t) => {
  const { store, commit, git } = await open(t, { overwrite: true })
  await commit(['a/b', '1'])
  await commit(['a', '2'])
  t.is(await git('ls-tree', '-r', '--name-only', 'master'), 'a')
  await store.close()
})

test('a conflict in the first archive leaves an empty repository that works', async (t) => {
  const { store, commit, git } = await open(t)
  await t.throwsAsync(commit(['a', '1'], ['a/b', '2']), { code: 'ERR_ARCHIVE' })
  t.is(await git('for-each-ref'), '')
  await commit(['a', '1'])
  t.is(await git('rev-list', '--count', 'master'), '1')
  await store.close()
})

test('each marker entry is a commit of its own on the branch marker, always overwriting', async (t) => {
  const { store, commit, git } = await open(t, { marker: 'mark' })
  await commit(['a', '1'], ['mark', 'x'])
  await commit(['mark', 'y'], ['mark', 'z'])
  t.is(await git('rev-list', '--count', 'marker'), '3')
  t.is(await git('show', 'marker:mark'), 'z')
  t.is(await git('rev-list', '--count', 'master'), '2')
  t.is(await git('ls-tree', '-r', '--name-only', 'master'), 'a')
  await store.close()
})

test('a conflict of the data takes the marker with it', async (t) => {
  const { store, commit, git } = await open(t, { marker: 'mark' })
  await commit(['a', '1'])
  await t.throwsAsync(commit(['a/b', '2'], ['mark', 'x']), { code: 'ERR_ARCHIVE' })
  t.is(await git('for-each-ref', '--format=%(refname)'), 'refs/heads/master')
  await store.close()
})

test('the message says how many entries and bytes, and how long they took', async (t) => {
  const { store, commit, git } = await open(t, { author: 'my <spout>\n' })
  await commit(['a', '12345'], ['b', ''])
  t.regex(
    await git('log', '-1', '--format=%an|%B'),
    /^my spout\|2 entries, 5 bytes\n\nEntries: 2\nBytes: 5\nReceived-ms: [\d.]+\n$/,
  )
  await store.close()
})

test('a store that is opened again goes on; fresh begins anew', async (t) => {
  const first = await open(t, { marker: 'mark' })
  await first.commit(['a', '1'], ['mark', '1'])
  await first.store.close()
  const second = await open(t, { path: first.path })
  await second.commit(['a', '2'])
  t.is(await second.git('show', 'master:a'), '12')
  await second.store.close()
  const third = await open(t, { path: first.path, fresh: true })
  t.is(third.store.head(), undefined)
  t.is(await third.git('for-each-ref'), '')
  await third.commit(['b', '1'])
  t.is(await third.git('ls-tree', '-r', '--name-only', 'master'), 'b')
  await third.store.close()
})

test('what a git that was killed left behind keeps nobody out', async (t) => {
  const first = await open(t)
  await first.commit(['a', '1'])
  const pid = readFileSync(join(first.path, 'tarspout.pid'))
  await first.store.close()
  writeFileSync(join(first.path, 'tarspout.pid'), pid)
  const remains = [
    ...['HEAD.lock', 'packed-refs.lock', 'refs/heads/master.lock', 'objects/pack/tmp_pack_x'],
    ...['gc.pid.lock', 'objects/info/commit-graph.lock'],
  ]
  for (const name of remains) writeFileSync(join(first.path, name), '')
  const second = await open(t, { path: first.path })
  await second.commit(['a', '2'])
  t.is(await second.git('show', 'master:a'), '12')
  await second.store.close()
  for (const name of remains) t.false(existsSync(join(first.path, name)), name)
  await second.git('gc', '--quiet')
})

test('a git that a killed owner left at work is waited for', async (t) => {
  const first = await open(t)
  await first.commit(['a', '1'])
  await first.store.close()
  const trace = join(first.path, 'trace')
  await sh(t, first.path, 'mkfifo trace')
  // It waits until somebody reads what it does.
  const left = new Program(t, first.path, 'git', ['--git-dir', first.path, 'repack', '-d'], {
    GIT_TRACE: trace,
  })
  writeFileSync(join(first.path, 'tarspout.pid'), '')
  const second = open(t, { path: first.path })
  t.is(await Promise.race([second.then(() => 'open'), delay(500, 'waiting')]), 'waiting')
  const reader = new Program(t, first.path, 'cat', [trace])
  await second
  t.is((await left.result).code, 0)
  await reader.result
})

test('a git that a killed owner left, and that does not end, is told', async (t) => {
  const { store, path } = await open(t)
  await store.close()
  const left = new Program(t, path, 'git', ['--git-dir', path, 'fast-import', '--quiet'])
  writeFileSync(join(path, 'tarspout.pid'), '')
  const message = new RegExp(`process ${left.child.pid}\\) still works on ${path} after 0.3 s`)
  await t.throwsAsync(RepositoryLock.take(path, 300), { code: 'ERR_STORE', message })
  left.child.kill()
  await left.result
  const lock = await RepositoryLock.take(path, 300)
  t.true(lock.isAfterCrash)
  await lock.release()
})

test('fresh frees the disk', async (t) => {
  const first = await open(t)
  const oid = await first.commit(['a', '1'])
  await first.store.close()
  const second = await open(t, { path: first.path, fresh: true })
  const { code } = await new Program(t, first.path, 'git', [
    '--git-dir',
    '.',
    'cat-file',
    '-e',
    oid,
  ]).result
  t.is(code, 1)
  await second.store.close()
})

test('packs do not pile up: after 256 commits, and when the store is closed, they are put together', async (t) => {
  const { store, commit, git, path } = await open(t)
  const packs = () =>
    readdirSync(join(path, 'objects/pack')).filter((name) => name.endsWith('.pack'))
  for (let number = 0; number < 300; number++)
    await commit(['same', 'x'], [`file-${number}`, `${number}`])
  t.is(packs().length, 1 + 300 - 256)
  t.is(await git('rev-list', '--count', 'master'), '300')
  t.is(await git('cat-file', '-s', 'master:same'), '300')
  await store.close()
  t.true(packs().length <= 2)
  t.is(await git('fsck', '--strict'), '')
})

test('names that look like commands or quotes are only names', async (t) => {
  const { store, commit, git } = await open(t)
  const names = [
    '"q"',
    '"',
    'a\\nb',
    '\\',
    'D',
    'deleteall',
    'M 100644 inline x',
    ' leading',
    'trailing ',
    ':1',
    '-',
    '--',
    '$HOME',
    'HEAD',
    'a|b;c&d',
  ]
  await commit(...names.map((name): [string, Body] => [name, 'data 5\ncommit refs/heads/x\n']))
  await commit(...names.map((name): [string, Body] => [name, '!']))
  t.deepEqual(
    (await git('ls-tree', '-r', '-z', '--name-only', 'master')).split('\0').slice(0, -1).sort(),
    [...names].sort(),
  )
  for (const name of names)
    t.is(await git('show', `master:${name}`), 'data 5\ncommit refs/heads/x\n!')
  t.is(await git('for-each-ref', '--format=%(refname)'), 'refs/heads/master')
  await store.close()
  t.is(await git('fsck', '--strict'), '')
})

test('what does not fit in memory goes through a file and is the same; appending to it, too', async (t) => {
  const { store, commit, git, path } = await open(t)
  const large = Buffer.alloc(20 << 20, 'tarspout ')
  await commit(['small', 's'], ['large', large], ['large', 'end'])
  await commit(['large', '!'])
  t.is(await git('cat-file', '-s', 'master:large'), String(large.length + 4))
  const { stdout } = await new Program(t, path, 'sh', [
    '-c',
    'git --git-dir . show master:large | tail -c 12',
  ]).result
  t.is(stdout, `${large.subarray(-8)}end!`)
  t.deepEqual(
    readdirSync(path).filter((name) => name.includes('spool')),
    [],
  )
  await store.close()
  t.is(await git('fsck', '--strict'), '')
})

test('a second store of one repository is refused while the first is open', async (t) => {
  const { store, path } = await open(t)
  await t.throwsAsync(GitStore.open({ path }), { code: 'ERR_STORE', message: /another tarspout/ })
  await store.close()
  await (await GitStore.open({ path })).close()
})

test('a folder with something else in it is no store, and stays as it is', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'mine'), 'x')
  await t.throwsAsync(GitStore.open({ path: folder }), { code: 'ERR_STORE' })
  t.deepEqual(readdirSync(folder), ['mine'])
  await t.throwsAsync(GitStore.open({ path: join(folder, 'x.git'), branch: 'a..b' }), {
    code: 'ERR_STORE',
  })
  await t.throwsAsync(GitStore.open({ path: join(folder, 'x.git'), branch: 'marker' }), {
    code: 'ERR_STORE',
  })
})

test('a commit that someone else makes meanwhile is not overwritten: the store fails', async (t) => {
  const { store, commit, git } = await open(t)
  const first = await commit(['a', '1'])
  const tree = await git('rev-parse', 'master^{tree}')
  const other = await git(
    '-c',
    'user.name=o',
    '-c',
    'user.email=o@o',
    'commit-tree',
    '-m',
    'other',
    '-p',
    first,
    tree,
  )
  await git('update-ref', 'refs/heads/master', other)
  await t.throwsAsync(commit(['b', '2']), { code: 'ERR_STORE' })
  t.is(await git('rev-parse', 'master'), other)
  await store.close()
})

test('a large file that is appended to is read in pieces by git, too', async (t) => {
  const { store, commit, git } = await open(t)
  const large = Buffer.alloc(100 << 20, 'large ')
  await commit(['a', large])
  await commit(['a', 'x'])
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1')
    .trim()
    .split(' ')
  const readers = children.filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('cat-file'),
  )
  t.true(readers.length > 0)
  for (const pid of readers) {
    const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    t.true(Number(peak) < 50 << 10, `${peak} kB`)
  }
  t.is(await git('cat-file', '-s', 'master:a'), String(large.length + 1))
  await store.close()
})
