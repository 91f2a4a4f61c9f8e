import type { Plan, PlannedEntry } from './plan.js'

/** An entry of a finished commit, as a reader's log has it. */
export interface LoggedEntry {
  readonly name: string
  readonly size: number
  /** What the header promised, where less arrived. */
  readonly declared?: number
  readonly hash: string
}

/** A finished commit: one line of a reader's log. */
export interface LoggedCommit {
  readonly entries: readonly LoggedEntry[]
  /** The reader saw the archive's end; false: it finished what it had of a broken one. */
  readonly complete: boolean
}

/** What the writer was told about one archive. */
export interface Told {
  readonly archive: number
  readonly outcome: 'delivered' | 'rejected'
  readonly attempts: number
  readonly code?: string | undefined
}

export interface Verdict {
  delivered: number
  rejected: number
  /** Archives the writer was told nothing about. */
  untold: number
  /** Archives told delivered of which no complete commit holds every entry intact. */
  lost: number
  /** Entries of archives told delivered that are intact in no complete commit. */
  entriesLost: number
  /** Entries of complete commits that are not what was sent under that name, or were never sent. */
  corrupt: number
  /** Complete commits with entries of more than one archive. */
  mixed: number
  /** Archives told delivered whose last commit comes before the last commit of an earlier one. */
  disordered: number
  /** Whole commits of an archive beyond its first. */
  duplicates: number
  /** Commits a reader finished though the archive broke (generations A and B do). */
  partial: number
  /** Entries of partial commits that are no beginning of what was sent under that name. */
  corruptInPartial: number
  /** Complete commits that hold only some of their archive's entries. */
  fragments: number
  empty: number
  attemptsMean: number
  attemptsMax: number
}

const archiveOf = (name: string): number | undefined => {
  const match = /^a(\d+)-e\d+/.exec(name)
  return match ? Number(match[1]) : undefined
}

/**
 * Compares what the writer was told with what the readers finished. Pure: the same input gives the
 * same verdict.
 */
export function judge(
  plan: Plan,
  archives: number,
  told: readonly Told[],
  commits: readonly LoggedCommit[],
) {
  const planned = new Map<number, Map<string, PlannedEntry>>()
  const plannedOf = (archive: number) => {
    const known = planned.get(archive)
    if (known) return known
    const entries = new Map(plan.archive(archive).map((entry) => [entry.name, entry]))
    planned.set(archive, entries)
    return entries
  }
  const verdict: Verdict = {
    ...{
      delivered: 0,
      rejected: 0,
      untold: 0,
      lost: 0,
      entriesLost: 0,
      corrupt: 0,
      mixed: 0,
      disordered: 0,
    },
    ...{
      duplicates: 0,
      partial: 0,
      corruptInPartial: 0,
      fragments: 0,
      empty: 0,
      attemptsMean: 0,
      attemptsMax: 0,
    },
  }
  const whole = new Map<number, number>()
  const last = new Map<number, number>()
  const intactNames = new Set<string>()

  for (const [position, commit] of commits.entries()) {
    if (!commit.complete) verdict.partial++
    else if (commit.entries.length === 0) verdict.empty++
    const found = new Set<number>()
    let intact = 0
    for (const entry of commit.entries) {
      const archive = archiveOf(entry.name)
      const sent =
        archive !== undefined && archive < archives ? plannedOf(archive).get(entry.name) : undefined
      if (archive !== undefined && sent) {
        found.add(archive)
        last.set(archive, position)
      }
      // Of a partial commit the last entry may be cut: its beginning must be right all the same.
      const cut = !commit.complete && entry.declared !== undefined && entry.size < entry.declared
      const size = sent && cut && entry.declared === sent.size ? entry.size : sent?.size
      if (!sent || entry.size !== size || entry.hash !== plan.hash(sent, size)) {
        if (commit.complete) verdict.corrupt++
        else verdict.corruptInPartial++
      } else if (commit.complete) {
        intact++
        intactNames.add(entry.name)
      }
    }
    if (!commit.complete || found.size === 0) continue
    if (found.size > 1) verdict.mixed++
    const [archive] = found
    if (archive === undefined) continue
    const entries = plannedOf(archive)
    if (found.size === 1 && intact === entries.size && commit.entries.length === entries.size) {
      whole.set(archive, (whole.get(archive) ?? 0) + 1)
    } else {
      verdict.fragments++
    }
  }

  const delivered = new Map<number, Told>()
  for (const word of told) {
    if (word.outcome === 'delivered') delivered.set(word.archive, word)
  }
  verdict.delivered = delivered.size
  verdict.rejected = new Set(
    told.filter((w) => !delivered.has(w.archive)).map((w) => w.archive),
  ).size
  verdict.untold = archives - verdict.delivered - verdict.rejected
  let latest = -1
  let attempts = 0
  for (const [archive, word] of [...delivered].sort(([a], [b]) => a - b)) {
    attempts += word.attempts
    verdict.attemptsMax = Math.max(verdict.attemptsMax, word.attempts)
    if (!whole.has(archive)) verdict.lost++
    for (const name of plannedOf(archive).keys()) if (!intactNames.has(name)) verdict.entriesLost++
    const position = last.get(archive)
    if (position === undefined) continue
    if (position < latest) verdict.disordered++
    latest = Math.max(latest, position)
  }
  verdict.attemptsMean = delivered.size ? attempts / delivered.size : 0
  for (const count of whole.values()) verdict.duplicates += count - 1
  return verdict
}

/** What a row may show without breaking a promise. */
export interface Allowances {
  readonly mayLose: boolean
  readonly mayReject: boolean
}

/** What a spout promises, as far as a verdict breaks it; empty where the promise is kept. */
export function brokenPromises(verdict: Verdict, { mayLose, mayReject }: Allowances): string[] {
  const promised: (keyof Verdict)[] = ['corrupt', 'mixed', 'disordered', 'untold']
  if (!mayLose) promised.push('lost', 'entriesLost')
  if (!mayReject) promised.push('rejected')
  return promised.filter((name) => verdict[name] > 0).map((name) => `${name} ${verdict[name]}`)
}
