// `node bench/commit-store.js`: commits through a FIFO beside plain git, then one large file; writes both into docs/runner.md.
//
//   --commits N   how many commits (10000); with another number no file is written
//   --large MB    size of the large file (512); with another number no file is written
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { encodeHeader } from '../dist/index.js'

const ROUND = 1000
// Plain git makes so many of each round: all of them would take most of the time.
const PLAIN = 50
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({
  options: { commits: { type: 'string', default: '10000' }, large: { type: 'string', default: '512' } },
})
const commits = Number(values.commits)
const largeMb = Number(values.large)
const folder = mkdtempSync(join(tmpdir(), 'tarspout-commits-'))
const at = (name) => join(folder, name)
const person = { NAME: 'a', EMAIL: 'a@b' }
const env = { ...process.env }
for (const role of ['AUTHOR', 'COMMITTER']) for (const key in person) env[`GIT_${role}_${key}`] = person[key]

const git = (repository, ...args) =>
  execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })

/** What commit `number` adds: a file, a hundred to a folder, so that no tree grows large. */
function fileOf(number) {
  const name = `part-${String(Math.floor(number / 100)).padStart(3, '0')}/${String(number).padStart(5, '0')}`
  return { name, body: `${JSON.stringify({ number, text: 'a message '.repeat(5 + (number % 50)) })}\n` }
}

function archiveOf({ name, body }) {
  const header = encodeHeader({ name, size: body.length, mode: 0o600, mtime: new Date(0) })
  const padding = Buffer.alloc((512 - (body.length % 512)) % 512)
  return Buffer.concat([header, Buffer.from(body), padding, Buffer.alloc(1024)])
}

async function run(command, args, options = {}) {
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'], ...options })
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ended with ${status}`)
}

async function time(work) {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Peak memory in MB of each process below `pid`, by name, as far as it was seen. */
function watchMemory(pid) {
  const peaks = {}
  const look = (pid) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const name = /^Name:\t(.*)/m.exec(status)?.[1] ?? ''
      const peak = Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024)
      peaks[name] = Math.max(peaks[name] ?? 0, peak)
      for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' '))
        if (child) look(child)
    } catch {
      // it has ended
    }
  }
  const timer = setInterval(() => look(pid), 50)
  return () => {
    clearInterval(timer)
    return peaks
  }
}

/** `tarspout receive` in a process of its own. */
class Receiver {
  constructor(repository) {
    const args = [join(root, 'dist/cli/main.js'), 'receive', 'fifo', '--repo', repository]
    this.child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.child.stdout })
    this.memory = watchMemory(this.child.pid)
  }

  /** Sends a file of archives; settles once it has reported commit `number`, which is then on the disk. */
  async send(file, number) {
    const reached = new Promise((resolve) => {
      this.lines.on('line', (line) => line.startsWith(`commit ${number} `) && resolve())
    })
    await run('sh', ['-c', `cat ${file} > fifo`])
    await reached
    this.lines.removeAllListeners('line')
  }

  async stop() {
    this.child.kill('SIGINT')
    await once(this.child, 'close')
    return this.memory()
  }
}

/**
 * Rounds of commits: all of a round through the FIFO; the first of it by plain git, on top of the same history, with the
 * shell writing the same files.
 */
async function measureCommits() {
  execFileSync('git', ['init', '--quiet', '--initial-branch=master', at('plain')])
  const receiver = new Receiver('store')
  const rows = []
  for (let from = 0; from < commits; from += ROUND) {
    const files = Array.from({ length: Math.min(ROUND, commits - from) }, (_, index) => fileOf(from + index))
    writeFileSync(at('archives'), Buffer.concat(files.map(archiveOf)))
    if (from > 0) {
      git(at('plain'), 'fetch', '--quiet', at('store'), 'master')
      git(at('plain'), 'reset', '--quiet', '--hard', 'FETCH_HEAD')
    }
    const plainFiles = files.slice(0, PLAIN)
    for (const { name } of files) mkdirSync(at(`plain/${dirname(name)}`), { recursive: true })
    const commands = plainFiles.map(
      ({ name, body }) =>
        `echo '${body.trimEnd()}' > ${name}; git add ${name}; git commit -q -m 'one entry'\n`,
    )
    writeFileSync(at('script'), commands.join(''))

    const tarspout = files.length / (await time(() => receiver.send('archives', from + files.length)))
    const plain =
      plainFiles.length / (await time(() => run('sh', ['-e', at('script')], { cwd: at('plain') })))
    rows.push([files.length, tarspout, plain])
    console.error(`${from + files.length} commits: ${tarspout.toFixed(0)}/s, plain git ${plain.toFixed(0)}/s`)
    const [ours, theirs] = ['store', 'plain'].map((name) =>
      git(at(name), 'log', '--reverse', '--format=%T', 'master').trimEnd().split('\n'),
    )
    if (ours.length !== from + files.length || theirs.some((tree, index) => tree !== ours[index]))
      throw new Error('the two made different trees')
  }
  const closing = await time(() => receiver.stop())
  return {
    rows,
    closing,
    packs: readdirSync(at('store/objects/pack')).filter((name) => name.endsWith('.pack')).length,
  }
}

/** One archive of one large file, beside `git add` and `git commit` of that file. */
async function measureLarge() {
  await run('sh', ['-c', `seq 1000000000 | head -c ${largeMb}M > large && tar -b1 -cf archives large`])
  const receiver = new Receiver('store-large')
  const tarspout = await time(() => receiver.send('archives', 1))
  const memory = await receiver.stop()
  execFileSync('git', ['init', '--quiet', '--initial-branch=master', at('plain-large')])
  await run('mv', ['large', 'plain-large'])
  let peaks = () => ({})
  const plain = await time(async () => {
    const child = spawn('sh', ['-ec', 'git add large; git commit -q -m large'], {
      cwd: at('plain-large'),
      env,
      stdio: 'inherit',
    })
    peaks = watchMemory(child.pid)
    await once(child, 'close')
  })
  const [ours, theirs] = ['store-large', 'plain-large'].map((name) =>
    git(at(name), 'rev-parse', 'master^{tree}'),
  )
  if (ours !== theirs) throw new Error('the two made different trees')
  return { tarspout, plain, memory, plainMemory: peaks() }
}

function report({ rows, closing, packs }, { tarspout, plain, memory, plainMemory }) {
  const perSecond = (number) => number.toFixed(0)
  const seconds = (side) => rows.reduce((sum, row) => sum + row[0] / row[side], 0)
  const line = (cells) => `| ${cells.join(' | ')} |`
  const row = (label, ours, theirs) =>
    line([label, perSecond(ours), perSecond(theirs), `${(ours / theirs).toFixed(1)}x`])
  const table = [
    line(['commits', 'tarspout, commits/s', 'plain git, commits/s', 'ratio']),
    line(['---', '---', '---', '---']),
    ...rows.map(([count, ...sides], index) =>
      row(`${index * ROUND + 1} to ${index * ROUND + count}`, ...sides),
    ),
    row('all', commits / seconds(1), commits / seconds(2)),
  ]
  return `
Written by \`node bench/commit-store.js\` at commit ${git(root, 'rev-parse', '--short', 'HEAD').trim()}: ${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()},
Node ${process.version}, ${execFileSync('git', ['--version'], { encoding: 'utf8' }).trim()}. All commits went through a FIFO to
\`tarspout receive\`, ${ROUND} a round. Of each round plain git made the first ${PLAIN}, on top of the same history: \`git add\` and
\`git commit\` of the same file in a shell loop. The command checks that both made the same trees.

${table.join('\n')}

To end took the runner ${closing.toFixed(1)} s, and left ${packs} pack files.

A file of ${largeMb} MiB: ${tarspout.toFixed(1)} s through the FIFO (${(largeMb / tarspout).toFixed(0)} MiB/s), ${plain.toFixed(1)} s with plain git. Peak memory: receiver ${memory.node} MB, its git
${memory.git} MB; plain git ${plainMemory.git} MB.
`
}

try {
  execFileSync('mkfifo', [at('fifo')])
  const text = report(await measureCommits(), await measureLarge())
  console.log(text)
  if (commits === 10_000 && largeMb === 512) {
    const path = join(root, 'docs/runner.md')
    const marks = /(<!-- commits -->\n)[\s\S]*(<!-- \/commits -->)/
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(marks, (_, before, after) => `${before}${text}\n${after}`),
    )
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
