import { TarspoutError } from '../base/errors.js'

/** A part of a document: from its first character up to, not including, `end`. */
export interface Range {
  readonly start: number
  readonly end: number
}

export interface SpecMember {
  readonly key: string
  readonly keyRange: Range
  readonly value: SpecNode
}

/** What JSON and YAML documents have in common, each part with its place in the text. */
export type SpecNode =
  | { readonly kind: 'map'; readonly range: Range; readonly members: readonly SpecMember[] }
  | { readonly kind: 'list'; readonly range: Range; readonly items: readonly SpecNode[] }
  | {
      readonly kind: 'scalar'
      readonly range: Range
      readonly value: string | number | boolean | null
    }

/** A fault of a specification, with its place and what to write instead. */
export interface SpecFault {
  /** From 1. */
  readonly line: number
  /** From 1, in characters. */
  readonly column: number
  readonly message: string
  /** What to write instead. */
  readonly hint: string
  /** The line it is in, and a line of carets under the place. */
  readonly snippet: string
}

const SNIPPET_LENGTH = 160

/** A text with its lines, and the faults found in it. */
export class SpecSource {
  readonly text: string
  readonly #faults: (SpecFault & { at: number })[] = []

  constructor(text: string) {
    this.text = text
  }

  get faults(): SpecFault[] {
    return this.#faults.toSorted((a, b) => a.at - b.at).map(({ at: _, ...fault }) => fault)
  }

  get hasFaults(): boolean {
    return this.#faults.length > 0
  }

  fault({ start, end }: Range, message: string, hint: string): void {
    const lineStart = this.text.lastIndexOf('\n', start - 1) + 1
    const newline = this.text.indexOf('\n', start)
    const line = this.text.slice(lineStart, newline < 0 ? undefined : newline).replace(/\r$/, '')
    const column = start - lineStart
    // Of an endless line, what is around the place.
    const from = line.length > SNIPPET_LENGTH ? Math.max(0, column - SNIPPET_LENGTH / 2) : 0
    const shown = line.slice(from, from + SNIPPET_LENGTH).replace(/\p{Cc}/gu, ' ')
    const carets = '^'.repeat(Math.max(1, Math.min(end - start, shown.length - column + from)))
    const snippet = `${shown}\n${' '.repeat(column - from)}${carets}`
    const number = this.text.slice(0, lineStart).split('\n').length
    // What a name in the text says must not command the terminal.
    const plain = message.replace(/\p{Cc}/gu, '\ufffd')
    this.#faults.push({
      at: start,
      line: number,
      column: column + 1,
      message: plain,
      hint,
      snippet,
    })
  }
}

/** All faults of a specification at once. */
export class SpecError extends TarspoutError {
  readonly faults: readonly SpecFault[]

  constructor(faults: readonly SpecFault[]) {
    super('ERR_SPEC', `malformed pipeline spec\n${faults.map(formatFault).join('\n')}`)
    this.faults = faults
  }
}

/** `line:column: what; what to write`, and the place in the text. */
export function formatFault({ line, column, message, hint, snippet }: SpecFault): string {
  const indented = snippet.replace(/^/gm, '    ')
  return `${line}:${column}: ${message}; ${hint}\n${indented}`
}
