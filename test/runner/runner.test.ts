import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import {
  git,
  type Program,
  python,
  sh,
  tarspoutWith,
  temporaryFolder,
} from '../support/processes.js'

interface Fixture {
  folder: string
  repository: string
  /** Writes the specification and runs it. */
  run(spec: object, ...args: string[]): Program
  git(...args: string[]): Promise<string>
}

function prepare(t: ExecutionContext): Fixture {
  const folder = temporaryFolder(t)
  const repository = join(folder, 'spout.git')
  return {
    folder,
    repository,
    run(spec, ...args) {
      writeFileSync(
        join(folder, 'spec.json'),
        JSON.stringify({ pipeline: { name: 'spout' }, ...spec }),
      )
      // What a command or a runner that is killed leaves behind goes with the test.
      const env = { TMPDIR: folder }
      return tarspoutWith(t, folder, env, 'run', 'spec.json', '--repo', repository, ...args)
    },
    git: (...args) => git(t, repository, ...args),
  }
}

const script = (...lines: string[]) => ({ cmd: ['sh', '-e'], stdin: lines })
const log = async ({ git }: Fixture, branch = 'master') =>
  (await git('rev-list', '--count', branch)).trim()

// The subtests of Pachyderm's TestSpout, with the writers they name.

test('SpoutBasic: GNU tar in a shell loop, one file that grows by each commit', async (t) => {
  const fixture = prepare(t)
  const program = fixture.run(
    {
      transform: script(
        'cd $(mktemp -d)',
        'while :; do',
        'sleep 0.05',
        'date > date',
        'tar -cf $PFS_DIR/out ./date*',
        'done',
      ),
      spout: {},
    },
    '--commits',
    '5',
  )
  const { code, stdout, stderr } = await program.result
  t.is(code, 0, stdout + stderr)
  t.is(await log(fixture), '5')
  let size = 0
  for (const back of [4, 3, 2, 1, 0]) {
    t.is(await fixture.git('ls-tree', '-r', '--name-only', `master~${back}`), 'date')
    const next = Number(await fixture.git('cat-file', '-s', `master~${back}:date`))
    t.true(next > size)
    size = next
  }
  t.is(await fixture.git('fsck', '--strict'), '')
})

test('SpoutOverwrite: one file whose size stays the same', async (t) => {
  const fixture = prepare(t)
  const lines = [
    'cd $(mktemp -d)',
    'while :; do',
    'date > date',
    'tar -cf $PFS_DIR/out ./date*',
    'done',
  ]
  const { code } = await fixture.run(
    { transform: script(...lines), spout: { overwrite: true } },
    '--commits',
    '5',
  ).result
  t.is(code, 0)
  const sizes = [0, 1, 2, 3, 4].map((back) => fixture.git('cat-file', '-s', `master~${back}:date`))
  t.is(new Set(await Promise.all(sizes)).size, 1)
})

test('SpoutMarker: the marker is pulled at the start, and survives until --fresh', async (t) => {
  const fixture = prepare(t)
  const spec = {
    transform: script(
      'cd $(mktemp -d)',
      'mkdir mymark',
      'cp $PFS_DIR/mymark/test mymark/test 2>/dev/null || :',
      'echo $MARK >> mymark/test',
      'tar -cf $PFS_DIR/out ./mymark/test',
    ),
    spout: { marker: 'mymark' },
  }
  const withMark = (mark: string) => ({
    ...spec,
    transform: { ...spec.transform, env: { MARK: mark } },
  })
  t.is((await fixture.run(withMark('x')).result).code, 0)
  t.is((await fixture.run(withMark('x')).result).code, 0)
  t.is((await fixture.run(withMark('.')).result).code, 0)
  t.is(await fixture.git('show', 'marker:mymark/test'), 'x\nx\n.')
  t.is(await log(fixture, 'marker'), '3')
  t.is(await fixture.git('ls-tree', '-r', '--name-only', 'master'), '')
  t.is(await log(fixture), '3')
  t.is((await fixture.run(withMark('.'), '--fresh').result).code, 0)
  t.is(await fixture.git('show', 'marker:mymark/test'), '.')
})

test('SpoutInputValidation: a spout with an input is not started', async (t) => {
  const fixture = prepare(t)
  const { code, stderr } = await fixture.run({
    transform: { cmd: ['x'] },
    spout: {},
    input: { pfs: { repo: 'r', glob: '/' } },
  }).result
  t.is(code, 1)
  t.regex(stderr, /must not have an input/)
  t.false(existsSync(fixture.repository))
})

test('ServiceSpout: what comes through a socket, with an input that is not mounted', async (t) => {
  const fixture = prepare(t)
  const netcat = `
import os, shutil, socket
server = socket.create_server(('127.0.0.1', 0))
print('port', server.getsockname()[1], sorted(os.listdir(os.environ['PFS_DIR'])), flush=True)
with server.accept()[0].makefile('rb') as source, open(os.environ['PFS_DIR'] + '/out', 'wb') as fifo:
    shutil.copyfileobj(source, fifo)
`
  const program = fixture.run({
    transform: { cmd: ['python3', '-c', netcat] },
    spout: { service: { internal_port: 8000, external_port: 31800 } },
    input: { pfs: { repo: 'data', glob: '/' } },
    parallelism_spec: { constant: 1 },
  })
  await program.printed(/port \d+ \S.*\n/)
  const [, port, folder] = /port (\d+) (.*)/.exec(program.stdout) ?? []
  t.is(folder, "['.scratch', 'out']")
  const send = `
import io, socket, sys, tarfile
with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as s, s.makefile('wb') as sink:
    with tarfile.open(fileobj=sink, mode='w|') as archive:
        info = tarfile.TarInfo('file1'); info.size = 3
        archive.addfile(info, io.BytesIO(b'foo'))
`
  t.is((await python(t, fixture.folder, send, port ?? '').result).code, 0)
  t.is((await program.result).code, 0)
  t.is(await log(fixture), '1')
  t.is(await fixture.git('show', 'master:file1'), 'foo')
})

test('SpoutRapidOpenClose: hundreds of archives in a row, none skipped, one in each commit', async (t) => {
  const fixture = prepare(t)
  const writer = `
import io, os, tarfile
for number in range(250):
    with open(os.environ['PFS_DIR'] + '/out', 'wb') as fifo:
        with tarfile.open(fileobj=fifo, mode='w|') as archive:
            info = tarfile.TarInfo('test%d' % number); info.size = 1
            archive.addfile(info, io.BytesIO(b'x'))
`
  const { code } = await fixture.run({ transform: { cmd: ['python3', '-c', writer] }, spout: {} })
    .result
  t.is(code, 0)
  const names = await fixture.git('log', '--reverse', '--format=', '--name-status')
  t.deepEqual(
    names.split('\n'),
    Array.from({ length: 250 }, (_, number) => `A\ttest${number}`),
  )
})

test('SpoutHammer: a loop without a pause', async (t) => {
  const fixture = prepare(t)
  const lines = [
    'cd $(mktemp -d)',
    'while :; do',
    'echo hello >> f',
    'tar -cf $PFS_DIR/out f',
    'echo "" | $PFS_DIR/out || :',
    'done',
  ]
  const { code } = await fixture.run({ transform: script(...lines), spout: {} }, '--commits', '5')
    .result
  t.is(code, 0)
  t.is(await log(fixture), '5')
  const sizes = [4, 3, 2, 1, 0].map(async (back) => {
    t.is(await fixture.git('ls-tree', '-r', '--name-only', `master~${back}`), 'f')
    return Number(await fixture.git('cat-file', '-s', `master~${back}:f`))
  })
  const seen = await Promise.all(sizes)
  t.deepEqual(
    seen.toSorted((a, b) => a - b),
    seen,
  )
  t.is(new Set(seen).size, 5)
})

test("SpoutPython: Python's tarfile on one open FIFO, two entries of one name in each archive", async (t) => {
  const fixture = prepare(t)
  const writer = `
import io, os, sys, tarfile
with open(os.environ['PFS_DIR'] + '/out', 'wb') as fifo:
    for _ in range(5):
        with tarfile.open(fileobj=fifo, mode='w|', encoding='utf-8') as archive:
            for _ in range(2):
                info = tarfile.TarInfo('data'); info.size = 2048; info.mode = 0o600
                archive.addfile(info, io.BytesIO(b'x' * 2048))
sys.exit(1)
`
  const { code } = await fixture.run(
    { transform: { cmd: ['python3', '-c', writer] }, spout: {} },
    '--commits',
    '10',
  ).result
  t.is(code, 0)
  for (const back of [9, 5, 0]) {
    t.is(await fixture.git('cat-file', '-s', `master~${back}:data`), String(4096 * (10 - back)))
  }
})

test('the command gets its input, environment and folder, its output comes with a prefix', async (t) => {
  const fixture = prepare(t)
  const { code, stdout } = await fixture.run({
    transform: {
      ...script(
        'echo $PPS_PIPELINE_NAME $PACH_JOB_ID $WHO $(pwd)',
        'test -p $PFS_DIR/out',
        'stat -Lc %a $PFS_DIR/out $(dirname $(readlink -f $PFS_DIR/out))',
      ),
      env: { WHO: 'me' },
      working_dir: '/usr',
    },
    spout: {},
  }).result
  t.is(code, 0)
  t.regex(stdout, /^spout \| spout spout me \/usr$/m)
  t.regex(stdout, /^spout \| 600\nspout \| 700$/m)
})

test('a command that fails is started again, with the FIFO it had; one that succeeds is not', async (t) => {
  const fixture = prepare(t)
  const lines = ['readlink $PFS_DIR/out', 'if [ -e been ]; then exit 0; fi', 'touch been', 'exit 7']
  const { code, stdout } = await fixture.run({ transform: script(...lines), spout: {} }).result
  t.is(code, 0)
  const [first, second, ...more] = [...stdout.matchAll(/^spout \| (.*)$/gm)].map(([, line]) => line)
  t.is(first, second)
  t.deepEqual(more, [])
  t.regex(stdout, /ended with 7, starts again/)
  t.regex(stdout, /ended with 0, is not started again/)
})

test('an accepted return code and SIGPIPE count as success', async (t) => {
  const fixture = prepare(t)
  const accepted = { ...script('exit 3'), accept_return_code: [3] }
  t.regex(
    (await fixture.run({ transform: accepted, spout: {} }).result).stdout,
    /ended with 3, is not started again/,
  )
  t.regex(
    (await fixture.run({ transform: script('kill -PIPE $$'), spout: {} }).result).stdout,
    /ended with SIGPIPE, is not/,
  )
})

test('after an archive that is no tar the command is killed, and started with a new FIFO', async (t) => {
  const fixture = prepare(t)
  const lines = [
    'readlink $PFS_DIR/out',
    'if [ -e been ]; then echo x > f; tar -cf $PFS_DIR/out f; exit 0; fi',
    'touch been',
    'yes | head -c 1000 > $PFS_DIR/out',
    'sleep 1000',
  ]
  const { code, stdout, stderr } = await fixture.run({ transform: script(...lines), spout: {} })
    .result
  t.is(code, 1)
  t.regex(stderr, /not committed: .*checksum/)
  const [first, second] = [...stdout.matchAll(/^spout \| (.*)$/gm)].map(([, line]) => line)
  t.not(first, second)
  t.is(await log(fixture), '1')
})

test('a command that is not there ends the run with its code', async (t) => {
  const fixture = prepare(t)
  const { code, stderr } = await fixture.run({ transform: { cmd: ['no-such-command'] }, spout: {} })
    .result
  t.is(code, 1)
  t.is(stderr, 'tarspout: spawn no-such-command ENOENT\n')
})

for (const [what, transform, message] of [
  [
    'a working_dir that is not there',
    { cmd: ['true'], working_dir: '/nope' },
    'ERR_SPEC: working_dir /nope is',
  ],
  [
    'an environment that is too large',
    { cmd: ['true'], env: { A: 'a'.repeat(1 << 18) } },
    'spawn E2BIG',
  ],
] as const) {
  test(`${what} ends the run`, async (t) => {
    const fixture = prepare(t)
    const { code, stderr } = await fixture.run({ transform, spout: {} }, '--root', 'a/b').result
    t.is(code, 1)
    t.regex(stderr, new RegExp(`^tarspout: ${message}[^\\n]*\\n$`))
    t.false(existsSync(join(fixture.folder, 'a')))
  })
}

for (const root of ['/proc/nope/x', 'spec.json/x']) {
  test(`a root that cannot be made is an error, and nothing is left behind: ${root}`, async (t) => {
    const fixture = prepare(t)
    const { code, stdout, stderr } = await fixture.run(
      { transform: script(), spout: {} },
      '--root',
      root,
    ).result
    t.deepEqual([code, stdout], [1, ''])
    t.regex(stderr, /^tarspout: (ENOENT|ENOTDIR): [^\n]+, mkdir '[^\n]+'\n$/)
    t.deepEqual(readdirSync(fixture.folder), ['spec.json'])
  })
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} leaves no process, FIFO or folder behind`, async (t) => {
    const fixture = prepare(t)
    const program = fixture.run({
      transform: script(
        'trap "" INT TERM',
        'echo pfs $PFS_DIR',
        '(echo child $(exec sh -c "echo \\$PPID"); sleep 1000) &',
        'sleep 1001 | cat',
        'sleep 1000',
      ),
      spout: {},
    })
    await program.printed(/child \d+/)
    await program.printed(/pfs \S+/)
    const pfs = /pfs (\S+)/.exec(program.stdout)?.[1] ?? ''
    t.true(existsSync(join(pfs, 'out')))
    const started = /process (\d+)/.exec(program.stdout)?.[1]
    program.child.kill(signal)
    const { code, stderr } = await program.result
    t.is(code, 130, stderr)
    t.false(existsSync(join(pfs, '..')))
    // No process is left in the group of the command.
    t.not((await sh(t, fixture.folder, `kill -0 -- -${started}`)).code, 0)
  })
}

test('a runner whose output nobody reads any more ends, and its command with it', async (t) => {
  const fixture = prepare(t)
  const lines = ['echo pid $$ pfs $PFS_DIR', 'while :; do echo x; sleep 0.01; done']
  const program = fixture.run({ transform: script(...lines), spout: {} })
  await program.printed(/pfs \S+\n/)
  const [, pid, pfs = ''] = /pid (\d+) pfs (\S+)/.exec(program.stdout) ?? []
  program.child.stdout?.destroy()
  const { code, stderr } = await program.result
  t.deepEqual([code, stderr], [130, ''])
  t.false(existsSync(join(pfs, '..')))
  t.not((await sh(t, fixture.folder, `kill -0 ${pid}`)).code, 0)
})

test('a root that is given is cleared of what was made in it, and nothing else', async (t) => {
  const fixture = prepare(t)
  const root = join(fixture.folder, 'root')
  mkdirSync(join(root, 'pfs', 'mine'), { recursive: true })
  const { code } = await fixture.run(
    {
      transform: script('test -p root/pfs/out; test -L root/pfs/state/at'),
      spout: { marker: 'state/at' },
    },
    '--root',
    root,
  ).result
  t.is(code, 0)
  t.deepEqual(readdirSync(join(root, 'pfs')), ['mine'])
})

test('--fifo-mode opens the FIFO and the folders around it to others', async (t) => {
  const fixture = prepare(t)
  const lines = ['cd $PFS_DIR', 'stat -Lc "%a %n" out .. . .scratch $(dirname $(readlink out))']
  const { stdout } = await fixture.run(
    { transform: script(...lines), spout: {} },
    '--fifo-mode',
    '622',
  ).result
  t.regex(
    stdout,
    /\| 622 out\n.*\| 755 \.\.\n.*\| 755 \.\n.*\| 755 \.scratch\n.*\| 755 \.scratch\/[^/]+\n/,
  )
})

test('--reader 1.9 gives the command no PACH_JOB_ID', async (t) => {
  const fixture = prepare(t)
  const transform = script('echo job "<$PACH_JOB_ID>"')
  t.regex((await fixture.run({ transform, spout: {} }, '--reader', '1.9').result).stdout, /job <>/)
})

test('the output branch is honoured, and --json prints events', async (t) => {
  const fixture = prepare(t)
  const lines = ['echo x > f', 'tar -cf $PFS_DIR/out f']
  const { stdout } = await fixture.run(
    { transform: script(...lines), spout: {}, output_branch: 'prod' },
    '--json',
  ).result
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; branch?: string })
  t.deepEqual(events.map(({ event }) => event).sort(), ['commit', 'exit', 'start'])
  t.is(events.find(({ event }) => event === 'commit')?.branch, 'prod')
  t.is(await log(fixture, 'prod'), '1')
})

test('--for ends a run that would not end', async (t) => {
  const fixture = prepare(t)
  const { code } = await fixture.run(
    { transform: script('sleep 1000'), spout: {} },
    '--for',
    '300ms',
  ).result
  t.is(code, 0)
})

// The whole of it, with our own writer.

const WRITER = `
import { openSpout } from 'tarspout'
import { appendFileSync } from 'node:fs'
const options = JSON.parse(process.env.OPTIONS)
const spout = await openSpout(options)
async function* numbers() { for (let n = 0; n < Number(process.env.COUNT); n++) yield n }
await spout.run(numbers(), {
  toEntry: (n) => ({ name: 'n' + n, data: 'body ' + n }),
  maxEntries: 10,
  onDelivered: (items) => appendFileSync(process.env.DELIVERED, items.map((n) => 'n' + n + '\\n').join('')),
})
await spout.close()
`

const writer = {
  cmd: [process.execPath, '--input-type=module', '-e', WRITER],
  working_dir: process.cwd(),
}

for (const options of [
  { connection: 'per-archive' },
  { connection: 'persistent' },
  { connection: 'per-archive', confirm: 'committed' },
  { connection: 'persistent', confirm: 'committed' },
]) {
  test(`openSpout(${JSON.stringify(options)}): every archive is one commit, in order`, async (t) => {
    const fixture = prepare(t)
    const env = {
      OPTIONS: JSON.stringify(options),
      COUNT: '500',
      DELIVERED: join(fixture.folder, 'delivered'),
    }
    const { code, stdout, stderr } = await fixture.run({
      transform: { ...writer, env },
      spout: { overwrite: true },
    }).result
    t.is(code, 0, stdout + stderr)
    const names = (await fixture.git('log', '--reverse', '--format=', '--name-only')).split('\n')
    t.deepEqual([...names].sort(), Array.from({ length: 500 }, (_, n) => `n${n}`).sort())
    t.is(await log(fixture), '50')
    t.is(readFileSync(env.DELIVERED, 'utf8').split('\n').length, 501)
  })
}

/** The git processes that work on a repository; each leads a group. */
function gitsOf(repository: string): number[] {
  const works = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0--git-dir\0${repository}\0`)
    } catch {
      return false // no process, or it has ended
    }
  }
  return readdirSync('/proc').filter(works).map(Number)
}

function killGroups(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // it ended by itself
    }
  }
}

// Around commit 256 the repository's packs are put together.
for (const range of [
  { from: 1, to: 40, rounds: 4 },
  { from: 254, to: 259, rounds: 1 },
]) {
  test(`a runner killed at commit ${range.from} to ${range.to} has committed everything that the spout was told is delivered`, async (t) => {
    const fixture = prepare(t)
    const delivered = join(fixture.folder, 'delivered')
    const env = { OPTIONS: '{"connection":"persistent"}', COUNT: '10000', DELIVERED: delivered }
    for (let round = 0; round < range.rounds; round++) {
      writeFileSync(delivered, '')
      const program = fixture.run(
        { transform: { ...writer, env }, spout: { overwrite: true } },
        '--fresh',
      )
      const commits = range.from + Math.floor(Math.random() * (range.to - range.from))
      await program.printed(new RegExp(`commit ${commits} `))
      await delay(Math.random() * 20)
      const group = /process (\d+)/.exec(program.stdout)?.[1]
      const gits = gitsOf(fixture.repository)
      program.child.kill('SIGKILL')
      // Its git goes as well: what it was only told to commit, and has not, must not count.
      killGroups(gits)
      await program.result
      while (gitsOf(fixture.repository).length > 0) {
        killGroups(gitsOf(fixture.repository)) // began just then
        await delay(5)
      }
      const there = new Set(
        (await fixture.git('ls-tree', '-r', '--name-only', 'master')).split('\n'),
      )
      const told = readFileSync(delivered, 'utf8').split('\n').slice(0, -1)
      await sh(t, fixture.folder, `kill -KILL -- -${group} || :`)
      t.true(told.length > 0)
      t.deepEqual(
        told.filter((name) => !there.has(name)),
        [],
        `killed at commit ${commits}`,
      )
      t.is(await fixture.git('fsck', '--strict', '--no-dangling'), '')
    }
  })
}
