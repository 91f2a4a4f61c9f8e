// From the rounds of a run to the rows of its tables: medians, spreads and ratios. Ratios are taken
// round by round, between runs that were neighbours in time, and their median is shown.
import { copying, splicing } from './contenders.js'
import { median, spread } from './statistics.js'

/** The figure a workload is about, and whether more of it is better. */
const figures = {
  throughput: { value: (round) => round.entriesPerSecond, moreIsBetter: true },
  backpressure: { value: (round) => round.bytesPerSecond, moreIsBetter: true },
  latency: { value: (round) => round.p50Us, moreIsBetter: false },
}

const succeeded = (round) => round && !round.failed
const whole = (round) => succeeded(round) && !round.lost

function medianOf(rounds, pick) {
  const values = rounds.filter(succeeded).map(pick)
  return values.length > 0 && values.every((value) => value !== undefined)
    ? median(values)
    : undefined
}

/**
 * Median over the rounds of this contender's figure by another's; undefined where no round has
 * both.
 */
function ratio(rounds, others, value) {
  const ratios = rounds.flatMap((round, r) =>
    succeeded(round) && others[r] !== undefined ? [value(round) / others[r]] : [],
  )
  return ratios.length > 0 ? median(ratios) : undefined
}

/**
 * @param workload the Workload
 * @param entries [{ contender, rounds: [numbers or { failed }], skipped }]
 */
export function summarize(workload, entries) {
  const { value, moreIsBetter } = figures[workload.metric]
  const roundsOf = (name) => entries.find(({ contender }) => contender.name === name)?.rounds ?? []
  const valuesOf = (rounds) => rounds.map((round) => (succeeded(round) ? value(round) : undefined))
  const best = moreIsBetter ? Math.max : Math.min
  // One peer for all rounds: the best of each round would be the one that had luck in it.
  const peers = entries
    .filter(({ contender }) => contender.kind === 'peer')
    .map(({ rounds }) => rounds.map((round) => (whole(round) ? value(round) : undefined)))
    .filter((values) => values.some((figure) => figure !== undefined))
  const medianFigure = (values) => median(values.filter((figure) => figure !== undefined))
  const bestFigure = best(...peers.map(medianFigure))
  const bestPeer = peers.find((values) => medianFigure(values) === bestFigure) ?? []
  const rows = entries
    .filter(({ skipped }) => !skipped)
    .map(({ contender, rounds }) => {
      const failures = rounds.filter((round) => round.failed)
      const good = rounds.filter(succeeded)
      return {
        name: contender.name,
        title: contender.title,
        kind: contender.kind,
        rounds: good.length,
        failed: failures[0]?.failed,
        figure: medianOf(rounds, value),
        spread: good.length > 0 ? spread(good.map(value)) : undefined,
        ofCopying: ratio(rounds, valuesOf(roundsOf(copying)), value),
        ofSplicing: ratio(rounds, valuesOf(roundsOf(splicing)), value),
        ofBestPeer: ratio(rounds, bestPeer, value),
        bytesPerSecond: medianOf(rounds, (round) => round.bytesPerSecond),
        cpuSeconds: medianOf(rounds, (round) => round.cpuSeconds),
        cpuSecondsPerGB: medianOf(rounds, (round) => round.cpuSecondsPerGB),
        peakRssBytes: medianOf(rounds, (round) => round.peakRssBytes),
        aheadBytes: medianOf(rounds, (round) => round.aheadBytes),
        p99Us: medianOf(rounds, (round) => round.p99Us),
        receipt: good[0]?.receipt,
        lost: Math.max(0, ...good.map((round) => round.lost ?? 0)),
        sent: good[0]?.count,
        sameBytes: good[0]?.sameBytes,
      }
    })
  const skipped = entries
    .filter((entry) => entry.skipped)
    .map(({ contender, skipped }) => ({ title: contender.title, reason: skipped }))
  return {
    workload: workload.name,
    title: workload.title,
    note: workload.note,
    metric: workload.metric,
    chart: workload.chart,
    rows,
    skipped,
  }
}
