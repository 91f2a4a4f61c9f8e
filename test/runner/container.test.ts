import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { git, tarspoutWith, temporaryFolder } from '../support/processes.js'

// A stand-in that records how it was called, and runs the command on this host with the folder that
// would be /pfs.
const RECORDER = `#!/bin/sh
echo "$*" >> "$RECORD"
if [ "$1" = rm ]; then kill -KILL -$(cat "$RECORD.pid"); exit; fi
echo $$ > "$RECORD.pid"
shift
while :; do
  case "$1" in
    --rm|-i) shift ;;
    --volume) pfs="\${2%:/pfs}"; shift 2 ;;
    --env) export "$2"; shift 2 ;;
    --entrypoint) program="$2"; shift 2 ;;
    --*) shift 2 ;;
    *) shift; break ;;
  esac
done
[ "$PFS_DIR" = /pfs ] || exit 9
export PFS_DIR="$pfs"
exec "$program" "$@"
`

function prepare(t: ExecutionContext, transform: object) {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin', 'docker'), RECORDER)
  chmodSync(join(folder, 'bin', 'docker'), 0o755)
  writeFileSync(
    join(folder, 'spec.json'),
    JSON.stringify({ pipeline: { name: 'p' }, transform, spout: {} }),
  )
  const env = {
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    RECORD: join(folder, 'record'),
    TMPDIR: folder,
  }
  const program = tarspoutWith(t, folder, env, 'run', 'spec.json', '--docker')
  return { folder, program, recorded: () => readFileSync(env.RECORD, 'utf8') }
}

test('--docker runs the command in its image, with the folder as /pfs and nothing of the environment here', async (t) => {
  const { folder, program, recorded } = prepare(t, {
    image: 'my/image:1',
    cmd: [
      'sh',
      '-ec',
      'readlink $PFS_DIR/out; cd $(mktemp -d); echo $A > f; tar -cf $PFS_DIR/out f',
    ],
    env: { A: 'value' },
    working_dir: '/work',
    user: 'me',
  })
  const { code, stdout, stderr } = await program.result
  t.is(code, 0, stdout + stderr)
  t.regex(
    recorded(),
    /^run --rm -i --name tarspout-\S+ --volume \S+\/pfs:\/pfs --env PPS_PIPELINE_NAME=p --env A=value --env PACH_JOB_ID=spout --env PFS_DIR=\/pfs --workdir \/work --user me --entrypoint sh my\/image:1 -ec /,
  )
  t.regex(stdout, /^p \| \.scratch\/[^/]+\/out$/m)
  t.notRegex(stdout, /runs on this host/)
  t.is(await git(t, join(folder, 'p.git'), 'show', 'master:f'), 'value')
})

test('Ctrl-C removes the container', async (t) => {
  const { program, recorded } = prepare(t, { cmd: ['sh', '-c', 'echo up; sleep 1000'] })
  await program.printed(/up/)
  program.child.kill('SIGINT')
  t.is((await program.result).code, 130)
  const [run = '', remove] = recorded().trim().split('\n')
  t.is(remove, `rm --force ${/--name (\S+)/.exec(run)?.[1]}`)
  t.regex(run, /ubuntu:16\.04/)
})

test('a container that cannot be started ends the run, instead of being tried for ever', async (t) => {
  const { program } = prepare(t, {
    image: 'my/image:1',
    cmd: ['sh', '-c', 'echo no daemon >&2; exit 125'],
  })
  const { code, stdout, stderr } = await program.result
  t.is(code, 1)
  t.regex(stdout, /^p \| no daemon$/m)
  t.is(stderr, 'tarspout: docker could not start my/image:1, and said why above\n')
})
