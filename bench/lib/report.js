// A run's tables, for a terminal and as Markdown.
import { machineLines, table } from './document.js'
import { checkTargets } from './targets.js'

const missing = '-'

function count(value) {
  if (value === undefined) return missing
  const units = [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ]
  const [divisor, suffix] = units.find(([least]) => value >= least) ?? [1, '']
  return `${significant(value / divisor)}${suffix}`
}

/** Three significant digits, never an exponent. */
function significant(value) {
  if (value === 0) return '0'
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(Math.abs(value)))))
  return value.toFixed(digits)
}

const times = (value) => (value === undefined ? missing : `${twoDigits(value)}x`)

function twoDigits(value) {
  if (value >= 10) return value.toFixed(0)
  if (value >= 1) return value.toFixed(1)
  return value.toFixed(Math.min(5, 1 - Math.floor(Math.log10(value))))
}

const plusMinus = (value) => (value === undefined ? missing : `${(value * 100).toFixed(0)} %`)
const megabytes = (value) => (value === undefined ? missing : significant(value / 1e6))
const mebibytes = (value) => (value === undefined ? missing : (value / 2 ** 20).toFixed(0))
const micros = (value) => (value === undefined ? missing : significant(value))

const title = { head: 'contender', cell: (row) => row.title }
const ratios = [
  { head: 'of C copying', cell: (row) => times(row.ofCopying) },
  { head: 'of C vmsplice', cell: (row) => times(row.ofSplicing) },
  { head: 'of best peer', cell: (row) => times(row.ofBestPeer) },
]
const costs = [
  {
    head: 'CPU s/GB',
    cell: (row) => (row.cpuSecondsPerGB === undefined ? missing : significant(row.cpuSecondsPerGB)),
  },
  { head: 'peak RSS MiB', cell: (row) => mebibytes(row.peakRssBytes) },
]

const columns = {
  throughput: [
    title,
    { head: 'entries/s', cell: (row) => count(row.figure) },
    { head: 'MB/s', cell: (row) => megabytes(row.bytesPerSecond) },
    { head: 'spread', cell: (row) => plusMinus(row.spread) },
    ...ratios,
    ...costs,
  ],
  latency: [
    title,
    { head: 'p50 us', cell: (row) => micros(row.figure) },
    { head: 'p99 us', cell: (row) => micros(row.p99Us) },
    { head: 'spread', cell: (row) => plusMinus(row.spread) },
    { head: "of C's p50", cell: (row) => times(row.ofCopying) },
    { head: "of best peer's p50", cell: (row) => times(row.ofBestPeer) },
    { head: 'told by', cell: (row) => (row.receipt === 'writer' ? 'receipt' : 'the reader') },
    {
      head: 'CPU s',
      cell: (row) => (row.cpuSeconds === undefined ? missing : row.cpuSeconds.toFixed(3)),
    },
    costs[1],
  ],
  backpressure: [
    title,
    { head: 'MB/s', cell: (row) => megabytes(row.bytesPerSecond) },
    {
      head: 'taken ahead MiB',
      cell: (row) =>
        row.aheadBytes === undefined ? missing : (row.aheadBytes / 2 ** 20).toFixed(1),
    },
    ...costs,
  ],
}

/** What a row cannot say in numbers, or undefined. */
function remark(row) {
  const parts = []
  if (row.lost) parts.push(`lost ${row.lost} of ${row.sent} archives`)
  if (row.failed)
    parts.push(row.rounds > 0 ? `a later round failed: ${row.failed}` : `failed: ${row.failed}`)
  return parts.length > 0 ? parts.join('; ') : undefined
}

function tableOf({ metric, rows }) {
  const heads = columns[metric].map(({ head }) => head)
  const lines = rows.map((row) => ({
    failed: row.figure === undefined,
    cells: row.figure === undefined ? [row.title] : columns[metric].map(({ cell }) => cell(row)),
    remark: remark(row),
  }))
  return { heads, lines }
}

function terminalTable(summary) {
  const { heads, lines } = tableOf(summary)
  const width = heads.map((head, c) =>
    Math.max(head.length, ...lines.map(({ cells }) => (cells[c] ?? '').length)),
  )
  const show = (cells) =>
    cells.map((cell, c) => (c === 0 ? cell.padEnd(width[c]) : cell.padStart(width[c]))).join('  ')
  const text = [summary.title, show(heads)]
  for (const { cells, remark } of lines) text.push([show(cells), remark].filter(Boolean).join('  '))
  for (const { title, reason } of summary.skipped) text.push(`(without ${title}: ${reason})`)
  if (summary.note) text.push(`(${summary.note})`)
  return text.join('\n')
}

function markdownTable(summary) {
  const { heads, lines } = tableOf(summary)
  const rows = lines.map(({ cells, remark, failed }) => {
    const filled = heads.map((_, c) => cells[c] ?? '')
    if (failed) filled[1] = remark
    else if (remark) filled[0] += ` (${remark})`
    return filled
  })
  const aligned = heads.map((_, c) => (c === 0 ? '---' : '---:'))
  const text = [`### ${summary.title}`, '', table(heads, rows, aligned)]
  for (const { title, reason } of summary.skipped) text.push('', `Without ${title}: ${reason}.`)
  if (summary.note) text.push('', summary.note)
  return text.join('\n')
}

/** Names of contenders whose bytes are not the reference's, though the entries are. */
function otherSpelling(summaries) {
  const titles = summaries.flatMap(({ rows }) =>
    rows.filter((row) => row.sameBytes === false).map((row) => row.title),
  )
  return [...new Set(titles)]
}

/** What was run, on which machine. */
function runLines(run) {
  const { date, command, seconds, rounds, timedMs } = run
  return [
    ...machineLines(run),
    `${date}, ${command}: ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of up to ${timedMs} ms per case, ${Math.round(seconds)} s in all`,
  ]
}

function spellingLine(summaries) {
  const titles = otherSpelling(summaries)
  if (titles.length === 0) return 'Every contender with figures sent the same bytes.'
  return (
    'Every contender with figures sent the same entries (path, mode, mtime, size and body, checked before timing). ' +
    `These spell some headers in other bytes than the reference: ${titles.join('; ')}.`
  )
}

const figureNames = {
  figure: 'entries/s',
  ofCopying: 'of C copying',
  ofSplicing: 'of C vmsplice',
  ofBestPeer: 'of best peer',
}

/**
 * The rows of the table of targets: workload, contender, demand, measured, what the C writer had,
 * met.
 */
function targetRows(summaries) {
  return checkTargets(summaries).map(
    ({ workload, title, figure, word, value, measured, limit, met }) => {
      const show = figure === 'figure' ? count : times
      return [
        workload,
        title,
        `${word} ${show(value)} ${figureNames[figure]}`,
        show(measured),
        show(limit),
        met ? 'yes' : 'no',
      ]
    },
  )
}

const targetHeads = ['workload', 'contender', 'to reach', 'measured', 'the C limit', 'reached']

function terminalTargets(summaries) {
  const rows = targetRows(summaries)
  if (rows.length === 0) return []
  const width = targetHeads.map((head, c) =>
    Math.max(head.length, ...rows.map((cells) => cells[c].length)),
  )
  const show = (cells) => cells.map((cell, c) => cell.padEnd(width[c])).join('  ')
  return [['Targets', show(targetHeads), ...rows.map(show)].join('\n')]
}

function markdownTargets(summaries) {
  const rows = targetRows(summaries)
  if (rows.length === 0) return []
  return [`### Targets\n\n${table(targetHeads, rows)}`]
}

export function terminalReport(run) {
  const parts = [
    runLines(run).join('\n'),
    ...run.summaries.map(terminalTable),
    ...terminalTargets(run.summaries),
    spellingLine(run.summaries),
  ]
  return parts.join('\n\n')
}

export function markdownReport(run) {
  const lines = runLines(run).map((line) => `- ${line}`)
  return [
    lines.join('\n'),
    ...markdownTargets(run.summaries),
    ...run.summaries.map(markdownTable),
    spellingLine(run.summaries),
  ].join('\n\n')
}
