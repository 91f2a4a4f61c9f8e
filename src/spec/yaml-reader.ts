import { isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments } from 'yaml'
import type { Range, SpecMember, SpecNode, SpecSource } from './spec-source.js'

/** Reads YAML documents, with the places of everything in them. */
export function readYaml(source: SpecSource): SpecNode[] {
  const documents: SpecNode[] = []
  // YAML 1.1 booleans (yes, on) are texts here, as in the YAML 1.2 core schema. Merge keys are for
  // the parser to resolve.
  for (const document of parseAllDocuments(source.text, {
    merge: true,
    prettyErrors: false,
    maxAliasCount: 100,
  } as object)) {
    if (!('contents' in document)) continue
    for (const { pos, message } of document.errors) {
      source.fault(
        { start: pos[0], end: pos[1] },
        message.split('\n')[0] ?? message,
        'correct the YAML',
      )
    }
    const contents = document.contents as Node | null
    if (contents === null || document.errors.length > 0) continue
    documents.push(toNode(source, contents, 0))
  }
  return documents
}

function toNode(source: SpecSource, node: Node | null, depth: number): SpecNode {
  const range = rangeOf(node)
  if (isMap(node)) {
    const members: SpecMember[] = []
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : ''
      const keyRange = rangeOf(key as Node)
      members.push({ key: name, keyRange, value: toNode(source, value as Node | null, depth + 1) })
    }
    return { kind: 'map', range, members }
  }
  if (isSeq(node)) {
    return {
      kind: 'list',
      range,
      items: node.items.map((item) => toNode(source, item as Node, depth + 1)),
    }
  }
  if (isAlias(node)) {
    source.fault(range, `the alias *${node.source}`, 'write out what it stands for')
    return { kind: 'scalar', range, value: null }
  }
  const value = isScalar(node) ? node.value : null
  if (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
  ) {
    return { kind: 'scalar', range, value }
  }
  return { kind: 'scalar', range, value: String(value) }
}

function rangeOf(node: Node | null): Range {
  const [start, end] = node?.range ?? [0, 0]
  return { start, end }
}
