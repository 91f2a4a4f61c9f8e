// The contenders: one file each in bench/contenders, found by its name. A file exports
//   about: { title, kind, packages, skips? }   kind: see `kinds`; skips(workload): why it does not take part
//   run(fifoPath, load)                        sends the load (workloads.js) into the FIFO and settles when it has
//                                              closed it; may return { startedAt, endedAt, cpuSeconds,
//                                              peakRssBytes, latenciesNs } where another process did the work, or
//                                              { closing } where everything was read and it only waits to close
import { readdirSync } from 'node:fs'
import { explain } from './explain.js'

/**
 * In the order of the tables. A peer writes tar in Node; `bytes` only move an archive encoded
 * before.
 */
export const kinds = ['limit', 'tarspout', 'peer', 'program', 'bytes']

/** The limit every ratio is taken to, and the one zeroCopy is. */
export const copying = 'c-copy'
export const splicing = 'c-vmsplice'

/** All contenders; one whose file does not load carries the reason in `failed`. */
export async function findContenders() {
  const folder = new URL('../contenders/', import.meta.url)
  const files = readdirSync(folder).filter((file) => file.endsWith('.js'))
  const found = await Promise.all(
    files.map(async (file) => {
      const name = file.slice(0, -'.js'.length)
      try {
        const { about } = await import(new URL(file, folder))
        return { name, skips: () => undefined, ...about }
      } catch (error) {
        const kind = name.startsWith('tarspout') ? 'tarspout' : 'peer'
        const failed = `does not load: ${explain(error)}`
        return { name, title: name, kind, packages: [], skips: () => undefined, failed }
      }
    }),
  )
  return found.sort(
    (a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1),
  )
}
