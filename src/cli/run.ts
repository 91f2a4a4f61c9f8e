import { LocalRun } from '../runner/local-run.js'
import { readArguments, readMode } from './arguments.js'
import { Ending } from './ending.js'
import { findProgram } from './find-program.js'
import {
  ENDING_HELP,
  OUTPUT_HELP,
  READER_HELP,
  RECEIVING_OPTIONS,
  readReceiving,
} from './receiving.js'
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
  --fifo-mode MODE    mode of the FIFO (default: 600), for a command that runs as another user; the
                      folders around it are opened to whom it lets in
${READER_HELP}
  --sink pachctl      commit to a repository of Pachyderm 2.x through its pachctl program instead of
                      git; --repo is then its name (default: the pipeline's)
  --docker            run the commands in their images with docker or podman; the folder is /pfs
  --fresh             forget the commits and the marker of earlier runs
${ENDING_HELP}
${OUTPUT_HELP}

Ends by itself when the command has ended with 0, since it is then never started again.
Ctrl-C ends everything and leaves only the repository.

Exit codes: 0 done; 1 an archive was not committed, the command cannot be started or failed without
a commit, or the repository failed; 2 wrong usage; 130 ended by Ctrl-C.`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    ...RECEIVING_OPTIONS,
    root: { type: 'string' },
    'fifo-mode': { type: 'string' },
    docker: { type: 'boolean' },
  })
  if (values.help) {
    console.log(RUN_HELP)
    return 0
  }
  if (positionals.length === 0) throw new UsageError('run takes a pipeline specification')
  const { generation, sink, commits, forMs } = readReceiving(values)
  const fifoMode = readMode('fifo-mode', values['fifo-mode'])
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
  if (sink === 'pachctl') findProgram('--sink pachctl', 'pachctl')
  const repository = values.repo ?? (sink === 'git' ? `${spec.name}.git` : spec.name)
  const container = values.docker ? findProgram('--docker', 'docker', 'podman') : undefined
  const local = new LocalRun(spec, others, repository, values.fresh ?? false, sink)
  const view: View = values.json
    ? new JsonView()
    : process.stdout.isTTY
      ? new LiveView(() => local.progress)
      : new PlainView()
  const ending = new Ending(() => local.stop(), forMs)
  try {
    await local.run(
      { root: values.root, fifoMode, generation, commits, container },
      (name, event) => view.show(name, event),
    )
  } finally {
    ending.close()
    view.close()
  }
  if (!values.json) {
    for (const { name, path, branch, count } of local.results) {
      const command =
        sink === 'git'
          ? `git -C ${path} log --stat ${branch}`
          : `pachctl list commit ${path}@${branch}`
      const look = count > 0 ? `; see ${command}` : ''
      console.log(`${name}: ${formatCount(count, 'commit')} on ${branch}${look}`)
    }
  }
  if (ending.interrupted) return 130
  return local.hasFailed ? 1 : 0
}
