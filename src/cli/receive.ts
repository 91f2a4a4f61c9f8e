import { markerFault } from '../names/entry-path.js'
import { checkFifo } from '../receiver/fifo-reader.js'
import { Receiver, type ReceiverEvent } from '../receiver/receiver.js'
import type { CommitStore } from '../store/commit-store.js'
import { GitStore } from '../store/git-store.js'
import { PachctlStore } from '../store/pachctl-store.js'
import { readArguments } from './arguments.js'
import { Ending } from './ending.js'
import { findProgram } from './find-program.js'
import {
  ENDING_HELP,
  OUTPUT_HELP,
  READER_HELP,
  RECEIVING_OPTIONS,
  readReceiving,
} from './receiving.js'
import { formatEvent } from './report.js'
import { UsageError } from './usage-error.js'

export const RECEIVE_HELP = `Usage: tarspout receive FIFO --repo DIR [options]

Reads tar archives from a FIFO and commits each to a bare git repository. An archive's
last byte stays unread until its commit is durable.

  --repo DIR          the repository; made if it is not there
  --branch NAME       the branch to commit to (default: master)
  --overwrite         replace files that come again, instead of appending to them
  --marker NAME       entries whose name begins so go to the branch 'marker'
${READER_HELP}
  --sink pachctl      commit to a repository of Pachyderm 2.x through its pachctl program instead of
                      git; --repo is then its name
  --fresh             forget the commits of earlier runs
${ENDING_HELP}
  --once              end when the last writer has left
${OUTPUT_HELP}

Exit codes: 0 done; 1 an archive was not committed, or the repository failed; 2 wrong usage;
130 ended by Ctrl-C.`

export async function receive(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    ...RECEIVING_OPTIONS,
    branch: { type: 'string' },
    overwrite: { type: 'boolean' },
    marker: { type: 'string' },
    once: { type: 'boolean' },
  })
  if (values.help) {
    console.log(RECEIVE_HELP)
    return 0
  }
  const [path, ...more] = positionals
  if (path === undefined || more.length > 0) throw new UsageError('receive takes one FIFO')
  if (values.repo === undefined) throw new UsageError('receive needs --repo DIR')
  const { generation, sink, commits, forMs } = readReceiving(values)
  if (values.once && generation === '1.9')
    throw new UsageError('the reader of 1.9 never sees that a writer has left: no --once')
  if (sink === 'pachctl' && values.fresh) throw new UsageError('--sink pachctl has no --fresh')
  if (sink === 'pachctl') findProgram('--sink pachctl', 'pachctl')
  const { repo, branch, overwrite, fresh } = values
  const fault = values.marker === undefined ? undefined : markerFault(values.marker)
  if (fault) throw new UsageError(`${fault.message}; ${fault.hint}`)
  checkFifo(path) // before a repository is made
  const onEvent = (event: ReceiverEvent) => {
    if (values.json) console.log(JSON.stringify(event))
    else if (event.event === 'failure') console.error(formatEvent(event))
    else console.log(formatEvent(event))
  }
  let receiver: Receiver | undefined
  const ending = new Ending(() => receiver?.stop(), forMs)
  let store: CommitStore | undefined
  try {
    store =
      sink === 'git'
        ? await GitStore.open({ path: repo, branch, overwrite, fresh })
        : new PachctlStore({ repo, branch, overwrite })
    const { marker, once } = values
    receiver = new Receiver({ path, store, generation, marker, onEvent, commits, once })
    if (!ending.isDue) await receiver.run()
  } finally {
    ending.close()
    await store?.close()
  }
  if (ending.interrupted) return 130
  return receiver.failures > 0 ? 1 : 0
}
