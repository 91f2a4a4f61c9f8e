// `node bench/commit-store.js`: commits through a FIFO beside plain git, then large files; writes
// two parts of docs/runner.md.
//
//   --commits N       how many commits (10000), 0: none; the part is written with 10000 only
//   --large MB,MB...  sizes of the large files, in MiB (512,4608), 0: none; the part is written with these only.
//                     Needs thrice the largest on the disk
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
const COMMITS = 10_000
// One that plain git takes as well, and one beyond 4 GiB, whose size has more than 32 bits.
const LARGE = [512, 4608]
// Plain git takes files up to this size (core.bigFileThreshold) into memory; larger ones it
// compresses in another way.
const PLAIN_MB = 512
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({
  options: {
    commits: { type: 'string', default: String(COMMITS) },
    large: { type: 'string', default: String(LARGE) },
  },
})
const commits = Number(values.commits)
const sizes = values.large.split(',').map(Number).filter(Boolean)
const folder = mkdtempSync(join(tmpdir(), 'tarspout-commits-'))
const at = (name) => join(folder, name)
const person = { NAME: 'a', EMAIL: 'a@b' }
const env = { ...process.env }
for (const role of ['AUTHOR', 'COMMITTER'])
  for (const key in person) env[`GIT_${role}_${key}`] = person[key]

const git = (repository, ...args) =>
  execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })

/** What commit `number` adds: a file, a hundred to a folder, so that no tree grows large. */
function fileOf(number) {
  const name = `part-${String(Math.floor(number / 100)).padStart(3, '0')}/${String(number).padStart(5, '0')}`
  return {
    name,
    body: `${JSON.stringify({ number, text: 'a message '.repeat(5 + (number % 50)) })}\n`,
  }
}

function archiveOf({ name, body }) {
  const header = encodeHeader({ name, size: body.length, mode: 0o600, mtime: new Date(0) })
  const padding = Buffer.alloc((512 - (body.length % 512)) % 512)
  return Buffer.concat([header, Buffer.from(body), padding, Buffer.alloc(1024)])
}

async function run(command, args, options = {}) {
  const child = spawn(command, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
    ...options,
  })
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
    this.child = spawn(process.execPath, args, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.lines = createInterface({ input: this.child.stdout })
    this.memory = watchMemory(this.child.pid)
  }

  /**
   * Runs a shell command that writes to the FIFO; settles once commit `number` is reported, which
   * is then on the disk.
   */
  async send(command, number) {
    const reached = new Promise((resolve) => {
      this.lines.on('line', (line) => line.startsWith(`commit ${number} `) && resolve())
    })
    await run('sh', ['-c', command])
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
 * Rounds of commits: all of a round through the FIFO; the first of it by plain git, on top of the
 * same history, with the shell writing the same files.
 */
async function measureCommits() {
  execFileSync('git', ['init', '--quiet', '--initial-branch=master', at('plain')])
  const receiver = new Receiver('store')
  const rows = []
  for (let from = 0; from < commits; from += ROUND) {
    const files = Array.from({ length: Math.min(ROUND, commits - from) }, (_, index) =>
      fileOf(from + index),
    )
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

    const tarspout =
      files.length / (await time(() => receiver.send('cat archives > fifo', from + files.length)))
    const plain =
      plainFiles.length / (await time(() => run('sh', ['-e', at('script')], { cwd: at('plain') })))
    rows.push([files.length, tarspout, plain])
    console.error(
      `${from + files.length} commits: ${tarspout.toFixed(0)}/s, plain git ${plain.toFixed(0)}/s`,
    )
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

/**
 * One archive of one large file; where plain git streams nothing, beside `git add` and `git commit`
 * of that file.
 */
async function measureLarge(mb) {
  await run('sh', ['-c', `seq 1000000000 | head -c ${mb}M > large`])
  const receiver = new Receiver('store-large')
  const seconds = await time(() => receiver.send('tar -b256 -cf fifo large', 1))
  const memory = await receiver.stop()
  if (git(at('store-large'), 'rev-parse', 'master:large') !== git(folder, 'hash-object', 'large'))
    throw new Error(`${mb} MiB are not what was sent`)
  const plain = mb <= PLAIN_MB ? await measurePlain() : undefined
  for (const name of ['store-large', 'plain-large', 'large'])
    rmSync(at(name), { recursive: true, force: true })
  console.error(`${mb} MiB: ${seconds.toFixed(1)} s`)
  return { mb, seconds, memory, plain }
}

async function measurePlain() {
  execFileSync('git', ['init', '--quiet', '--initial-branch=master', at('plain-large')])
  await run('mv', ['large', 'plain-large'])
  let memory = () => ({})
  const seconds = await time(async () => {
    const child = spawn('sh', ['-ec', 'git add large; git commit -q -m large'], {
      cwd: at('plain-large'),
      env,
      stdio: 'inherit',
    })
    memory = watchMemory(child.pid)
    await once(child, 'close')
  })
  return { seconds, memory: memory() }
}

const line = (cells) => `| ${cells.join(' | ')} |`

function machine() {
  return `at commit ${git(root, 'rev-parse', '--short', 'HEAD').trim()}: ${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()},
Node ${process.version}, ${execFileSync('git', ['--version'], { encoding: 'utf8' }).trim()}.`
}

function reportCommits({ rows, closing, packs }) {
  const perSecond = (number) => number.toFixed(0)
  const seconds = (side) => rows.reduce((sum, row) => sum + row[0] / row[side], 0)
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
Written by \`node bench/commit-store.js\` ${machine()} All commits went through a FIFO to
\`tarspout receive\`, ${ROUND} a round. Of each round plain git made the first ${PLAIN}, on top of the same history: \`git add\` and
\`git commit\` of the same file in a shell loop. The command checks that both made the same trees.

${table.join('\n')}

To end took the runner ${closing.toFixed(1)} s, and left ${packs} pack files.
`
}

function reportLarge(results) {
  const table = [
    line([
      'file',
      'tarspout',
      'its memory',
      'memory of its git',
      'plain git',
      'memory of plain git',
    ]),
    line(['---', '---', '---', '---', '---', '---']),
    ...results.map(({ mb, seconds, memory, plain }) =>
      line([
        `${mb} MiB`,
        `${seconds.toFixed(1)} s, ${(mb / seconds).toFixed(0)} MiB/s`,
        `${memory.node} MB`,
        `${memory.git} MB`,
        ...(plain ? [`${plain.seconds.toFixed(1)} s`, `${plain.memory.git} MB`] : ['-', '-']),
      ]),
    ),
  ]
  return `
Written by \`node bench/commit-store.js --commits 0\` ${machine()} GNU tar writes the file
to the FIFO; the time is up to the durable commit. Memory is the peak of the process. The command checks that the committed file is the one
that was sent. Plain git has no row beyond ${PLAIN_MB} MiB, where it compresses in another way.

${table.join('\n')}
`
}

function write(part, text) {
  const path = join(root, 'docs/runner.md')
  const marks = new RegExp(`(<!-- ${part} -->\n)[^]*(<!-- /${part} -->)`)
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(marks, (_, before, after) => `${before}${text}\n${after}`),
  )
}

try {
  execFileSync('mkfifo', [at('fifo')])
  if (commits > 0) {
    const text = reportCommits(await measureCommits())
    console.log(text)
    if (commits === COMMITS) write('commits', text)
  }
  if (sizes.length > 0) {
    const results = []
    for (const mb of sizes) results.push(await measureLarge(mb))
    const text = reportLarge(results)
    console.log(text)
    if (String(sizes) === String(LARGE)) write('large', text)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
