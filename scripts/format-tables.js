// Writes the tables of docs/format.md: where pack() differs from tar-stream, and what each reader
// makes of each row of the grid. Needs `npm run build`, `npx tsc -p test/tsconfig.json` and every
// reader.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DIFFERENCES } from '../dist-test/drop-in/pack-differences.js'
import { disagreements } from '../dist-test/interop/compare.js'
import { GRID, writeArchive } from '../dist-test/interop/grid.js'
import { LIMITS } from '../dist-test/interop/limits.js'
import { READERS } from '../dist-test/interop/readers.js'

const PAGE = new URL('../docs/format.md', import.meta.url)

const line = (...cells) => `| ${cells.join(' | ')} |`
const table = (head, rows) => [
  line(...head),
  line(...head.map(() => '---')),
  ...rows.map((row) => line(...row)),
]

async function readerLines() {
  const missing = READERS.filter((reader) => reader.version() === undefined)
  if (missing.length > 0)
    throw new Error(`not installed: ${missing.map(({ needs }) => needs).join(', ')}`)
  const folder = mkdtempSync(join(tmpdir(), 'tarspout-tables-'))
  try {
    const archives = GRID.map((row, i) => ({ row, path: join(folder, `${i}.tar`) }))
    for (const { path, row } of archives) writeArchive(path, row)
    const columns = []
    for (const reader of READERS) {
      const found = await reader.read(archives)
      columns.push(GRID.map((row, i) => disagreements(row, found[i]).join(', ') || 'yes'))
    }
    const rows = GRID.map(({ about, title }, i) => [
      `${about}: ${title}`,
      ...columns.map((column) => column[i]),
    ])
    const heads = READERS.map((reader) => `${reader.name} ${reader.version()}`)
    return [
      ...table(['entry', ...heads], rows),
      '',
      'Why:',
      '',
      ...LIMITS.map(({ reader, why }) => `- ${reader} ${why}.`),
    ]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function replace(text, name, lines) {
  const pattern = new RegExp(`(<!-- ${name}: [^>]* -->\n)[^]*?(<!-- end -->)`)
  if (!pattern.test(text)) throw new Error(`docs/format.md has no place for ${name}`)
  return text.replace(pattern, (_, begin, end) => `${begin}\n${lines.join('\n')}\n\n${end}`)
}

const differences = table(
  ['a header with', 'tar-stream 3.2.2', '`pack()`'],
  DIFFERENCES.map(({ when, tarStream, tarspout }) => [when, tarStream, tarspout]),
)
let text = readFileSync(PAGE, 'utf8')
text = replace(text, 'differences', differences)
text = replace(text, 'readers', await readerLines())
writeFileSync(PAGE, text)
const { status } = spawnSync('node_modules/.bin/biome', ['format', '--write', PAGE.pathname], {
  stdio: 'inherit',
})
process.exit(status ?? 1)
