import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Program, sh, tarspoutWith, temporaryFolder } from '../support/processes.js'

// A stand-in that records how it was called, and lists what it was given to untar.
const RECORDER = `#!/bin/sh
echo "$*" >> "$RECORD"
case "$1 $2" in
  "start commit") echo c$(grep -c "^start" "$RECORD") ;;
  "put file") tar -tvf - | awk '{ print "  " $1, $3, $6 }' >> "$RECORD" ;;
  "get file") mkdir -p "$(dirname "$6")"; [ -n "$MARKER" ] && echo "$MARKER" > "$6" ;;
  "finish commit") [ -z "$FAIL" ] || { echo "no such commit" >&2; exit 1; } ;;
esac
`

function prepare(t: ExecutionContext) {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin', 'pachctl'), RECORDER)
  chmodSync(join(folder, 'bin', 'pachctl'), 0o755)
  const record = join(folder, 'record')
  const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, RECORD: record, TMPDIR: folder }
  return { folder, env, recorded: () => readFileSync(record, 'utf8').trimEnd().split('\n') }
}

const receive = (
  t: ExecutionContext,
  folder: string,
  env: NodeJS.ProcessEnv,
  ...args: string[]
): Program => {
  execFileSync('mkfifo', [join(folder, 'fifo')])
  return tarspoutWith(
    t,
    folder,
    env,
    'receive',
    'fifo',
    '--sink',
    'pachctl',
    '--repo',
    'spout',
    ...args,
  )
}

test('an archive becomes a commit that is started, filled by appending, and finished', async (t) => {
  const { folder, env, recorded } = prepare(t)
  const program = receive(t, folder, env, '--commits', '2', '--marker', 'mark')
  await sh(
    t,
    folder,
    'echo hello > a; mkdir d; : > d/b; echo m > mark; tar -cf fifo ./a d/b; tar -cf fifo a mark',
  )
  t.is((await program.result).code, 0)
  t.deepEqual(recorded(), [
    'start commit spout@master',
    'put file spout@c1:/ --untar --append -f -',
    '  -rw------- 6 a',
    '  -rw------- 0 d/b',
    'finish commit spout@c1',
    'start commit spout@master',
    'put file spout@c2:/ --untar --append -f -',
    '  -rw------- 6 a',
    'finish commit spout@c2',
    'start commit spout@marker',
    'put file spout@c3:/ --untar -f -',
    '  -rw------- 2 mark',
    'finish commit spout@c3',
  ])
})

test('with overwrite it is not appended', async (t) => {
  const { folder, env, recorded } = prepare(t)
  const program = receive(t, folder, env, '--commits', '1', '--overwrite', '--branch', 'prod')
  await sh(t, folder, 'echo hello > a; tar -cf fifo a')
  t.is((await program.result).code, 0)
  t.deepEqual(recorded().slice(0, 2), [
    'start commit spout@prod',
    'put file spout@c1:/ --untar -f -',
  ])
})

test('a commit that cannot be finished ends the receiver with what pachctl said', async (t) => {
  const { folder, env } = prepare(t)
  const program = receive(t, folder, { ...env, FAIL: '1' })
  await sh(t, folder, 'echo hello > a; tar -cf fifo a')
  const { code, stderr } = await program.result
  t.is(code, 1)
  t.is(stderr, 'tarspout: ERR_STORE: pachctl finish commit spout@c1: no such commit\n')
})

test('run pulls the marker through pachctl and commits to the repository of the pipeline', async (t) => {
  const { folder, env, recorded } = prepare(t)
  const spec = {
    pipeline: { name: 'my-spout' },
    transform: {
      cmd: ['sh', '-e'],
      stdin: ['cat $PFS_DIR/mark', 'cd $(mktemp -d)', 'echo x > f', 'tar -cf $PFS_DIR/out f'],
    },
    spout: { marker: 'mark' },
  }
  writeFileSync(join(folder, 'spec.json'), JSON.stringify(spec))
  const program = tarspoutWith(
    t,
    folder,
    { ...env, MARKER: 'last time' },
    'run',
    'spec.json',
    '--sink',
    'pachctl',
  )
  const { code, stdout } = await program.result
  t.is(code, 0, stdout)
  t.regex(stdout, /^my-spout \| last time$/m)
  t.regex(stdout, /see pachctl list commit my-spout@master/)
  t.regex(recorded()[0] ?? '', /^get file my-spout@marker:\/mark -r -o \//)
  t.is(recorded().at(-1), 'finish commit my-spout@c1')
})
