// `npm start`: runs the spout of birdstrikes.json and commits what it writes to ./birdstrikes.git.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const command = ['dist/cli/main.js', 'run', 'examples/birdstrikes.json', '--fresh', '--for', '50s']
const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' })

// Ctrl-C reaches the runner as well; it ends first, and says how.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('close', (code, signal) => {
  if (code === 0) {
    console.log('\nLook at it:')
    console.log('  git -C birdstrikes.git log --stat            each archive became one commit')
    console.log('  git -C birdstrikes.git show master:report-00001.csv')
  }
  process.exitCode = code ?? (signal === null ? 1 : 130)
})
