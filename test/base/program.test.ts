import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const program = fileURLToPath(new URL('../../dist/base/program.js', import.meta.url))

// Runs as many programs as it is told, with Ctrl-C for itself without effect.
const SCRIPT = `
import { spawn } from 'node:child_process'
import { once } from 'node:events'
const { runProgram, spawnApart } = await import(process.argv[1])
process.on('SIGINT', () => {})
console.log('ready')
const ends = {}
const count = (end) => { ends[end] = (ends[end] ?? 0) + 1 }
for (let i = 0; i < 40; i++) {
  const { status, output } = await runProgram('cat', [], ['x'], { detached: true })
  count(status + output)
  const child = spawnApart(() => spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'], detached: true }))
  child.stdin.on('error', () => {}).end()
  const [code, signal] = await once(child, 'close')
  count(signal ?? code)
}
console.log(JSON.stringify(ends))
process.exit()
`

test('Ctrl-C at whatever moment ends no program that is to be finished', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text
  })
  await once(child.stdout, 'data')
  // As the terminal does: to the whole group.
  const timer = setInterval(() => process.kill(-(child.pid as number), 'SIGINT'), 7)
  child.on('exit', () => clearInterval(timer))
  await once(child, 'close')
  t.deepEqual(JSON.parse(out.split('\n')[1] ?? ''), { '0': 40, '0x': 40 })
})
