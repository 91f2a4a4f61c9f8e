// Builds the addon (node-gyp) and the TypeScript (tsc). Run by `npm ci` through the prepare script.
// Where the running Node ships its headers (prefix/include/node) they are used, so no download is needed.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

function run(tool, ...args) {
  const command = join(root, 'node_modules/.bin', tool)
  const { status, signal } = spawnSync(process.execPath, [command, ...args], { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`build: ${tool} ${args.join(' ')} ended with ${signal ?? status}`)
    process.exit(status || 1)
  }
}

const prefix = dirname(dirname(process.execPath))
const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
const steps = existsSync(join(root, 'build/Makefile')) ? ['configure', 'build'] : ['rebuild']
for (const step of steps) run('node-gyp', step, '--silent', ...headers)
rmSync(join(root, 'dist'), { recursive: true, force: true })
run('tsc', '-p', 'tsconfig.json')
