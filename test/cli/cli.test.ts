import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { sh, tarspout, tarspoutWith, temporaryFolder } from '../support/processes.js'

for (const args of [
  ['--help'],
  ['run', '--help'],
  ['receive', '-h'],
  ['write', '--help'],
  ['check', '--help'],
]) {
  test(`tarspout ${args.join(' ')} prints help with the exit codes`, async (t) => {
    const { code, stdout, stderr } = await tarspout(t, '.', ...args).result
    t.is(code, 0)
    t.is(stderr, '')
    t.regex(stdout, /^Usage: tarspout /)
    t.regex(stdout, /Exit codes: 0 /)
    t.true(stdout.split('\n').every((line) => line.length <= 100))
  })
}

test('--version is the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.is((await tarspout(t, '.', '--version').result).stdout, `${version}\n`)
})

const wrong = [
  ['nothing'],
  ['receive'],
  ['receive', 'f'],
  ['receive', 'f', 'g', '--repo', 'r'],
  ['receive', 'f', '--repo', 'r', '--reader', '2.0'],
  ['receive', 'f', '--repo', 'r', '--commits', '0'],
  ['receive', 'f', '--repo', 'r', '--for', 'ever'],
  ['receive', 'f', '--repo', 'r', '--frsh'],
  ['receive', 'f', '--repo', 'r', '--once', '--reader', '1.9'],
  ['receive', 'f', '--repo', ''],
  ['receive', 'f', '--repo', 'r', '--marker', '../x'],
  ['receive', 'f', '--repo', 'r', '--sink', 'pachctl', '--fresh'],
  ['run'],
  ['run', 's', '--commits', '-1'],
  ['run', 's', '--for', '597h'],
  ['run', 's', '--sink', 'none'],
  ['run', 's', '--fifo-mode', 'rw'],
  ['run', 's', '--json=yes'],
  ['write', 'f', 'g'],
  ['write', ''],
  ['write', 'f', '--name', ''],
  ['write', 'f', '--null', '--files'],
  ['write', 'f', '--files', '--name', 'n'],
  ['write', 'f', '--max-entries', '0'],
  ['write', 'f', '--max-delay', 'never'],
  ['write', 'f', '--confirm', 'maybe'],
  ['check'],
]
for (const args of wrong) {
  test(`wrong usage is one line, a hint and exit code 2: ${args.join(' ')}`, async (t) => {
    const { code, stdout, stderr } = await tarspout(t, temporaryFolder(t), ...args).result
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /^tarspout: [^\n]+\nTry tarspout --help\.\n$/)
  })
}

for (const [option, args] of [
  ['--docker', ['run', 'spec.json', '--docker']],
  ['--sink pachctl', ['run', 'spec.json', '--sink', 'pachctl']],
  ['--sink pachctl', ['receive', 'fifo', '--repo', 'r', '--sink', 'pachctl']],
] as const) {
  test(`the program that an option needs is looked for before anything is made: ${args.join(' ')}`, async (t) => {
    const folder = temporaryFolder(t)
    writeFileSync(
      join(folder, 'spec.json'),
      '{"pipeline":{"name":"p"},"transform":{"cmd":["x"]},"spout":{}}',
    )
    const { code, stderr } = await tarspoutWith(t, folder, { PATH: folder }, ...args).result
    t.is(code, 2)
    const names = option === '--docker' ? 'docker or podman' : 'pachctl'
    t.regex(stderr, new RegExp(`^tarspout: ${option} needs ${names}, which is not in PATH\\n`))
    t.deepEqual(readdirSync(folder), ['spec.json'])
  })
}

test('a failure is one line with its code, not a stack', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'file'), '')
  const missing = await tarspout(t, folder, 'check', 'missing.json').result
  t.deepEqual(
    [missing.code, missing.stderr],
    [1, "tarspout: ENOENT: no such file or directory, open 'missing.json'\n"],
  )
  const aFolder = await tarspout(t, folder, 'check', '.').result
  t.deepEqual([aFolder.code, aFolder.stderr], [1, 'tarspout: . is a folder\n'])
  const noFifo = await tarspout(t, folder, 'receive', 'file', '--repo', 'r.git').result
  t.deepEqual([noFifo.code, noFifo.stderr], [1, 'tarspout: ERR_FIFO_NOT_A_FIFO: file is no FIFO\n'])
  t.false(existsSync(join(folder, 'r.git')))
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const noStore = await tarspout(t, folder, 'receive', 'fifo', '--repo', '.').result
  t.is(noStore.code, 1)
  t.regex(noStore.stderr, /^tarspout: ERR_STORE: [^\n]+\n$/)
})

test('check shows every fault of every file, each with its place', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'good.json'), '{"pipeline":{"name":"p"},"transform":{"cmd":["x"]}}')
  writeFileSync(
    join(folder, 'bad.yaml'),
    'pipeline: {name: a.b}\ntransform: {cmd: [x], env: {A: 1}}\n',
  )
  const good = await tarspout(t, folder, 'check', 'good.json').result
  t.deepEqual([good.code, good.stdout], [0, '1 specification, no faults: p\n'])
  const bad = await tarspout(t, folder, 'check', 'good.json', 'bad.yaml').result
  t.is(bad.code, 1)
  t.regex(
    bad.stderr,
    /^bad\.yaml:1:18: .*\n.*\n +\^\^\^\nbad\.yaml:2:32: .*\n.*\n +\^\n2 faults\n$/,
  )
})

test('check --schema prints a JSON schema that knows every field', async (t) => {
  const { code, stdout } = await tarspout(t, '.', 'check', '--schema').result
  t.is(code, 0)
  const schema = JSON.parse(stdout) as {
    properties: Record<string, { properties?: object }>
    additionalProperties: boolean
  }
  t.false(schema.additionalProperties)
  t.true('overwrite' in (schema.properties.spout?.properties ?? {}))
  t.true('outputBranch' in schema.properties)
})

test('receive --once ends with the writers, and exit code 1 says that an archive was not committed', async (t) => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const good = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git', '--once')
  await sh(t, folder, 'echo x > a; tar -cf fifo a')
  t.is((await good.result).code, 0)
  const bad = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git', '--once')
  await sh(t, folder, 'ln -s a l; tar -cf fifo l')
  const { code, stderr } = await bad.result
  t.is(code, 1)
  t.regex(stderr, /^not committed: entry "l" is a SymbolicLink/)
})

test('receive ends at Ctrl-C while it waits for a writer, with 130', async (t) => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const program = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git')
  await sh(t, folder, 'echo x > a; tar -cf fifo a')
  await program.printed(/commit 1/)
  program.child.kill('SIGINT')
  t.is((await program.result).code, 130)
})

test('write makes archives of lines, NUL- and length-delimited records, and files', async (t) => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const receiver = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git', '--commits', '5')
  const run = async (input: Buffer | string, ...args: string[]) => {
    const program = tarspout(t, folder, 'write', 'fifo', ...args)
    program.child.stdin?.end(input)
    const { code, stderr } = await program.result
    t.is(code, 0, stderr)
  }
  await run('one\ntwo\nthree', '--name', 'line-{n}', '--max-entries', '2')
  await run('a\nb\0c', '--null', '--name', 'nul-{n}')
  const length = (text: string) =>
    Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
  await run(Buffer.concat([length('x\0y'), length('')]), '--length-prefixed', '--name', 'len-{n}')
  writeFileSync(join(folder, 'file'), 'content')
  writeFileSync(join(folder, 'large'), Buffer.alloc(3_000_000, 'large '))
  await run('file\nlarge\n', '--files')
  t.is((await receiver.result).code, 0)
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', join(folder, 'r.git'), ...args], {
      encoding: 'utf8',
      maxBuffer: 1 << 23,
    })
  t.is(git('rev-list', '--count', 'master'), '5\n')
  const files = ['line-1', 'line-2', 'line-3', 'nul-1', 'nul-2', 'len-1', 'len-2', 'file']
  t.deepEqual(
    files.map((name) => git('show', `master:${name}`)),
    ['one\n', 'two\n', 'three', 'a\nb', 'c', 'x\0y', '', 'content'],
  )
  t.true(git('show', 'master:large') === 'large '.repeat(500_000))
})

test('write ends at Ctrl-C while it waits for input, with 130', async (t) => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const receiver = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git')
  const program = tarspout(t, folder, 'write', 'fifo')
  program.child.stdin?.write('x\n')
  await receiver.printed(/commit 1/)
  program.child.kill('SIGINT')
  t.is((await program.result).code, 130)
  receiver.child.kill('SIGINT')
  await receiver.result
})

test('write says which record was cut off or refused', async (t) => {
  const folder = temporaryFolder(t)
  execFileSync('mkfifo', [join(folder, 'fifo')])
  const receiver = tarspout(t, folder, 'receive', 'fifo', '--repo', 'r.git')
  const cut = tarspout(t, folder, 'write', 'fifo', '--length-prefixed')
  cut.child.stdin?.end(Buffer.from([0, 0, 0, 9, 1]))
  const { code, stderr } = await cut.result
  t.deepEqual([code, stderr], [1, 'tarspout: record 1 is cut off: 9 bytes announced, 1 came\n'])
  const refused = tarspout(t, folder, 'write', 'fifo', '--name', 'a*')
  refused.child.stdin?.end('x\n')
  t.is((await refused.result).code, 1)
  t.regex((await refused.result).stderr, /^tarspout: ERR_TAR_NAME: [^\n]+\n$/)
  const noFile = tarspout(t, folder, 'write', 'fifo', '--files')
  noFile.child.stdin?.end('fifo\n')
  t.deepEqual([(await noFile.result).code, noFile.stderr], [1, 'tarspout: fifo is no file\n'])
  receiver.child.kill('SIGINT')
  await receiver.result
})
