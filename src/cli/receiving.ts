import { READER_GENERATIONS, type ReaderGeneration } from '../receiver/receiver.js'
import { readChoice, readCount, readDuration } from './arguments.js'

/** The options that `run` and `receive` share: both receive archives and commit them. */
export const RECEIVING_OPTIONS = {
  repo: { type: 'string' },
  reader: { type: 'string' },
  sink: { type: 'string' },
  fresh: { type: 'boolean' },
  commits: { type: 'string' },
  for: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export const READER_HELP = `  --reader RELEASE    behave as the reader of this Pachyderm release: ${READER_GENERATIONS.join(', ')}
                      (default: the last)`

export const ENDING_HELP = `  --commits N         end after N commits
  --for TIME          end after this time (30s, 5m)`

export const OUTPUT_HELP = `  --json              print events as JSON, one a line
  -h, --help`

interface Values {
  reader?: string | undefined
  sink?: string | undefined
  commits?: string | undefined
  for?: string | undefined
}

export interface Receiving {
  generation: ReaderGeneration | undefined
  sink: 'git' | 'pachctl'
  commits: number | undefined
  forMs: number | undefined
}

export function readReceiving(values: Values): Receiving {
  return {
    generation: readChoice('reader', values.reader, READER_GENERATIONS),
    sink: readChoice('sink', values.sink, ['git', 'pachctl']) ?? 'git',
    commits: readCount('commits', values.commits),
    forMs: readDuration('for', values.for),
  }
}
