// What tarspout is to reach, as ratios within one run (medians); the tables show what it does
// reach.
import { copying, splicing } from './contenders.js'

const least = (figure, value) => ({
  figure,
  value,
  met: (measured) => measured >= value,
  word: 'at least',
})
const most = (figure, value) => ({
  figure,
  value,
  met: (measured) => measured <= value,
  word: 'at most',
})

const targets = [
  ['100B', 'tarspout-add', least('ofCopying', 0.95), least('ofBestPeer', 20)],
  ['100B', 'tarspout-zero-copy', least('ofCopying', 1.3)],
  ['100B', 'tarspout-run-async', least('ofCopying', 0.55), least('ofBestPeer', 10)],
  ['64KiB', 'tarspout-add', least('ofCopying', 0.95), least('ofBestPeer', 1.5)],
  ['64KiB', 'tarspout-zero-copy', least('ofSplicing', 0.8), least('ofBestPeer', 5)],
  ['1MiB', 'tarspout-add', least('ofCopying', 0.97), least('ofBestPeer', 1)],
  ['1MiB', 'tarspout-zero-copy', least('ofSplicing', 0.8), least('ofBestPeer', 5)],
  ['commits', 'tarspout-add', least('figure', 300_000), least('ofBestPeer', 10)],
  ['latency', 'tarspout-add', most('ofCopying', 4)],
]

/** Whether a target is about this contender, in whatever workload. */
export const hasTarget = (name) => targets.some(([, contender]) => contender === name)

/** Whether any is about this workload. */
export const isAimedAt = (workload) => targets.some(([where]) => where === workload)

/**
 * Each target a run measured: { workload, title, figure, word, value, measured, limit, met };
 * limit: what the C writer had.
 */
export function checkTargets(summaries) {
  return targets.flatMap(([workload, contender, ...demands]) => {
    const summary = summaries.find((candidate) => candidate.workload === workload)
    const row = summary?.rows.find(({ name }) => name === contender)
    if (!row) return []
    const limitName = contender === 'tarspout-zero-copy' ? splicing : copying
    const limitRow = summary.rows.find(({ name }) => name === limitName)
    return demands.map(({ figure, word, value, met }) => {
      const measured = row[figure]
      return {
        workload,
        title: row.title,
        figure,
        word,
        value,
        measured,
        limit: limitRow?.[figure],
        met: measured !== undefined && met(measured),
      }
    })
  })
}
