// docs/performance.md, whose figures are written by commands only, and what it says of the machine.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = dirname(dirname(fileURLToPath(import.meta.url)))
const root = dirname(bench)
const path = join(root, 'docs/performance.md')
export const chartPath = join(root, 'docs/performance.svg')

function firstLine(command, ...args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n')[0]
  } catch {
    return `${command} not found`
  }
}

/** The machine, the versions, the date and the command of a run. */
export function describe() {
  const packages = { tarspout: JSON.parse(readFileSync(join(root, 'package.json'))).version }
  const commit = firstLine('git', '-C', root, 'rev-parse', '--short', 'HEAD')
  if (/^[0-9a-f]+$/.test(commit)) packages.tarspout += ` (${commit})`
  for (const name of Object.keys(
    JSON.parse(readFileSync(join(bench, 'package.json'))).dependencies,
  )) {
    packages[name] = JSON.parse(
      readFileSync(join(bench, 'node_modules', name, 'package.json')),
    ).version
  }
  return {
    machine: {
      cpus: cpus().length,
      model: cpus()[0].model.trim(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
    },
    versions: {
      node: process.versions.node,
      packages,
      compiler: firstLine('cc', '--version'),
      tar: firstLine('tar', '--version'),
    },
    date: new Date().toISOString().slice(0, 10),
    command: [
      'npm run bench',
      ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : []),
    ].join(' '),
  }
}

/** The lines on the machine that stand above all figures. */
export function machineLines({ machine, versions }) {
  return [
    `Machine: ${machine.cpus} x ${machine.model}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    `Node ${versions.node}; ${Object.entries(versions.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    `${versions.compiler}; ${versions.tar}`,
  ]
}

export const table = (heads, rows, aligned = heads.map(() => '---')) =>
  [heads, aligned, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** Puts what a command measured between the lines of the page that name it. */
export function writeFigures(command, figures) {
  const begin = `<!-- figures: written by ${command} -->`
  const end = '<!-- end of figures -->'
  const document = readFileSync(path, 'utf8')
  const from = document.indexOf(begin)
  const to = document.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`${path} lacks the lines ${begin} and ${end}`)
  writeFileSync(
    path,
    `${document.slice(0, from + begin.length)}\n\n${figures}\n\n${document.slice(to)}`,
  )
}
