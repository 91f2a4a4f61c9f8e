import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { RunEntry } from '../spout/commit.js'
import { openSpout } from '../spout/spout.js'
import { readArguments, readChoice, readCount, readDuration } from './arguments.js'
import { Ending } from './ending.js'
import { lengthRecords, lines, nulRecords } from './records.js'
import { formatBytes, formatCount } from './report.js'
import { UsageError } from './usage-error.js'

// Larger files are read in pieces.
const READ_BYTES = 1 << 20

export const WRITE_HELP = `Usage: tarspout write [FIFO] [options]

Writes standard input to a FIFO (default: $PFS_DIR/out, and /pfs/out) as tar archives: each record
is an entry, each archive becomes one commit. So 'kcat -C -t topic | tarspout write /pfs/out' is
a spout.

Records are lines, each with its newline, unless one of these is given:
  -0, --null          records end in NUL, which is left out
  --length-prefixed   records have their length before them, 4 bytes, big-endian (kcat -f '%R%s')
  --files             lines are names of files, which become entries of that name

  --name PATTERN      name of an entry; {n} counts from 1, {time} is the time of the start
                      (default: {time}-{n})
  --max-entries N     end an archive after N entries (default: 1000)
  --max-bytes N       or after N bytes (default: 8388608)
  --max-delay TIME    or so long after its first entry (default: 200ms)
  --persistent        keep the FIFO open between archives
  --confirm MODE      count an archive as delivered when it is 'read' (default) or 'committed'
  --reader-timeout T  fail when no reader comes for so long
  -h, --help

Exit codes: 0 all delivered; 1 not all delivered; 2 wrong usage; 130 ended by Ctrl-C.`

export async function write(args: string[]): Promise<number> {
  const { values, positionals } = readArguments(args, {
    null: { type: 'boolean', short: '0' },
    'length-prefixed': { type: 'boolean' },
    files: { type: 'boolean' },
    name: { type: 'string' },
    'max-entries': { type: 'string' },
    'max-bytes': { type: 'string' },
    'max-delay': { type: 'string' },
    persistent: { type: 'boolean' },
    confirm: { type: 'string' },
    'reader-timeout': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  if (values.help) {
    console.log(WRITE_HELP)
    return 0
  }
  if (positionals.length > 1) throw new UsageError('write takes one FIFO')
  if ([values.null, values['length-prefixed'], values.files].filter(Boolean).length > 1) {
    throw new UsageError('only one of --null, --length-prefixed and --files')
  }
  if (values.files && values.name !== undefined)
    throw new UsageError('--files and --name exclude each other')
  const confirm = readChoice('confirm', values.confirm, ['read', 'committed']) ?? 'read'
  const batch = {
    maxEntries: readCount('max-entries', values['max-entries']),
    maxBytes: readCount('max-bytes', values['max-bytes']),
    maxDelayMs: readDuration('max-delay', values['max-delay']),
  }
  const readerTimeoutMs = readDuration('reader-timeout', values['reader-timeout'])

  const abort = new AbortController()
  const ending = new Ending(() => abort.abort())
  const spout = await openSpout({
    path: positionals[0],
    connection: values.persistent ? 'persistent' : 'per-archive',
    confirm,
    readerTimeoutMs,
    signal: abort.signal,
    spill: true,
  })
  try {
    const input = process.stdin as AsyncIterable<Buffer>
    const split = values.null ? nulRecords : values['length-prefixed'] ? lengthRecords : lines
    const entries = values.files
      ? files(lines(input))
      : named(split(input), values.name ?? '{time}-{n}')
    const summary = await spout.run(entries, { toEntry: (entry) => entry, ...batch })
    console.error(
      `${formatCount(summary.entries, 'entry', 'entries')}, ${formatBytes(summary.bytes)} ` +
        `in ${formatCount(summary.archives, 'archive')} delivered`,
    )
  } catch (error) {
    if (ending.interrupted) return 130
    throw error
  } finally {
    process.stdin.destroy()
    await spout.close()
  }
  return 0
}

async function* named(records: AsyncIterable<Buffer>, pattern: string): AsyncGenerator<RunEntry> {
  const time = new Date().toISOString().replace(/[:.]/g, '-')
  let n = 0
  for await (const data of records) {
    n++
    yield { name: pattern.replaceAll('{n}', String(n)).replaceAll('{time}', time), data }
  }
}

async function* files(names: AsyncIterable<Buffer>): AsyncGenerator<RunEntry> {
  for await (const line of names) {
    const name = line.toString().replace(/\r?\n$/, '')
    if (name === '') continue
    const status = await stat(name)
    if (!status.isFile()) throw new Error(`${name} is no file`)
    if (status.size <= READ_BYTES) yield { name, data: await readFile(name) }
    else yield { name, size: status.size, data: pieces(name) }
  }
}

/**
 * A file's content; it is opened in its turn, since an archive may have more files than a process
 * may open.
 */
async function* pieces(name: string): AsyncGenerator<Buffer> {
  yield* createReadStream(name, { highWaterMark: READ_BYTES })
}
