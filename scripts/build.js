// Builds the addon (node-gyp), the TypeScript (tsc) and the JSON schema of specifications, and puts
// a stripped copy of the addon where the package has it. Run by `npm ci`, `npm pack` and `npm
// publish` through the prepare script. Where the running Node ships its headers
// (prefix/include/node) they are used, so no download is needed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

function run(command, ...args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(
      `build: ${command} ${args.join(' ')} ended with ${error?.message ?? signal ?? status}`,
    )
    process.exit(status || 1)
  }
}

const runTool = (tool, ...args) => run(process.execPath, join('node_modules/.bin', tool), ...args)

const prefix = dirname(dirname(process.execPath))
const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
const steps = existsSync(join(root, 'build/Makefile')) ? ['configure', 'build'] : ['rebuild']
for (const step of steps) runTool('node-gyp', step, '--silent', ...headers)
rmSync(join(root, 'dist'), { recursive: true, force: true })
runTool('tsc', '-p', 'tsconfig.json')

const { specSchema } = await import('../dist/spec/spec-schema.js')
writeFileSync(
  join(root, 'dist/pipeline-spec.schema.json'),
  `${JSON.stringify(specSchema(), undefined, 2)}\n`,
)

const prebuilds = `prebuilds/${process.platform}-${process.arch}`
mkdirSync(join(root, prebuilds), { recursive: true })
run('strip', '--strip-unneeded', '-o', `${prebuilds}/tarspout.node`, 'build/Release/tarspout.node')
