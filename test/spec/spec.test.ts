import test from 'ava'
import { parsePipelineSpec, SpecError, type SpecFault } from 'tarspout'

const minimal = { pipeline: { name: 'p' }, transform: { cmd: ['x'] }, spout: {} }

function faultsOf(text: string): readonly SpecFault[] {
  try {
    parsePipelineSpec(text)
  } catch (error) {
    if (error instanceof SpecError && error.code === 'ERR_SPEC') return error.faults
    throw error
  }
  return []
}

const places = (faults: readonly SpecFault[]) =>
  faults.map(({ line, column, message }) => `${line}:${column} ${message}`)

test("the documentation's own example lacks a comma after image and has one too many after env", (t) => {
  const text = `{
  "pipeline": {
    "name": "my-spout"
  },
  "transform": {
    "cmd": [ "go", "run", "./main.go" ],
    "image": "myaccount/myimage:0.1"
    "env": {
        "HOST": "kafkahost",
        "TOPIC": "mytopic",
        "PORT": "9092"
    },
  },
  "spout": {
    "overwrite": false
  }
}`
  t.deepEqual(
    faultsOf(text).map(({ line, column, hint, snippet }) => ({ line, column, hint, snippet })),
    [
      {
        line: 7,
        column: 37,
        hint: 'write a comma here',
        snippet: `    "image": "myaccount/myimage:0.1"\n${' '.repeat(36)}^`,
      },
      { line: 12, column: 6, hint: 'remove the comma', snippet: '    },\n     ^' },
    ],
  )
})

test('absent fields have the defaults of Pachyderm', (t) => {
  const [spec] = parsePipelineSpec(JSON.stringify(minimal))
  t.deepEqual(spec?.spout, { overwrite: false })
  t.is(spec?.outputBranch, 'master')
})

test('snake_case and camelCase, JSON and YAML say the same', (t) => {
  const json =
    '{"pipeline":{"name":"p"},"transform":{"cmd":["x","1"],"workingDir":"/w","env":{"A":"1"}},"spout":{"overwrite":true},"outputBranch":"b"}'
  const yaml =
    'pipeline:\n  name: p\ntransform:\n  cmd: [x, "1"]\n  working_dir: /w\n  env:\n    A: "1"\nspout:\n  overwrite: true\noutput_branch: b\n'
  t.deepEqual(parsePipelineSpec(yaml), parsePipelineSpec(json))
  t.is(parsePipelineSpec(json)[0]?.transform.workingDir, '/w')
})

test('several documents follow each other in one file', (t) => {
  const other = JSON.stringify({ ...minimal, pipeline: { name: 'q' } })
  t.deepEqual(
    parsePipelineSpec(`${JSON.stringify(minimal)}\n${other}`).map(({ name }) => name),
    ['p', 'q'],
  )
  t.deepEqual(
    parsePipelineSpec(
      `---\n# one\npipeline: {name: p}\ntransform: {cmd: [x]}\n---\npipeline: {name: q}\ntransform: {cmd: [x]}\n`,
    ).map(({ name }) => name),
    ['p', 'q'],
  )
})

test('null is unset, and a spout may be empty', (t) => {
  t.is(parsePipelineSpec(JSON.stringify({ ...minimal, spout: null }))[0]?.spout, undefined)
  t.deepEqual(
    parsePipelineSpec(JSON.stringify({ ...minimal, spout: { marker: null } }))[0]?.spout,
    {
      overwrite: false,
    },
  )
})

test('numbers may be in quotes, booleans may not', (t) => {
  t.deepEqual(faultsOf(JSON.stringify({ ...minimal, max_queue_size: '4' })), [])
  t.is(faultsOf(JSON.stringify({ ...minimal, spout: { overwrite: 'true' } })).length, 1)
})

/** What the carets point at, and the message. */
const pointed = (faults: readonly SpecFault[]) =>
  faults.map(({ snippet, message }) => {
    const [line = '', carets = ''] = snippet.split('\n')
    return `${line.slice(carets.indexOf('^'), carets.length)} ${message}`
  })

const rules: [rule: string, change: object, place: string][] = [
  ['a pipeline is needed', { pipeline: undefined }, '{ there is no pipeline'],
  ['a name is needed', { pipeline: {} }, '"pipeline" the pipeline has no name'],
  ['a name has no dots', { pipeline: { name: 'a.b' } }, '"a.b" pipeline.name "a.b" is not allowed'],
  [
    'a name begins with a letter or digit',
    { pipeline: { name: '_a' } },
    '"_a" pipeline.name "_a" is not allowed',
  ],
  [
    'a name has 63 characters at most',
    { pipeline: { name: 'a'.repeat(64) } },
    `"${'a'.repeat(64)}" pipeline.name "${'a'.repeat(64)}" is not allowed`,
  ],
  ['a transform is needed', { transform: undefined }, '{ pipeline must specify a transform'],
  [
    'a command is needed',
    { transform: { image: 'i' } },
    '"transform" the transform has no command',
  ],
  [
    'env holds texts',
    { transform: { cmd: ['x'], env: { A: 1 } } },
    '1 transform.env.A is the number 1, not a text',
  ],
  [
    'env holds no booleans',
    { transform: { cmd: ['x'], env: { A: true } } },
    'true transform.env.A is the boolean true, not a text',
  ],
  [
    'a spout has no input',
    { input: { pfs: { repo: 'r' } } },
    '"input" spout pipelines (without a service) must not have an input',
  ],
  [
    'a spout has no statistics',
    { enable_stats: true },
    '"enable_stats" spouts are not allowed to have a stats branch',
  ],
  [
    'a spout is not built',
    { transform: { cmd: ['x'], build: { language: 'go' } } },
    '"build" spouts cannot be built by pachctl',
  ],
  [
    'a spout has no s3_out',
    { s3_out: true },
    '"s3_out" spouts cannot write through the S3 gateway',
  ],
  [
    'a pipeline is no service and spout',
    { service: { internal_port: 1 } },
    '"service" a pipeline is a service or a spout, not both',
  ],
  ['a spout is not on standby', { standby: true }, '"standby" a spout on standby never starts'],
  [
    'a marker has no glob characters',
    { spout: { marker: '$$$*' } },
    '"$$$*" the marker is no file name',
  ],
  ['a marker is not called out', { spout: { marker: 'out' } }, '"out" the marker cannot be "out"'],
  [
    'a marker is not below out',
    { spout: { marker: 'out/x' } },
    '"out/x" the marker cannot be "out"',
  ],
  [
    'a marker stays in its folder',
    { spout: { marker: '../x' } },
    '"../x" the marker is no file name',
  ],
  ['a marker is clean', { spout: { marker: './x' } }, '"./x" the marker is no clean name'],
  ['a command is not empty', { transform: { cmd: [''] } }, '"" the command has no program'],
  [
    'a program gets no NUL',
    { transform: { cmd: ['a\0'] } },
    '"a\\u0000" transform.cmd[0] has a NUL character',
  ],
  [
    'the output branch is not the marker branch',
    { output_branch: 'marker' },
    '"marker" markers are committed to the branch "marker"',
  ],
  ['tf_job is refused', { tf_job: { tf_job: '{}' } }, '"tf_job" tf_job is not supported'],
  [
    'constant and coefficient exclude each other',
    { parallelism_spec: { constant: 1, coefficient: 2 } },
    '"constant" constant and coefficient exclude each other',
  ],
  [
    'a coefficient is not negative',
    { parallelism_spec: { coefficient: -1 } },
    '-1 parallelism_spec.coefficient is -1',
  ],
  [
    'hashtree_spec.constant is not 0',
    { hashtree_spec: { constant: 0 } },
    '0 hashtree_spec.constant is 0',
  ],
  ['cache_size can be read', { cache_size: 'much' }, '"much" cache_size "much" is not allowed'],
  ['pod_patch is JSON', { pod_patch: '[' }, '"[" pod_patch is no JSON'],
  [
    'unknown fields are errors',
    { spuot: {} },
    '"spuot" unknown field "spuot" in the specification',
  ],
  [
    'names are case-sensitive',
    { Description: 'd' },
    '"Description" unknown field "Description" in the specification',
  ],
  [
    'a field comes once',
    { outputBranch: 'a', output_branch: 'b' },
    '"output_branch" "output_branch" comes twice in the specification',
  ],
]

for (const [rule, change, place] of rules) {
  test(rule, (t) => {
    t.deepEqual(pointed(faultsOf(JSON.stringify({ ...minimal, ...change }))), [place])
  })
}

test('an unknown field comes with the nearest known name', (t) => {
  t.is(faultsOf(JSON.stringify({ ...minimal, spuot: {} }))[0]?.hint, 'write "spout"')
  t.is(
    faultsOf(JSON.stringify({ ...minimal, spout: { overwite: true } }))[0]?.hint,
    'write "overwrite"',
  )
  t.regex(
    faultsOf(JSON.stringify({ ...minimal, spout: { zzz: 1 } }))[0]?.hint ?? '',
    /^known are overwrite, marker, service$/,
  )
})

test('all faults of all documents are reported at once, in order', (t) => {
  const text =
    '{"pipeline": {"name": "a b"}, "transform": {"cmd": "x", "evn": {}}}\n{"pipeline": {"name": 7}}'
  t.deepEqual(places(faultsOf(text)), [
    '1:23 pipeline.name "a b" is not allowed',
    '1:52 transform.cmd is a text, not a list',
    '1:57 unknown field "evn" in transform',
    '2:1 pipeline must specify a transform',
    '2:23 pipeline.name is the number 7, not a text',
  ])
})

test('faults of YAML have their places, too', (t) => {
  const text =
    'pipeline:\n  name: p\ntransform:\n  cmd: [x]\n  env:\n    PORT: 9092\n    ON: true\nspout: {overwrit: true}\n'
  t.deepEqual(places(faultsOf(text)), [
    '6:11 transform.env.PORT is the number 9092, not a text',
    '7:9 transform.env.ON is the boolean true, not a text',
    '8:9 unknown field "overwrit" in spout',
  ])
})

test('a fault shows no control characters of the text, and not all of an endless line', (t) => {
  const line = `{"pipeline": {"name": "p", "a\\u001b[2J": "${'x'.repeat(10_000)}"}, "\x7f\x9b2J": 1}`
  const faults = faultsOf(line)
  t.deepEqual(
    faults.map(({ message }) => message),
    [
      'pipeline must specify a transform',
      'unknown field "a\ufffd[2J" in pipeline',
      'unknown field "\ufffd\ufffd2J" in the specification',
    ],
  )
  for (const { snippet } of faults) {
    t.notRegex(snippet.replace('\n', ''), /\p{Cc}/u)
    t.true(snippet.length < 500)
  }
  t.is(
    faults[1]?.snippet.split('\n')[0]?.indexOf('"a\\u001b[2J"'),
    faults[1]?.snippet.split('\n')[1]?.indexOf('^'),
  )
  t.is(
    faults[2]?.snippet.split('\n')[0]?.indexOf('"  2J"'),
    faults[2]?.snippet.split('\n')[1]?.indexOf('^'),
  )
})

const unreadable = [
  '',
  '{',
  '{"a"',
  '{"a":',
  '[1]',
  '{"pipeline": {"name": "p"',
  '{,}',
  '"x',
  '{"a": nul}',
  '{a: 1}',
  'a: [',
  'a: b: c',
  '\ufeff{',
  '{"a" 1}',
  '{"a": "\\x"}',
  '[['.repeat(1000),
]
for (const text of unreadable) {
  test(`what cannot be read is a fault with a place: ${JSON.stringify(text.slice(0, 30))}`, (t) => {
    const [fault] = faultsOf(text)
    t.true(fault !== undefined && fault.line >= 1 && fault.column >= 1)
  })
}
