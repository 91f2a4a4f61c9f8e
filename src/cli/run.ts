import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LocalRun } from '../pachyderm/local-run.js'
import { READER_GENERATIONS } from '../pachyderm/receiver.js'
import { readArguments, readChoice, readCount, readDuration } from './arguments.js'
import { formatCount } from './report.js'
import { readSpecFiles } from './spec-files.js'
import { UsageError } from './usage-error.js'
import { JsonView, LiveView, PlainView, type View } from './view.js'

export const RUN_HELP = `Usage: tarspout run SPEC [SPEC...] [options]

Runs a spout on this machine as Pachyderm would: makes the FIFO, starts the command of the pipeline
specification, commits each archive it writes to a bare git repository, and starts the command again
when it fails. After a broken archive all of it starts anew, as in Pachyderm 1.11.3, but after half
a second instead of ten.

The command finds its folder in PFS_DIR: the FIFO is $PFS_DIR/out, the marker is $PFS_DIR/<marker>.
It runs on this host unless --docker is given.

Further specifications whose input is a pipeline's repository run for each of its commits, with
$PFS_DIR/<repo> and $PFS_DIR/out, and commit what they write to a repository of their own.

  --repo DIR          the repository (default: ./<pipeline>.git); made if it is not there
  --root DIR          folder that gets pfs/out (default: a temporary one); / serves programs that
                      have /pfs/out written into them
  --reader RELEASE    behave as the reader of this Pachyderm release: ${READER_GENERATIONS.join(', ')}
                      (default: the last)
  --sink pachctl      commit to a repository of Pachyderm 2.x through its pachctl program instead of
                      git; --repo is then its name (default: the pipeline's)
  --docker            run the commands in their images with docker or podman; the folder is /pfs
  --fresh             forget the commits and the marker of earlier runs
  --commits N         end after N commits
  --for TIME          end after this time (30s, 5m)
  --json              print events as JSON, one a line
  -h, --help

Ends by itself when the command has ended with 0, since it is then never started again.
Ctrl-C ends everything and leaves only the repository.

Exit codes: 0 done; 1 an archive was not committed, the command cannot be started or failed without
a commit, or the repository failed; 2 wrong usage; 130 ended by Ctrl-C.`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    repo: { type: 'string' },
    root: { type: 'string' },
    reader: { type: 'string' },
    sink: { type: 'string' },
    docker: { type: 'boolean' },
    fresh: { type: 'boolean' },
    commits: { type: 'string' },
    for: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) {
    console.log(RUN_HELP)
    return 0
  }
  if (positionals.length === 0) throw new UsageError('run takes a pipeline specification')
  const generation = readChoice('reader', values.reader, READER_GENERATIONS)
  const sink = readChoice('sink', values.sink, ['git', 'pachctl']) ?? 'git'
  const commits = readCount('commits', values.commits)
  const forMs = readDuration('for', values.for)
  const { specs, faults } = readSpecFiles(positionals)
  if (faults.length > 0) {
    for (const fault of faults) console.error(fault)
    return 1
  }
  const [spec, ...more] = specs.filter((each) => each.spout !== undefined)
  if (spec === undefined) throw new UsageError('none of the specifications is a spout')
  if (more.length > 0) throw new UsageError('only one of the specifications can be a spout')
  const others = specs.filter((each) => each !== spec)
  const names = new Set(specs.map(({ name }) => name))
  if (names.size < specs.length) throw new UsageError('two specifications have the same name')
  for (const { name, input } of others) {
    if (input && !names.has(input.repo))
      throw new UsageError(`${name} reads ${input.repo}, which none of them writes`)
  }

  if (sink === 'pachctl' && (others.length > 0 || values.fresh)) {
    throw new UsageError('--sink pachctl takes one specification and no --fresh')
  }
  const repository = values.repo ?? (sink === 'git' ? `${spec.name}.git` : spec.name)
  const container = values.docker ? findContainerProgram() : undefined
  const local = new LocalRun(spec, others, repository, values.fresh ?? false, sink)
  const view: View = values.json
    ? new JsonView()
    : process.stdout.isTTY
      ? new LiveView(() => local.progress)
      : new PlainView()
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interrupted = true
      local.stop()
    })
  }
  const timer = forMs === undefined ? undefined : setTimeout(() => local.stop(), forMs)
  try {
    await local.run({ root: values.root, generation, commits, container }, (name, event) =>
      view.show(name, event),
    )
  } finally {
    clearTimeout(timer)
    view.close()
  }
  if (!values.json) {
    for (const { name, path, branch, count } of local.results) {
      const command =
        sink === 'git' ? `git -C ${path} log --stat ${branch}` : `pachctl list commit ${path}@${branch}`
      const look = count > 0 ? `; see ${command}` : ''
      console.log(`${name}: ${formatCount(count, 'commit')} on ${branch}${look}`)
    }
  }
  if (interrupted) return 130
  return local.hasFailed ? 1 : 0
}

/** `docker` or `podman`, whichever is found first. */
function findContainerProgram(): string {
  for (const name of ['docker', 'podman']) {
    for (const folder of (process.env.PATH ?? '').split(':')) if (existsSync(join(folder, name))) return name
  }
  throw new UsageError('--docker needs docker or podman')
}
