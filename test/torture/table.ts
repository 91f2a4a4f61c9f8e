import type { Finished } from './results.js'
import type { RowResult } from './row.js'
import { allowances, titleOf } from './rows.js'

const columns: readonly (readonly [string, (result: RowResult) => string])[] = [
  ['lost', (r) => String(r.lost)],
  ['entries lost', (r) => String(r.entriesLost)],
  ['corrupt', (r) => String(r.corrupt)],
  ['mixed', (r) => String(r.mixed)],
  ['out of order', (r) => String(r.disordered)],
  ['rejected', (r) => String(r.rejected)],
  ['untold', (r) => String(r.untold)],
  ['duplicates', (r) => String(r.duplicates)],
  ['partial', (r) => String(r.partial)],
  ['fragments', (r) => String(r.fragments)],
  ['empty', (r) => String(r.empty)],
  ['attempts mean', (r) => r.attemptsMean.toFixed(2)],
  ['max', (r) => String(r.attemptsMax)],
  ['strikes', (r) => String(r.strikes)],
  ['seconds', (r) => r.seconds.toFixed(1)],
]

/** The table for a terminal. */
export function tableOf(finished: readonly Finished[]): string {
  const lines = [
    ['row', ...columns.map(([name]) => name)],
    ...finished.map(({ row, result }) => [
      titleOf(row),
      ...columns.map(([, cell]) => cell(result)),
    ]),
  ]
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return lines.map((line) => line.map(pad).join('  ')).join('\n')
}

const legend = `- **lost**: archives the writer was told were delivered of which no finished, complete commit holds every entry intact; **entries lost** likewise.
- **corrupt**: entries of complete commits that are not what was sent; **mixed**: complete commits with entries of two archives.
- **out of order**: archives whose last commit comes before an earlier archive's last commit.
- **rejected**: the writer was told of a failure; **untold**: it was told nothing before the row's time limit.
- **duplicates**: whole commits of an archive beyond its first. **partial**: commits a reader of generation A or B finished though the archive
  broke under it. **fragments**: commits that hold only a part of their archive's entries, and end as if they were whole. **empty**: commits without an entry.
- Generation B finishes an archive once a writer has the FIFO open again: what it holds unfinished when the writer is gone counts as lost.
- **strikes**: how often the fault struck.
- A reader that is killed takes with it what it has read and not yet committed: with \`confirm: 'read'\` those rows may lose.`

/** What the rows of one writer come to. */
function summaryOf(lines: readonly Finished[]): string {
  const sum = (pick: (result: RowResult) => number, of = lines) =>
    of.reduce((total, { result }) => total + pick(result), 0)
  const mayLose = lines.filter(({ row }) => allowances(row).mayLose)
  const broken = lines.filter((line) => line.broken.length > 0)
  const parts = [
    `${lines.length} rows, ${sum((r) => r.delivered)} archives told delivered`,
    `lost: ${sum((r) => r.lost) - sum((r) => r.lost, mayLose)}, and ${sum((r) => r.lost, mayLose)} in the ${mayLose.length} rows that may`,
    `corrupt: ${sum((r) => r.corrupt)}, mixed: ${sum((r) => r.mixed)}, out of order: ${sum((r) => r.disordered)}`,
    `rejected: ${sum((r) => r.rejected)}, untold: ${sum((r) => r.untold)}`,
    `rows that break a promise: ${broken.length}`,
  ]
  return `${parts.join('; ')}.`
}

/** The table as a page of the documentation. */
export function markdownOf(
  finished: readonly Finished[],
  archives: number,
  facts: readonly string[],
  command: string,
): string {
  const head = ['reader', 'fault', 'connection', 'confirm', ...columns.map(([name]) => name)]
  const sections = ['tarspout', 'createWriteStream', 'net.Socket'].flatMap((writer) => {
    const lines = finished.filter(({ row }) => row.writer === writer)
    if (lines.length === 0) return []
    const name = writer === 'tarspout' ? 'tarspout' : `tar-stream into ${writer}`
    const rows = lines.map(({ row, result }) => [
      ...[row.reader, row.fault.name, row.connection, row.confirm ?? ''],
      ...columns.map(([, cell]) => cell(result)),
    ])
    const rule = head.map((_, column) => (column < 4 ? '---' : '--:'))
    return [
      `## ${name}`,
      '',
      summaryOf(lines),
      '',
      ...[head, rule, ...rows].map((line) => `| ${line.join(' | ')} |`),
      '',
    ]
  })
  return [
    ...['# Torture: what readers do, and what arrives', ''],
    ...[
      `Each row: ${archives} archives of 1 to 50 entries of 0 to 1 MiB (small archives: at most 3 of 3000 bytes; many small entries: at most`,
      '2000 of 1000 bytes), a writer and a reader in processes of their own.',
      '',
    ],
    ...[...facts.map((fact) => `- ${fact}`), `- \`${command}\``, ''],
    ...[legend, '', ...sections],
  ].join('\n')
}
