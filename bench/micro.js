// In-process microbenches: `npm run bench -- micro`. What encoding a header and the send window
// cost by themselves, without any writing. The send window is C++ and has no face in JavaScript: a
// C++ program measures it.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Header, Pax } from 'tar'
import { Bench } from 'tinybench'
import { encodeEntry } from './lib/archive.js'
import { explain } from './lib/explain.js'
import { measureSendWindow } from './lib/programs.js'
import { tarspout } from './lib/tarspout.js'

// tar-stream keeps its encoder to itself; what it costs is still worth knowing.
const require = createRequire(import.meta.url)
const tarStreamHeaders = require(join(dirname(require.resolve('tar-stream')), 'headers.js'))

const mtime = new Date(1_500_000_000_000)
const entryOf = (name) => ({ name, size: 100, mode: 0o644, uid: 0, gid: 0, mtime })
const cases = {
  'a name of a queue': Array.from({ length: 256 }, (_, i) =>
    entryOf(`topic-${i % 4}-${1_000_000 + i}`),
  ),
  'a name of 160 B, pax': Array.from({ length: 256 }, (_, i) =>
    entryOf(`${'n'.repeat(150)}-${1_000_000 + i}`),
  ),
}

/** Encoders: (entry) -> anything that depends on the bytes. */
async function encoders() {
  const block = Buffer.alloc(512)
  const target = Buffer.alloc(8192)
  const found = {
    'node-tar Header': ({ name, ...rest }) => {
      const fields = { ...rest, path: name, type: 'File' }
      const header = new Header(fields)
      block.fill(0)
      return header.encode(block, 0) ? new Pax(fields).encode().length : block[148]
    },
    'tar-stream headers': (entry) => {
      const header = { ...entry, type: 'file' }
      const encoded = tarStreamHeaders.encode(header)
      if (encoded) return encoded[148]
      const records = tarStreamHeaders.encodePax({ name: header.name })
      tarStreamHeaders.encode({
        ...header,
        name: 'PaxHeader',
        type: 'pax-header',
        size: records.length,
      })
      return tarStreamHeaders.encode({ ...header, name: header.name.slice(0, 100) })[148]
    },
    "the bench's own (plain)": (entry) => encodeEntry({ ...entry, data: Buffer.alloc(0) })[148],
  }
  try {
    const { encodeHeader } = await tarspout()
    if (!encodeHeader) throw new Error('it exports no encodeHeader')
    found['tarspout encodeHeader'] = (entry) => encodeHeader(entry, target, 0)
  } catch (error) {
    console.log(`tarspout encodeHeader: failed: ${explain(error)}`)
  }
  return found
}

for (const [title, entries] of Object.entries(cases)) {
  const bench = new Bench({ time: 500, warmupTime: 200 })
  for (const [name, encode] of Object.entries(await encoders())) {
    let i = 0
    let seen = 0
    bench.add(name, () => {
      // A batch, since one header is shorter than the clock's step.
      for (let k = 0; k < 256; k++) seen ^= encode(entries[i++ & 255])
      if (seen === -1) throw new Error('never: it keeps the results alive')
    })
  }
  await bench.run()
  console.log(`\nHeader encoding, ${title}`)
  console.table(
    bench.tasks.map(({ name, result }) =>
      result.state === 'completed'
        ? {
            encoder: name,
            'ns per header': Math.round((result.latency.p50 * 1e6) / 256),
            'headers/s': Math.round((256 * 1e3) / result.latency.p50),
            'spread %': Number((result.latency.rme ?? 0).toFixed(1)),
          }
        : { encoder: name, failed: result.error?.message ?? result.state },
    ),
  )
}

console.log('\nSend window, ns per archive of one segment')
console.table(
  Object.entries(measureSendWindow()).map(([title, steps]) => ({ archives: title, ...steps })),
)
