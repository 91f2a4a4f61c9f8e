// The chart of a run: one panel per workload, one bar per contender, the C writer that copies as
// the mark to reach. Plain SVG that follows the reader's light or dark background.

import { copying, splicing } from './contenders.js'

const width = 860
const labelWidth = 320
const valueWidth = 150
const barWidth = width - labelWidth - valueWidth
const rowHeight = 21
const barHeight = 13
const panelGap = 26
const headHeight = 82
const margin = 16

const style = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .background { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600 }
  .panel { font-size: 13px; font-weight: 600 }
  .note { fill: #59636e }
  .limit { fill: #8c959f }
  .tarspout { fill: #1a7f5a }
  .peer { fill: #bc6c25 }
  .program { fill: #5b7fa6 }
  .mark { stroke: #59636e; stroke-dasharray: 3 3 }
  .us { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .background { fill: #0d1117 }
    .note { fill: #9198a1 }
    .limit { fill: #656c76 }
    .tarspout { fill: #3fb98a }
    .peer { fill: #d9893f }
    .program { fill: #6d94bd }
    .mark { stroke: #9198a1 }
  }
`

const escapeText = (text) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c])

function amount(entriesPerSecond) {
  if (entriesPerSecond >= 1e6) return `${(entriesPerSecond / 1e6).toFixed(2)} M/s`
  if (entriesPerSecond >= 1e4) return `${(entriesPerSecond / 1e3).toFixed(0)} k/s`
  if (entriesPerSecond >= 1e3) return `${(entriesPerSecond / 1e3).toFixed(1)} k/s`
  return `${entriesPerSecond.toFixed(0)}/s`
}

function ratio(value) {
  if (value === undefined) return ''
  const digits = value >= 0.1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(value)))
  return ` (${value.toFixed(digits)})`
}

function panel({ title, rows }, top) {
  // The spliced limit would make every other bar a dot, and what does no tar work is in the tables.
  const shown = rows.filter(({ kind, name }) => kind !== 'bytes' && name !== splicing)
  const scale = Math.max(...shown.map((row) => row.figure ?? 0)) || 1
  const parts = [`<text class="panel" x="${margin}" y="${top}">${escapeText(title)}</text>`]
  const first = top + 10
  shown.forEach((row, i) => {
    const y = first + i * rowHeight
    const emphasis = row.kind === 'tarspout' ? ' class="us"' : ''
    const x = labelWidth + margin
    parts.push(
      `<text${emphasis} x="${x - 8}" y="${y + 14}" text-anchor="end">${escapeText(row.title)}</text>`,
    )
    if (row.figure === undefined) {
      parts.push(`<text class="note" x="${x}" y="${y + 14}">failed</text>`)
      return
    }
    const length = Math.max(1, (row.figure / scale) * (barWidth - margin))
    parts.push(
      `<rect class="${row.kind}" x="${x}" y="${y + 4}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
      `<text class="note" x="${(x + length + 6).toFixed(1)}" y="${y + 14}">${amount(row.figure)}${ratio(row.ofCopying)}</text>`,
    )
  })
  const bottom = first + shown.length * rowHeight
  const limit = shown.find((row) => row.name === copying)?.figure
  if (limit) {
    const x = (labelWidth + margin + (limit / scale) * (barWidth - margin)).toFixed(1)
    parts.push(`<line class="mark" x1="${x}" x2="${x}" y1="${first}" y2="${bottom}"/>`)
  }
  return { text: parts.join('\n'), bottom }
}

const keys = [
  ['limit', 'C, only writing'],
  ['tarspout', 'tarspout'],
  ['peer', 'tar writers for Node'],
  ['program', 'another program'],
]

function legend(y) {
  const step = 165
  return keys
    .map(([kind, text], i) => {
      const x = margin + i * step
      return `<rect class="${kind}" x="${x}" y="${y - 10}" width="12" height="12" rx="2"/><text x="${x + 18}" y="${y}">${text}</text>`
    })
    .join('\n')
}

export function drawChart({ summaries, machine, versions, date }) {
  let top = headHeight + margin + 14
  const panels = []
  for (const summary of summaries.filter(({ chart }) => chart)) {
    const { text, bottom } = panel(summary, top)
    panels.push(text)
    top = bottom + panelGap
  }
  const height = top
  const facts = `${machine.cpus} x ${machine.model}, Linux ${machine.kernel}, Node ${versions.node}, ${date}`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Entries per second through a FIFO">
<style>${style}</style>
<rect class="background" width="${width}" height="${height}"/>
<text class="title" x="${margin}" y="${margin + 12}">Entries per second through a FIFO</text>
<text class="note" x="${margin}" y="${margin + 30}">In brackets, and as the dashed line: of a C program that only writes the same bytes.</text>
<text class="note" x="${margin}" y="${margin + 46}">${escapeText(facts)}</text>
${legend(margin + 68)}
${panels.join('\n')}
</svg>
`
}
