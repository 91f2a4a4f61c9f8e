import type { CommitStore } from '../pachyderm/commit-store.js'
import { checkFifo } from '../pachyderm/fifo-reader.js'
import { GitStore } from '../pachyderm/git-store.js'
import { PachctlStore } from '../pachyderm/pachctl-store.js'
import { READER_GENERATIONS, Receiver, type ReceiverEvent } from '../pachyderm/receiver.js'
import { readArguments, readChoice, readCount, readDuration } from './arguments.js'
import { formatEvent } from './report.js'
import { UsageError } from './usage-error.js'

export const RECEIVE_HELP = `Usage: tarspout receive FIFO --repo DIR [options]

Reads tar archives from a FIFO and commits each to a bare git repository. An archive's
last byte stays unread until its commit is durable.

  --repo DIR          the repository; made if it is not there
  --branch NAME       the branch to commit to (default: master)
  --overwrite         replace files that come again, instead of appending to them
  --marker NAME       entries whose name begins so go to the branch 'marker'
  --reader RELEASE    behave as the reader of this Pachyderm release: ${READER_GENERATIONS.join(', ')}
                      (default: the last)
  --sink pachctl      commit to a repository of Pachyderm 2.x through its pachctl program instead of
                      git; --repo is then its name
  --fresh             forget the commits of earlier runs
  --commits N         end after N commits
  --for TIME          end after this time (30s, 5m)
  --once              end when the last writer has left
  --json              print events as JSON, one a line
  -h, --help

Exit codes: 0 done; 1 an archive was not committed, or the repository failed; 2 wrong usage;
130 ended by Ctrl-C.`

export async function receive(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    repo: { type: 'string' },
    branch: { type: 'string' },
    overwrite: { type: 'boolean' },
    marker: { type: 'string' },
    reader: { type: 'string' },
    sink: { type: 'string' },
    fresh: { type: 'boolean' },
    commits: { type: 'string' },
    for: { type: 'string' },
    once: { type: 'boolean' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) {
    console.log(RECEIVE_HELP)
    return 0
  }
  const [path, ...more] = positionals
  if (path === undefined || more.length > 0) throw new UsageError('receive takes one FIFO')
  if (values.repo === undefined) throw new UsageError('receive needs --repo DIR')
  const generation = readChoice('reader', values.reader, READER_GENERATIONS)
  if (values.once && generation === '1.9')
    throw new UsageError('the reader of 1.9 never sees that a writer has left: no --once')
  const commits = readCount('commits', values.commits)
  const forMs = readDuration('for', values.for)
  const sink = readChoice('sink', values.sink, ['git', 'pachctl']) ?? 'git'
  if (sink === 'pachctl' && values.fresh) throw new UsageError('--sink pachctl has no --fresh')
  const { repo, branch, overwrite, fresh } = values
  checkFifo(path) // before a repository is made
  const store: CommitStore =
    sink === 'git'
      ? await GitStore.open({ path: repo, branch, overwrite, fresh })
      : new PachctlStore({ repo, branch, overwrite })
  const onEvent = (event: ReceiverEvent) => {
    if (values.json) console.log(JSON.stringify(event))
    else if (event.event === 'failure') console.error(formatEvent(event))
    else console.log(formatEvent(event))
  }
  const receiver = new Receiver({
    path,
    store,
    generation,
    marker: values.marker,
    onEvent,
    commits,
    once: values.once,
  })
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    receiver.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  const timer = forMs === undefined ? undefined : setTimeout(() => receiver.stop(), forMs)
  try {
    await receiver.run()
  } finally {
    clearTimeout(timer)
    await store.close()
  }
  if (interrupted) return 130
  return receiver.failures > 0 ? 1 : 0
}
