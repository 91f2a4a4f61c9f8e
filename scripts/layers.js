// The layer check: imports and includes point down only (docs/architecture.md). Prints each break,
// exits 1 on any.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

// Each folder or file, and what it may use beside itself. Nothing else.
const allowed = {
  'src/index.ts': [
    'src/drop-in',
    'src/runner',
    'src/spec',
    'src/spout',
    'src/fifo',
    'src/tar',
    'src/names',
    'src/base',
  ],
  'src/cli': [
    'src/runner',
    'src/receiver',
    'src/store',
    'src/spec',
    'src/spout',
    'src/fifo',
    'src/tar',
    'src/names',
    'src/base',
  ],
  'src/runner': [
    'src/receiver',
    'src/store',
    'src/spec',
    'src/spout',
    'src/fifo',
    'src/names',
    'src/base',
  ],
  'src/receiver': ['src/store', 'src/fifo', 'src/names', 'src/base'],
  'src/store': ['src/tar', 'src/names', 'src/base'],
  'src/spec': ['src/names', 'src/base'],
  'src/drop-in': ['src/spout', 'src/fifo', 'src/tar', 'src/names', 'src/base'],
  'src/spout': ['src/fifo', 'src/tar', 'src/names', 'src/base', 'src/addon.ts'],
  'src/fifo': ['src/base', 'src/addon.ts'],
  'src/tar': ['src/names', 'src/base', 'src/addon.ts'],
  'src/names': ['src/base'],
  'src/addon.ts': ['src/base'],
  'src/base': [],
  'native/binding': ['native/engine', 'native/send_window', 'native/fifo', 'native/tar'],
  'native/engine': ['native/send_window', 'native/fifo'],
  'native/send_window': [],
  'native/fifo': [],
  'native/tar': [],
}
// What only these folders may touch, by the text of the import or include.
const reserved = [
  [/^napi\.h$|^node_api/, ['native/binding'], 'Node-API'],
  [/^uv\.h$|^v8/, [], 'libuv and V8'],
  [/\.node$/, ['src/addon.ts'], 'the addon'],
  [/^(sys\/|fcntl\.h|unistd\.h|poll\.h)/, ['native/fifo', 'native/engine'], 'system calls'],
]

const home = (file) =>
  Object.keys(allowed).find((place) => file === place || file.startsWith(`${place}/`))

function* uses(file, text) {
  const pattern = file.startsWith('src')
    ? /(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/g
    : /#include\s+["<]([^">]+)[">]/g
  for (const match of text.matchAll(pattern)) yield match[1]
}

function target(file, use) {
  if (file.startsWith('src')) {
    return use.startsWith('.')
      ? normalize(join(dirname(file), use)).replace(/\.js$/, '.ts')
      : undefined
  }
  return use.includes('/') && home(`native/${use}`) ? `native/${use}` : undefined
}

const faults = []
let count = 0
for (const root of ['src', 'native']) {
  for (const name of readdirSync(root, { recursive: true })) {
    const file = join(root, name)
    if (!/\.(ts|cc|h)$/.test(file)) continue
    const from = home(file)
    if (from === undefined) {
      faults.push(`${file}: belongs to no layer`)
      continue
    }
    for (const use of uses(file, readFileSync(file, 'utf8'))) {
      count++
      for (const [pattern, owners, what] of reserved) {
        if (pattern.test(use) && !owners.includes(from))
          faults.push(`${file}: ${use}: ${what} is not for ${from}`)
      }
      const to = target(file, use)
      const place = to && home(to)
      if (place && place !== from && !allowed[from].includes(place)) {
        faults.push(`${file}: ${use}: ${from} may not use ${place}`)
      }
    }
  }
}
for (const fault of faults) console.error(fault)
console.log(`layers: ${count} imports and includes checked, ${faults.length} point the wrong way`)
process.exit(faults.length ? 1 : 0)
