import { markerFault } from '../names/entry-path.js'
import { readJson } from './json-reader.js'
import {
  camelCase,
  type Fields,
  type FieldType,
  PIPELINE_NAME,
  SPEC_FIELDS,
} from './spec-fields.js'
import {
  type Range,
  SpecError,
  type SpecFault,
  type SpecMember,
  type SpecNode,
  SpecSource,
} from './spec-source.js'
import { readYaml } from './yaml-reader.js'

/** A pipeline, as far as the runner uses it. Absent fields have Pachyderm's defaults. */
export interface PipelineSpec {
  name: string
  transform: {
    image?: string
    cmd: string[]
    stdin: string[]
    env: Record<string, string>
    workingDir?: string
    acceptReturnCode: number[]
    user?: string
  }
  /** Absent: it is no spout. */
  spout?: { overwrite: boolean; marker?: string }
  /** The one repository it reads, if `input` is one `pfs`. */
  input?: { name: string; repo: string; branch: string; glob: string }
  /** Default `master`. */
  outputBranch: string
  /** The whole document, its names in snake_case. */
  source: Record<string, unknown>
}

/**
 * Reads pipeline specifications, JSON or YAML, one or several documents, as `pachctl create
 * pipeline` does.
 *
 * @param text the content of the file
 * @returns one specification for each document
 * @throws SpecError (a TarspoutError with code `ERR_SPEC`): `faults` holds all of them, each with
 * line, column, snippet and what to write instead
 */
export function parsePipelineSpec(text: string): PipelineSpec[] {
  const { specs, faults } = checkPipelineSpec(text)
  if (faults.length > 0) throw new SpecError(faults)
  return specs
}

/**
 * Like {@link parsePipelineSpec}, with the faults as a result. `specs` holds what could be read of
 * faulty documents, too.
 */
export function checkPipelineSpec(text: string): { specs: PipelineSpec[]; faults: SpecFault[] } {
  const source = new SpecSource(text)
  // Pachyderm's rule: what begins with a brace is JSON.
  const documents = /^\uFEFF?\s*\{/.test(text) ? readJson(source) : readYaml(source)
  if (documents.length === 0 && !source.hasFaults) {
    source.fault(
      { start: 0, end: 1 },
      'there is no document',
      'write {"pipeline": {"name": ...}, "transform": ...}',
    )
  }
  const specs = documents.map((node) => {
    const value = checkType(
      source,
      node,
      { type: 'object', fields: SPEC_FIELDS },
      'the specification',
    )
    checkRules(source, node)
    return toSpec((value ?? {}) as Record<string, unknown>)
  })
  return { specs, faults: source.faults }
}

/** Checks a node against its type; returns its value with canonical names. */
function checkType(source: SpecSource, node: SpecNode, type: FieldType, name: string): unknown {
  if (node.kind === 'scalar' && node.value === null) return undefined // protobuf: null is unset
  const wrong = (hint: string) =>
    source.fault(node.range, `${name} is ${describe(node)}, not ${expected(type)}`, hint)
  switch (type.type) {
    case 'any':
      return plain(node)
    case 'string': {
      if (node.kind !== 'scalar' || typeof node.value !== 'string')
        return wrong(quoteHint(node, name))
      if (node.value.includes('\0'))
        return source.fault(node.range, `${name} has a NUL character`, 'remove it')
      if (type.pattern && !type.pattern.test(node.value)) {
        return source.fault(
          node.range,
          `${name} ${JSON.stringify(node.value)} is not allowed`,
          patternHint(type.pattern),
        )
      }
      return node.value
    }
    case 'boolean':
      if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value
      return wrong(
        `write ${/^"?(true|yes|1)/i.test(source.text.slice(node.range.start)) ? 'true' : 'true or false'}, without quotes`,
      )
    case 'integer':
    case 'number': {
      // protobuf's JSON accepts numbers in quotes.
      const number =
        node.kind === 'scalar' && typeof node.value !== 'boolean'
          ? Number(node.value || Number.NaN)
          : Number.NaN
      const value = node.kind === 'scalar' && node.value === 0 ? 0 : number
      if (Number.isNaN(value) || (type.type === 'integer' && !Number.isSafeInteger(value)))
        return wrong('write a number')
      if (type.min !== undefined && value < type.min) {
        return source.fault(node.range, `${name} is ${value}`, `write at least ${type.min}`)
      }
      return value
    }
    case 'list':
      if (node.kind !== 'list')
        return wrong(
          node.kind === 'scalar' ? `write [${JSON.stringify(node.value)}]` : 'write [ ... ]',
        )
      return node.items.map((item, index) => checkType(source, item, type.of, `${name}[${index}]`))
    case 'map': {
      if (node.kind !== 'map') return wrong('write { "NAME": "value" }')
      const result: Record<string, unknown> = Object.create(null)
      for (const { key, value } of node.members) {
        result[key] = checkType(source, value, { type: 'string' }, `${name}.${key}`)
      }
      return result
    }
    case 'object':
      if (node.kind !== 'map') return wrong('write { ... }')
      return checkObject(source, node.members, type.fields, name)
  }
}

function checkObject(
  source: SpecSource,
  members: readonly SpecMember[],
  fields: Fields,
  name: string,
): object {
  const result: Record<string, unknown> = {}
  const seen = new Map<string, string>()
  for (const { key, keyRange, value } of members) {
    const field = fieldName(key, fields)
    if (field === undefined) {
      const near = nearest(key, Object.keys(fields))
      const hint =
        near === undefined ? `known are ${Object.keys(fields).join(', ')}` : `write "${near}"`
      source.fault(keyRange, `unknown field "${key}" in ${name}`, hint)
      continue
    }
    if (seen.has(field))
      source.fault(keyRange, `"${key}" comes twice in ${name}`, 'remove one of them')
    seen.set(field, key)
    const checked = checkType(
      source,
      value,
      fields[field] as FieldType,
      name === 'the specification' ? field : `${name}.${field}`,
    )
    if (checked !== undefined) result[field] = checked
  }
  return result
}

/**
 * The rules that Pachyderm has beyond names and types (CreatePipeline), each where it is broken.
 */
function checkRules(source: SpecSource, root: SpecNode): void {
  if (root.kind !== 'map') return
  const whole: Range = { start: root.range.start, end: root.range.start + 1 }
  const place = (...path: string[]) => find(root, path)
  const set = (...path: string[]) => {
    const found = place(...path)
    return found !== undefined &&
      !(
        found.value.kind === 'scalar' &&
        (found.value.value === null || found.value.value === false)
      )
      ? found
      : undefined
  }
  const name = place('pipeline', 'name')
  if (!place('pipeline'))
    source.fault(whole, 'there is no pipeline', 'write "pipeline": {"name": "..."}')
  else if (!name)
    source.fault(
      place('pipeline')?.keyRange ?? whole,
      'the pipeline has no name',
      'write "name": "..." in it',
    )
  if (!set('transform')) {
    source.fault(
      whole,
      'pipeline must specify a transform',
      'write "transform": {"image": "...", "cmd": [...]}',
    )
  } else {
    const cmd = place('transform', 'cmd')
    if (cmd === undefined || (cmd.value.kind === 'list' && cmd.value.items.length === 0)) {
      const at = cmd?.keyRange ?? place('transform')?.keyRange ?? whole
      source.fault(at, 'the transform has no command', 'write "cmd": ["program", "argument"]')
    } else if (cmd.value.kind === 'list') {
      const [program] = cmd.value.items
      if (program?.kind === 'scalar' && (program.value === '' || program.value === null))
        source.fault(program.range, 'the command has no program', 'write its name')
    }
  }
  const refuse = (path: string[], message: string, hint = 'remove it') => {
    const found = set(...path)
    if (found) source.fault(found.keyRange, message, hint)
  }
  refuse(['tf_job'], 'tf_job is not supported')
  const constant = set('parallelism_spec', 'constant')
  if (constant && set('parallelism_spec', 'coefficient')) {
    source.fault(
      constant.keyRange,
      'constant and coefficient exclude each other',
      'remove one of them',
    )
  }
  for (const field of ['pod_spec', 'pod_patch']) {
    const value = place(field)?.value
    if (value?.kind !== 'scalar' || typeof value.value !== 'string' || value.value === '') continue
    try {
      JSON.parse(value.value)
    } catch {
      source.fault(value.range, `${field} is no JSON`, 'write JSON in a text')
    }
  }
  if (!set('spout')) return
  refuse(['enable_stats'], 'spouts are not allowed to have a stats branch')
  refuse(['s3_out'], 'spouts cannot write through the S3 gateway')
  refuse(['service'], 'a pipeline is a service or a spout, not both', 'move it into "spout"')
  refuse(
    ['transform', 'build'],
    'spouts cannot be built by pachctl',
    'build the image, and write "image"',
  )
  refuse(['standby'], 'a spout on standby never starts')
  if (!set('spout', 'service')) {
    refuse(['input'], 'spout pipelines (without a service) must not have an input')
  }
  const branch = place('output_branch')
  if (branch?.value.kind === 'scalar' && branch.value.value === 'marker') {
    source.fault(
      branch.value.range,
      'markers are committed to the branch "marker"',
      'write another name',
    )
  }
  const marker = place('spout', 'marker')?.value
  if (marker?.kind === 'scalar' && typeof marker.value === 'string' && marker.value !== '') {
    const fault = markerFault(marker.value)
    if (fault) source.fault(marker.range, fault.message, fault.hint)
  }
}

function find(root: SpecNode, path: readonly string[]): SpecMember | undefined {
  let node = root
  let member: SpecMember | undefined
  for (const name of path) {
    if (node.kind !== 'map') return undefined
    member = node.members.find(({ key }) => key === name || key === camelCase(name))
    if (member === undefined) return undefined
    node = member.value
  }
  return member
}

function fieldName(key: string, fields: Fields): string | undefined {
  if (Object.hasOwn(fields, key)) return key
  return Object.keys(fields).find((name) => camelCase(name) === key)
}

function plain(node: SpecNode): unknown {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(plain)
  return Object.fromEntries(node.members.map(({ key, value }) => [key, plain(value)]))
}

function describe(node: SpecNode): string {
  if (node.kind === 'map') return 'an object'
  if (node.kind === 'list') return 'a list'
  return typeof node.value === 'string' ? 'a text' : `the ${typeof node.value} ${node.value}`
}

function expected(type: FieldType): string {
  const names = {
    string: 'a text',
    boolean: 'a boolean',
    any: 'a value',
    integer: 'a whole number',
    number: 'a number',
  }
  if (type.type === 'list') return 'a list'
  if (type.type === 'map' || type.type === 'object') return 'an object'
  return names[type.type]
}

function quoteHint(node: SpecNode, name: string): string {
  if (node.kind === 'scalar') return `write ${JSON.stringify(String(node.value))}, in quotes`
  return name.includes('.env.') ? 'write one text' : 'write a text'
}

function patternHint(pattern: RegExp): string {
  if (pattern === PIPELINE_NAME)
    return 'write letters, digits, - and _, the first a letter or digit, 63 at most'
  return `write what matches ${pattern.source}`
}

/** The known name with the fewest edits, if those are at most a third of its letters. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const normal = (text: string) => text.toLowerCase().replace(/[_-]/g, '')
  const distances = known.map((each) => [edits(normal(name), normal(each)), each] as const)
  const [best] = distances.sort((a, b) => a[0] - b[0])
  return best !== undefined && best[0] <= Math.max(1, Math.floor(best[1].length / 3))
    ? best[1]
    : undefined
}

/** Letters added, left out, changed, or swapped with their neighbour. */
function edits(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0
  for (let i = 1; i <= Math.min(a.length, 100); i++) {
    const row = [i]
    rows.push(row)
    for (let j = 1; j <= b.length; j++) {
      const change = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : change
      row.push(Math.min(change, swap, at(i - 1, j) + 1, at(i, j - 1) + 1))
    }
  }
  return at(rows.length - 1, b.length)
}

type Loose = { [key: string]: unknown }

function toSpec(source: Loose): PipelineSpec {
  const at = (value: unknown, key: string) => (value as Loose | undefined)?.[key]
  const transform = source.transform as Loose | undefined
  const pfs = at(source.input, 'pfs') as Loose | undefined
  const spec: PipelineSpec = {
    name: (at(source.pipeline, 'name') as string | undefined) ?? '',
    transform: {
      cmd: (transform?.cmd as string[] | undefined) ?? [],
      stdin: (transform?.stdin as string[] | undefined) ?? [],
      env: (transform?.env as Record<string, string> | undefined) ?? {},
      acceptReturnCode: (transform?.accept_return_code as number[] | undefined) ?? [],
    },
    outputBranch: (source.output_branch as string | undefined) || 'master',
    source,
  }
  if (transform?.image) spec.transform.image = transform.image as string
  if (transform?.working_dir) spec.transform.workingDir = transform.working_dir as string
  if (transform?.user) spec.transform.user = transform.user as string
  if (source.spout !== undefined) {
    const spout = source.spout as Loose
    spec.spout = { overwrite: spout.overwrite === true }
    if (spout.marker) spec.spout.marker = spout.marker as string
  }
  if (pfs?.repo !== undefined) {
    const repo = pfs.repo as string
    spec.input = {
      name: (pfs.name as string | undefined) || repo,
      repo,
      branch: (pfs.branch as string | undefined) || 'master',
      glob: (pfs.glob as string | undefined) || '/',
    }
  }
  return spec
}
