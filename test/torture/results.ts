import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { RowResult } from './row.js'
import { type Row, titleOf } from './rows.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** What a row's result depends on: results of other conditions are not mixed into a table. */
export interface Conditions {
  readonly archives: number
  readonly seed: number
  readonly maxEntries: number
  readonly maxBytes: number
  /** A hash of the addon; null for writers that do without. */
  readonly addon: string | null
}

export interface Finished {
  readonly row: Row
  readonly result: RowResult
  readonly broken: readonly string[]
}

interface Line extends Omit<Finished, 'row'> {
  readonly title: string
  readonly conditions: Conditions
}

/** The addon as built, in twelve digits. */
export function addonHash(): string {
  const addon = readFileSync(`${root}build/Release/tarspout.node`)
  return createHash('sha256').update(addon).digest('hex').slice(0, 12)
}

/** The commit that is checked out, where this is a checkout. */
export function commitName(): string {
  try {
    return execFileSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'unknown'
  }
}

/**
 * The rows that were run, one JSON line each, so that a run can be stopped, gone on with, and put
 * together from parts.
 */
export class Results {
  readonly #path: string | undefined
  readonly #lines = new Map<string, Line>()

  constructor(
    path: string | undefined,
    conditionsOf: (row: Row) => Conditions,
    rows: readonly Row[],
  ) {
    this.#path = path
    if (path === undefined || !existsSync(path)) return
    const wanted = new Map(rows.map((row) => [titleOf(row), conditionsOf(row)]))
    for (const text of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      const line: Line = JSON.parse(text)
      if (isDeepStrictEqual(wanted.get(line.title), line.conditions))
        this.#lines.set(line.title, line)
    }
  }

  has(row: Row): boolean {
    return this.#lines.has(titleOf(row))
  }

  add({ row, result, broken }: Finished, conditions: Conditions): void {
    const line: Line = { title: titleOf(row), conditions, result, broken }
    this.#lines.set(line.title, line)
    if (this.#path !== undefined) appendFileSync(this.#path, `${JSON.stringify(line)}\n`)
  }

  /** Of these rows, those that were run, in their order. */
  of(rows: readonly Row[]): Finished[] {
    return rows.flatMap((row) => {
      const line = this.#lines.get(titleOf(row))
      return line ? [{ row, result: line.result, broken: line.broken }] : []
    })
  }
}
