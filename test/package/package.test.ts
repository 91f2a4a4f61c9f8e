// The packed tarball in a project of its own: installed offline and without scripts, it runs. Packs
// `dist` and `prebuilds` as `npm run build` left them; needs npm, and nothing of npm's cache.
import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { specSchema } from '../../dist/spec/spec-schema.js'
import { Program, temporaryFolder } from '../support/processes.js'
import { comparable, links, programs } from '../support/readme.js'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const project = mkdtempSync(join(tmpdir(), 'package-'))
const modules = join(project, 'node_modules')
const addon = join(modules, 'tarspout/prebuilds/linux-x64/tarspout.node')

test.after.always(() => rmSync(project, { recursive: true, force: true }))

interface Packed {
  filename: string
  size: number
  unpackedSize: number
  files: { path: string; size: number }[]
}
let packed: Packed

test.before(async (t) => {
  t.timeout(60_000)
  const run = async (cwd: string, ...words: string[]) =>
    (await execute('npm', words, { cwd })).stdout
  packed = JSON.parse(
    await run(root, 'pack', '--ignore-scripts', '--json', '--pack-destination', project),
  )[0]
  // What the dependencies are is known; with them in place nothing has to be fetched.
  mkdirSync(modules)
  const listed = (await run(root, 'ls', '--omit=dev', '--all', '--parseable'))
    .trim()
    .split('\n')
    .slice(1)
  for (const folder of listed) {
    const name = folder.slice(folder.indexOf('/node_modules/') + '/node_modules/'.length)
    cpSync(folder, join(modules, name), { recursive: true })
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }\n')
  const quiet = ['--no-audit', '--no-fund']
  await run(project, 'install', '--offline', '--ignore-scripts', ...quiet, `./${packed.filename}`)
})

const node = (
  t: Parameters<typeof temporaryFolder>[0],
  env: NodeJS.ProcessEnv,
  ...words: string[]
) => new Program(t, project, process.execPath, words, env).result

test('the tarball has what is shipped and nothing else', (t) => {
  const { files, size, unpackedSize } = packed
  t.log(`${files.length} files, ${size} bytes, ${unpackedSize} unpacked`)
  for (const { path, size } of files.filter(({ path }) => !path.startsWith('dist/')))
    t.log(`${path} ${size}`)
  const top = new Set(files.map(({ path }) => path.split('/')[0]))
  t.deepEqual([...top].sort(), [
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'LICENSE',
    'README.md',
    'dist',
    'docs',
    'package.json',
    'prebuilds',
  ])
  t.deepEqual(
    files
      .map(({ path }) => path)
      .filter((path) => !/\.(js|d\.ts)$/.test(path) && /^(dist|prebuilds)/.test(path)),
    ['dist/pipeline-spec.schema.json', 'prebuilds/linux-x64/tarspout.node'],
  )
})

test('the links of the README lead into the package', (t) => {
  const paths = packed.files.map(({ path }) => path)
  for (const link of links) t.true(paths.includes(link), link)
})

test('the JSON schema of specifications is there, as the checks have it', async (t) => {
  const path = join(modules, 'tarspout/dist/pipeline-spec.schema.json')
  t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), specSchema())
  const script = "console.log(import.meta.resolve('tarspout/pipeline-spec.schema.json'))"
  const { stdout } = await node(t, {}, '--input-type=module', '-e', script)
  t.regex(stdout, /\/tarspout\/dist\/pipeline-spec\.schema\.json\n$/)
})

test('nothing is run or compiled when it is installed', (t) => {
  const { scripts, gypfile } = JSON.parse(
    readFileSync(join(modules, 'tarspout/package.json'), 'utf8'),
  )
  for (const name of ['preinstall', 'install', 'postinstall']) t.is(scripts[name], undefined)
  t.is(gypfile, false)
})

test("the README's first example prints what the README says", async (t) => {
  const { source = '', output = '' } = programs[0] ?? {}
  writeFileSync(join(project, 'example.js'), source)
  const { stdout, stderr } = await node(t, {}, 'example.js')
  t.is(stderr, '')
  t.deepEqual(comparable(stdout), comparable(output))
})

test('require() loads it too', async (t) => {
  const script = "console.log(require('tarspout').encodeHeader({ name: 'a' }).length)"
  const { stdout, stderr } = await node(t, {}, '--input-type=commonjs', '-e', script)
  t.is(stdout, '512\n', stderr)
})

test('npx tarspout --help prints help', async (t) => {
  const { stdout, stderr } = await new Program(t, project, 'npx', [
    '--offline',
    'tarspout',
    '--help',
  ]).result
  t.regex(stdout, /^Usage: tarspout /, stderr)
})

test('a TypeScript program compiles against its types', async (t) => {
  symlinkSync(join(root, 'node_modules/@types'), join(modules, '@types'))
  symlinkSync(join(root, 'node_modules/undici-types'), join(modules, 'undici-types'))
  writeFileSync(
    join(project, 'consumer.ts'),
    `import { openSpout, pack, type Receipt, TarspoutError } from 'tarspout'
await using spout = await openSpout({ path: 'out', confirm: 'committed', connection: 'persistent' })
const receipts: Receipt[] = []
await spout.run([1, 2], {
  toEntry: (n) => ({ name: \`n-\${n.toFixed()}\`, data: 'x' }),
  onDelivered: (items: readonly number[], receipt) => void receipts.push(receipt),
})
pack().entry({ name: 'a' }, 'b')
export const code = (error: unknown) => error instanceof TarspoutError && error.code === 'ERR_STATE'
// @ts-expect-error: no such choice
await openSpout({ confirm: 'maybe' })
`,
  )
  const tsc = join(root, 'node_modules/.bin/tsc')
  for (const resolution of ['nodenext', 'bundler']) {
    const module = resolution === 'bundler' ? 'esnext' : resolution
    const options = [
      '--strict',
      '--noEmit',
      '--target',
      'es2023',
      '--lib',
      'es2023,esnext.disposable',
    ]
    const words = [
      ...options,
      '--types',
      'node',
      '--module',
      module,
      '--moduleResolution',
      resolution,
    ]
    const { code, stdout } = await node(t, {}, tsc, ...words, 'consumer.ts')
    t.is(code, 0, stdout)
  }
})

const LOAD = `import('tarspout').catch(({ code, message, cause }) => console.log(code, cause.code, message))`

for (const [what, because, harm] of [
  ['is missing', 'MODULE_NOT_FOUND', (file: string) => rmSync(file)],
  ['is no library', 'ERR_DLOPEN_FAILED', (file: string) => writeFileSync(file, 'text')],
  ['is for another processor', 'ERR_DLOPEN_FAILED', (file: string) => overwrite(file, 18, 0xb7)],
] as const) {
  // Serial: they change the one file.
  test.serial(`an addon that ${what} is told, with what to do`, async (t) => {
    const before = readFileSync(addon)
    harm(addon)
    const { stdout, stderr } = await node(t, {}, '-e', LOAD)
    writeFileSync(addon, before)
    t.true(stdout.startsWith(`ERR_ADDON_LOAD ${because} `), stdout + stderr)
    t.regex(stdout, /prebuilds\/linux-x64\/tarspout\.node/)
    t.regex(stdout, /install the package again/)
  })
}

test.serial('TARSPOUT_ADDON loads another build, and no other', async (t) => {
  const copy = join(temporaryFolder(t), 'other.node')
  cpSync(addon, copy)
  const script =
    "import('tarspout').then(() => console.log(process.report.getReport().sharedObjects))"
  const { stdout } = await node(t, { TARSPOUT_ADDON: copy }, '-e', script)
  t.true(stdout.includes(copy), stdout)
  const missing = await node(t, { TARSPOUT_ADDON: `${copy}.none.node` }, '-e', LOAD)
  t.true(missing.stdout.startsWith('ERR_ADDON_LOAD MODULE_NOT_FOUND '), missing.stdout)
})

function overwrite(file: string, at: number, byte: number): void {
  const bytes = readFileSync(file)
  bytes[at] = byte
  writeFileSync(file, bytes)
}
