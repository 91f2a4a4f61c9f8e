import type { CommitEvent } from '../receiver/receiver.js'
import type { JobEvent, ProcessorEvent } from '../runner/processor.js'
import type { RunnerEvent } from '../runner/runner.js'

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`
}

export function formatCount(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`
}

/** An event on one line. */
export function formatEvent(event: RunnerEvent | ProcessorEvent): string {
  switch (event.event) {
    case 'commit':
      return formatCommit(event)
    case 'job':
      return formatJob(event)
    case 'failure':
      return `not committed: ${event.message}`
    case 'start':
      return `started ${event.cmd.join(' ')} (process ${event.pid}, PFS_DIR=${event.pfs})`
    case 'exit':
      return `ended with ${event.signal ?? event.code}, ${event.restarts ? 'starts again' : 'is not started again'}`
    case 'output':
      return event.line
    case 'note':
      return event.message
  }
}

function formatCommit({
  number,
  oid,
  entries,
  bytes,
  durationMs,
  markers,
  hasEndMarker,
}: CommitEvent): string {
  const facts = [formatCount(entries, 'entry', 'entries'), formatBytes(bytes), formatMs(durationMs)]
  if (markers > 0) facts.push(formatCount(markers, 'marker'))
  if (!hasEndMarker) facts.push('no end-of-archive marker')
  return `commit ${number}  ${oid.slice(0, 10)}  ${facts.join(', ')}`
}

function formatJob({ number, oid, input, datums, skipped, files, durationMs }: JobEvent): string {
  const facts = [formatCount(datums, 'datum'), formatCount(files, 'file'), formatMs(durationMs)]
  if (skipped > 0) facts.splice(1, 0, `${skipped} of them known`)
  return `job ${number}  ${input.slice(0, 10)} became ${oid.slice(0, 10)}  ${facts.join(', ')}`
}
