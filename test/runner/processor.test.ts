import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { git, tarspoutWith, temporaryFolder } from '../support/processes.js'

const spout = (...lines: string[]) => ({
  pipeline: { name: 'numbers' },
  transform: { cmd: ['sh', '-e'], stdin: ['cd $(mktemp -d)', ...lines] },
  spout: {},
})
const processor = (
  name: string,
  repo: string,
  glob: string,
  script: string,
  more: object = {},
) => ({
  pipeline: { name },
  transform: { cmd: ['sh', '-ec', script], ...more },
  input: { pfs: { repo, glob } },
})
const FOUR = 'for n in 1 2 3 4; do echo $n > f$n; tar -cf $PFS_DIR/out f$n; done'

async function run(t: ExecutionContext, specs: object[], ...args: string[]) {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'specs.json'), specs.map((spec) => JSON.stringify(spec)).join('\n'))
  const result = await tarspoutWith(t, folder, { TMPDIR: folder }, 'run', 'specs.json', ...args)
    .result
  return {
    folder,
    ...result,
    git: (name: string, ...rest: string[]) => git(t, join(folder, `${name}.git`), ...rest),
  }
}

test('each commit of the spout is a job, with the repository checked out and the output committed', async (t) => {
  const script =
    'ls $PFS_DIR/numbers > $PFS_DIR/out/list; echo $numbers_COMMIT > $PFS_DIR/out/commit'
  const { code, stdout, git } = await run(t, [
    spout(FOUR),
    processor('list', 'numbers', '/', script),
  ])
  t.is(code, 0, stdout)
  const lists = [3, 2, 1, 0].map((back) => git('list', 'show', `master~${back}:list`))
  t.deepEqual(await Promise.all(lists), ['f1', 'f1\nf2', 'f1\nf2\nf3', 'f1\nf2\nf3\nf4'])
  t.is(await git('list', 'show', 'master:commit'), await git('numbers', 'rev-parse', 'master'))
})

test('/* makes a datum of each file, runs only new ones, and puts together what they wrote to one file', async (t) => {
  const script = 'cat $numbers >> $PFS_DIR/out/all; echo ran $(ls $PFS_DIR/numbers)'
  const { code, stdout, git } = await run(t, [
    spout(FOUR),
    processor('all', 'numbers', '/*', script),
  ])
  t.is(code, 0, stdout)
  t.is(await git('all', 'show', 'master:all'), '1\n2\n3\n4')
  t.is(await git('all', 'rev-list', '--count', 'master'), '4')
  t.deepEqual(
    [...stdout.matchAll(/^all \| ran (.*)$/gm)].map(([, file]) => file),
    ['f1', 'f2', 'f3', 'f4'],
  )
})

test('SpoutProvenance: each commit of a job names the one that it comes from, also after --fresh', async (t) => {
  const specs = [
    spout(FOUR),
    processor('first', 'numbers', '/', 'cat $numbers/* > $PFS_DIR/out/x'),
    processor('second', 'first', '/', 'cp $first/x $PFS_DIR/out/y'),
  ]
  const { folder, code, stdout, git } = await run(t, specs)
  t.is(code, 0, stdout)
  const inputs = async (name: string) =>
    (await git(name, 'log', '--format=%(trailers:key=Input,valueonly,separator=)')).split('\n')
  const commits = async (name: string) => (await git(name, 'log', '--format=%H')).split('\n')
  const before = await commits('numbers')
  t.is(before.length, 4)
  t.deepEqual(await inputs('first'), before)
  t.deepEqual(await inputs('second'), await commits('first'))
  const again = tarspoutWith(t, folder, { TMPDIR: folder }, 'run', 'specs.json', '--fresh')
  t.is((await again.result).code, 0)
  t.deepEqual(await inputs('first'), await commits('numbers'))
  t.deepEqual(await inputs('second'), await commits('first'))
  t.is((await commits('numbers')).length, 4)
})

test('a processor may read what another wrote', async (t) => {
  const { code, stdout, git } = await run(t, [
    processor('second', 'first', '/', 'cp $first/x $PFS_DIR/out/y'),
    spout(FOUR),
    processor('first', 'numbers', '/', 'cat $numbers/* > $PFS_DIR/out/x'),
  ])
  t.is(code, 0, stdout)
  t.is(await git('second', 'show', 'master:y'), '1\n2\n3\n4')
})

test('a job whose command fails is tried three times, reported, and makes no commit; the next one is run', async (t) => {
  const script =
    'echo try; ! test -e $numbers/f2 || test -e $numbers/f3; ls $numbers > $PFS_DIR/out/list'
  const { code, stdout, stderr, git } = await run(t, [
    spout(FOUR),
    processor('list', 'numbers', '/', script),
  ])
  t.is(code, 1)
  t.regex(
    stderr,
    /^list: not committed: job for [0-9a-f]{10}: the command ended with 1, 3 times \(datum \/\)$/m,
  )
  t.is([...stdout.matchAll(/^list \| try$/gm)].length, 6)
  t.is(await git('list', 'rev-list', '--count', 'master'), '3')
})

test('what is no regular file in the output is reported, and nothing is followed', async (t) => {
  const { code, stderr, git } = await run(t, [
    spout('echo 1 > f; tar -cf $PFS_DIR/out f'),
    processor('links', 'numbers', '/', 'ln -s /etc/passwd $PFS_DIR/out/p'),
  ])
  t.is(code, 1)
  t.regex(stderr, /"p" in \/pfs\/out is no regular file/)
  t.is(await git('links', 'for-each-ref'), '')
})

test('a command that is not there ends the run', async (t) => {
  const specs = [
    spout('echo 1 > f; tar -cf $PFS_DIR/out f', 'sleep 1000'),
    processor('p', 'numbers', '/', ''),
  ]
  ;(specs[1] as { transform: object }).transform = { cmd: ['no-such-command'] }
  const { code, stderr } = await run(t, specs)
  t.is(code, 1)
  t.regex(stderr, /^tarspout: spawn no-such-command ENOENT$/m)
})

for (const [what, specs, code, message] of [
  [
    'a repository that nobody writes',
    [spout(''), processor('p', 'other', '/', '')],
    2,
    /p reads other, which none of them writes/,
  ],
  [
    'a glob that the runner does not know',
    [spout(''), processor('p', 'numbers', '/**', '')],
    1,
    /ERR_SPEC: p: the runner knows the globs/,
  ],
  ['no spout', [processor('p', 'p', '/', '')], 2, /none of the specifications is a spout/],
  ['two of one name', [spout(''), processor('numbers', 'numbers', '/', '')], 2, /same name/],
] as const) {
  test(`${what} is refused before anything is started`, async (t) => {
    const result = await run(t, [...specs])
    t.is(result.code, code)
    t.regex(result.stderr, message)
    t.notRegex(result.stdout, /started/)
    t.false(existsSync(join(result.folder, 'numbers.git')))
  })
}
