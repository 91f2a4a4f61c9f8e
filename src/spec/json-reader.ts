import type { Range, SpecMember, SpecNode, SpecSource } from './spec-source.js'

const MAX_DEPTH = 100

class Unreadable extends Error {}

/**
 * Reads concatenated JSON documents (RFC 8259). A missing or a trailing comma is a fault and is
 * read over, so that the faults behind it are found as well; anything else unreadable ends the
 * reading.
 */
export function readJson(source: SpecSource): SpecNode[] {
  const documents: SpecNode[] = []
  const reader = new JsonReader(source)
  try {
    while (!reader.isAtEnd()) documents.push(reader.readValue(0))
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
  }
  return documents
}

class JsonReader {
  readonly #source: SpecSource
  readonly #text: string
  #at = 0

  constructor(source: SpecSource) {
    this.#source = source
    this.#text = source.text
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1
  }

  isAtEnd(): boolean {
    this.#skipSpace()
    return this.#at >= this.#text.length
  }

  readValue(depth: number): SpecNode {
    if (depth > MAX_DEPTH)
      throw this.#unreadable(this.#here(), `more than ${MAX_DEPTH} levels`, 'nest less deeply')
    this.#skipSpace()
    const start = this.#at
    const first = this.#text[start]
    if (first === '{') return this.#readMap(depth)
    if (first === '[') return this.#readList(depth)
    if (first === '"') {
      const value = this.#readString()
      return { kind: 'scalar', range: { start, end: this.#at }, value }
    }
    const word = /^[^\s,:[\]{}"]+/.exec(this.#text.slice(start, start + 400))?.[0] ?? ''
    const range = { start, end: start + Math.max(1, word.length) }
    if (word === '') {
      const found = first === undefined ? 'the text ends' : `found ${first}`
      throw this.#unreadable(range, `a value is missing: ${found}`, 'write the value here')
    }
    this.#at = range.end
    if (word === 'true' || word === 'false')
      return { kind: 'scalar', range, value: word === 'true' }
    if (word === 'null') return { kind: 'scalar', range, value: null }
    if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(word))
      return { kind: 'scalar', range, value: Number(word) }
    if (/^(\/\/|\/\*|#)/.test(word))
      throw this.#unreadable(range, 'JSON has no comments', 'remove it, or write YAML')
    this.#source.fault(range, `${word} is no JSON value`, `write "${word.replace(/'/g, '')}"`)
    return { kind: 'scalar', range, value: word }
  }

  #readMap(depth: number): SpecNode {
    const start = this.#at++
    const members: SpecMember[] = []
    this.#readItems('}', () => {
      const keyStart = this.#at
      if (this.#text[keyStart] !== '"') {
        const word = /^[\w.-]+/.exec(this.#text.slice(keyStart, keyStart + 100))?.[0]
        const range = { start: keyStart, end: keyStart + (word?.length ?? 1) }
        throw this.#unreadable(
          range,
          'a field name in double quotes is missing',
          `write ${word ? `"${word}"` : '"name":'}`,
        )
      }
      const key = this.#readString()
      const keyRange = { start: keyStart, end: this.#at }
      this.#skipSpace()
      if (this.#text[this.#at] === ':') this.#at++
      else
        this.#source.fault(
          { start: keyRange.end, end: keyRange.end + 1 },
          `no colon after "${key}"`,
          `write "${key}":`,
        )
      members.push({ key, keyRange, value: this.readValue(depth + 1) })
    })
    return { kind: 'map', range: { start, end: this.#at }, members }
  }

  #readList(depth: number): SpecNode {
    const start = this.#at++
    const items: SpecNode[] = []
    this.#readItems(']', () => items.push(this.readValue(depth + 1)))
    return { kind: 'list', range: { start, end: this.#at }, items }
  }

  #readItems(close: string, readItem: () => void): void {
    let comma: number | undefined
    let itemEnd = -1
    for (;;) {
      this.#skipSpace()
      const next = this.#text[this.#at]
      if (next === undefined)
        throw this.#unreadable(this.#here(), 'the text ends too early', `write ${close}`)
      if (next === close) {
        if (comma !== undefined) {
          this.#source.fault(
            { start: comma, end: comma + 1 },
            `a comma before ${close}`,
            'remove the comma',
          )
        }
        this.#at++
        return
      }
      if (itemEnd >= 0 && comma === undefined) {
        if (next === '}' || next === ']')
          throw this.#unreadable(this.#here(), `found ${next}`, `write ${close}`)
        this.#source.fault(
          { start: itemEnd, end: itemEnd + 1 },
          'a comma is missing',
          'write a comma here',
        )
      }
      if (next === ',')
        throw this.#unreadable(this.#here(), 'a comma with nothing before it', 'remove the comma')
      readItem()
      itemEnd = this.#at
      this.#skipSpace()
      comma = this.#text[this.#at] === ',' ? this.#at++ : undefined
    }
  }

  #readString(): string {
    const start = this.#at
    let end = start + 1
    while (end < this.#text.length && this.#text[end] !== '"' && this.#text[end] !== '\n') {
      end += this.#text[end] === '\\' ? 2 : 1
    }
    const range = { start, end: Math.min(end + 1, this.#text.length) }
    if (this.#text[end] !== '"')
      throw this.#unreadable(range, 'a text without its closing quote', 'write " at its end')
    this.#at = range.end
    try {
      return JSON.parse(this.#text.slice(start, range.end)) as string
    } catch {
      this.#source.fault(
        range,
        'a text with a wrong escape or a control character',
        'write \\\\ for a backslash, \\t for a tab',
      )
      return this.#text.slice(start + 1, end)
    }
  }

  #skipSpace(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  #here(): Range {
    return { start: this.#at, end: this.#at + 1 }
  }

  #unreadable(range: Range, message: string, hint: string): Unreadable {
    this.#source.fault(range, message, hint)
    return new Unreadable()
  }
}
