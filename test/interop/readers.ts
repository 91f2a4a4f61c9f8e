// Seven readers, each turned into the same words. What a reader does not tell is undefined and is
// not compared.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser, type ReadEntry } from 'tar'
import tarStream from 'tar-stream'
import { TYPEFLAGS } from '../tar/header-oracle.js'
import type { Row } from './grid.js'

export interface Found {
  name?: string | undefined
  typeflag?: string | undefined
  size?: number | undefined
  mode?: number | undefined
  /** Nanoseconds since 1970. */
  mtime?: bigint | undefined
  /** Nanoseconds by which mtime may be off because of how the reader tells it. */
  mtimeWithin?: bigint
  uid?: number | undefined
  gid?: number | undefined
  uname?: string | undefined
  gname?: string | undefined
  linkname?: string | undefined
  devmajor?: number | undefined
  devminor?: number | undefined
  /** SHA-256 of the body. */
  body?: string | undefined
}

export interface Archive {
  path: string
  row: Row
}

export interface Reader {
  name: string
  /** Where the program comes from. */
  needs: string
  /** The version, or undefined if it is not installed. */
  version(): string | undefined
  /** What it makes of each archive; an Error where it refuses. */
  read(archives: Archive[]): Promise<(Found | Error)[]>
}

const S = 1_000_000_000n
const MS = 1_000_000n
const SOURCES = fileURLToPath(new URL('../../test/interop/', import.meta.url))
const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' }

function run(command: string, ...args: string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, args, { env, maxBuffer: 1 << 26 })
  if (error) throw error
  if (status !== 0)
    throw new Error(`${command} ended with ${status}: ${stderr.toString().slice(0, 300)}`)
  return stdout
}

function versionOf(command: string, ...args: string[]): string | undefined {
  const { error, stdout } = spawnSync(command, args, { env })
  return error ? undefined : (/\d+(\.\d+)+/.exec(stdout.toString())?.[0] ?? 'unknown')
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const isFile = (row: Row) => ['file', 'contiguous-file'].includes(row.entry.type ?? 'file')
const hasBody = (row: Row) => isFile(row) && row.hole === undefined

function attempt(
  read: (archive: Archive) => Found,
): (archives: Archive[]) => Promise<(Found | Error)[]> {
  return async (archives) =>
    archives.map((archive) => {
      try {
        return read(archive)
      } catch (error) {
        return error as Error
      }
    })
}

// drwxr-sr-t and its like.
function modeOf(letters: string): number {
  let mode = 0
  for (const [i, letter] of [...letters].entries()) {
    if (!'-ST'.includes(letter)) mode |= 0o400 >> i
    if ('sStT'.includes(letter)) mode |= 0o4000 >> Math.floor(i / 3)
  }
  return mode
}

// "2013-12-20 22:56:21.5"
function timeOf(text: string): bigint {
  const [seconds = '', fraction = ''] = text.split('.')
  return BigInt(Date.parse(`${seconds.replace(' ', 'T')}Z`)) * MS + BigInt(fraction.padEnd(9, '0'))
}

// "-1.5"
function decimalNs(text: string): bigint {
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  const ns = BigInt(whole) * S + BigInt(fraction.padEnd(9, '0'))
  return text.startsWith('-') ? -ns : ns
}

// tar -tv of GNU tar and busybox: mode, owner, size or device, time, name and target.
const LISTED =
  /^(.)(\S{9}) (\S+?)\/(\S+) +(\d+|\d+,\d+) (\d+-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?) ([\s\S]*)\n$/
const LETTERS: Record<string, string> = {
  '-': '0',
  h: '1',
  l: '2',
  c: '3',
  b: '4',
  d: '5',
  p: '6',
  C: '7',
}

interface Listed {
  letter: string
  mode: number
  owner: string
  group: string
  size: string
  time: string
  name: string
  linkname: string | undefined
}

function listed(text: string): Listed {
  const match = LISTED.exec(text)
  if (!match) throw new Error(`a listing of another form: ${text.slice(0, 200)}`)
  const [, letter = '', letters = '', owner = '', group = '', size = '', time = '', rest = ''] =
    match
  const [name = '', linkname] = rest.split(/ -> | link to /)
  return { letter, mode: modeOf(letters), owner, group, size, time, name, linkname }
}

const gnuTar: Reader = {
  name: 'GNU tar',
  needs: 'GNU tar (Debian: tar)',
  version: () => versionOf('tar', '--version'),
  read: attempt(({ path, row }) => {
    const style = ['--quoting-style=literal', '-P', '-tvf', path]
    const numbers = listed(run('tar', '--full-time', '--numeric-owner', ...style).toString())
    const names = listed(run('tar', ...style).toString())
    const [devmajor, devminor] = numbers.size.includes(',')
      ? numbers.size.split(',').map(Number)
      : []
    return {
      name: numbers.name,
      typeflag: LETTERS[numbers.letter],
      size: devmajor === undefined ? Number(numbers.size) : undefined,
      mode: numbers.mode,
      mtime: timeOf(numbers.time),
      uid: Number(numbers.owner),
      gid: Number(numbers.group),
      uname: /^\d+$/.test(names.owner) ? '' : names.owner,
      gname: /^\d+$/.test(names.group) ? '' : names.group,
      linkname: numbers.linkname,
      devmajor,
      devminor,
      body: hasBody(row) ? sha256(run('tar', '-P', '-xOf', path)) : undefined,
    }
  }),
}

const BUSYBOX_SIZES = 8 * 2 ** 30

const busybox: Reader = {
  name: 'busybox',
  needs: 'busybox (Debian: busybox)',
  version: () => versionOf('busybox'),
  read: attempt(({ path, row }) => {
    let archive = path
    if ((row.hole ?? 0) >= BUSYBOX_SIZES) {
      // It takes the body for the end of the archive and reads on to the end of the file: spare it
      // the hole.
      archive = `${path}.short`
      writeFileSync(archive, head(path).subarray(0, 4096))
    }
    const found = listed(run('busybox', 'tar', '-tvf', archive).toString())
    // One owner column: the name where there is one.
    const owner = (text: string) =>
      /^\d+$/.test(text) ? { id: Number(text), name: '' } : { id: undefined, name: text }
    const [user, group] = [owner(found.owner), owner(found.group)]
    return {
      name: found.name,
      // Its listing shows both kinds of link, and both kinds of file, by the permission bits'
      // letter.
      typeflag: ['-', 'l'].includes(found.letter) ? undefined : LETTERS[found.letter],
      size: ['c', 'b'].includes(found.letter) ? undefined : Number(found.size),
      mode: found.mode,
      mtime: timeOf(found.time),
      uid: user.id,
      gid: group.id,
      uname: user.name,
      gname: group.name,
      linkname: found.linkname,
      body: hasBody(row) ? sha256(run('busybox', 'tar', '-xOf', archive)) : undefined,
    }
  }),
}

const MTREE_TYPES: Record<string, string> = {
  file: '0',
  link: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
}

const bsdtar: Reader = {
  name: 'bsdtar',
  needs: 'bsdtar (Debian: libarchive-tools)',
  version: () => versionOf('bsdtar', '--version'),
  read: attempt(({ path, row }) => {
    if (row.hole !== undefined) {
      // The mtree form would read the whole hole.
      const match = /^-(\S{9}) +\d+ (\S+) +(\S+) +(\d+) .{12} (.*)\n$/s.exec(
        run('bsdtar', '-P', '-tvf', path).toString(),
      )
      if (!match) throw new Error('a listing of another form')
      const [, letters = '', uname, gname, size, name] = match
      return { name, size: Number(size), mode: modeOf(letters), uname, gname }
    }
    const options =
      '--options=!all,use-set=,type,mode,time,uid,gid,uname,gname,size,link,sha256,device'
    const words = run('bsdtar', '-P', '-cf', '-', '--format=mtree', options, `@${path}`)
      .toString()
      .replace(/^#mtree\n/, '')
      .replace(/ \\\n */g, ' ')
    const [name = '', ...pairs] = (
      words.split('\n').find((line) => !line.startsWith('/set')) ?? ''
    ).split(' ')
    const set = (/^\/set (.*)$/m.exec(words)?.[1] ?? '').split(' ')
    const facts = new Map([...set, ...pairs].map((pair) => pair.split('=') as [string, string]))
    const text = (key: string) => unescapeMtree(facts.get(key) ?? '')
    const [, devmajor, devminor] = (facts.get('device') ?? '').split(',').map(Number)
    return {
      // mtree names are relative.
      name: row.entry.name.startsWith('/')
        ? run('bsdtar', '-P', '-tf', path).toString().trimEnd()
        : unescapeMtree(name).replace(/^\.\//, ''),
      // mtree has no word for a hard link, nor for its target.
      typeflag: ['link', 'contiguous-file'].includes(row.entry.type ?? '')
        ? undefined
        : MTREE_TYPES[text('type')],
      size: isFile(row) ? Number(text('size')) : undefined,
      mode: Number.parseInt(text('mode'), 8),
      mtime: decimalNs(mtreeTime(text('time'))),
      uid: Number(text('uid')),
      gid: Number(text('gid')),
      uname: text('uname'),
      gname: text('gname'),
      linkname: row.entry.type === 'link' ? undefined : text('link'),
      devmajor,
      devminor,
      body: hasBody(row) ? text('sha256digest') : undefined,
    }
  }),
}

// "5.7" is five seconds and seven nanoseconds.
function mtreeTime(text: string): string {
  const [seconds = '', ns = ''] = text.split('.')
  return `${seconds}.${ns.padStart(9, '0')}`
}

function unescapeMtree(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString()
}

interface Told {
  entries?: (Omit<Found, 'mtime'> & { mtime: string })[]
  error?: string
}

function told(output: Buffer, archives: Archive[]): (Found | Error)[] {
  const lines = output.toString().trim().split('\n')
  return archives.map((_, i) => {
    const { entries, error } = JSON.parse(lines[i] ?? '{}') as Told
    const [entry, ...more] = entries ?? []
    if (!entry || more.length > 0) return new Error(error ?? `${entries?.length ?? 0} entries`)
    const { mtime, body, ...rest } = entry
    return { ...rest, mtime: BigInt(mtime), body: body ?? undefined }
  })
}

const python: Reader = {
  name: 'Python tarfile',
  needs: 'Python 3 (Debian: python3)',
  version: () => versionOf('python3', '--version'),
  async read(archives) {
    const found = told(
      run('python3', join(SOURCES, 'read.py'), ...archives.map(({ path }) => path)),
      archives,
    )
    // It keeps times as a double.
    return found.map((entry) => (entry instanceof Error ? entry : { ...entry, mtimeWithin: 1000n }))
  },
}

const go: Reader = {
  name: 'Go archive/tar',
  needs: 'Go (Debian: golang-go)',
  version: () => versionOf('go', 'version'),
  async read(archives) {
    const folder = mkdtempSync(join(tmpdir(), 'tarspout-go-'))
    try {
      const program = join(folder, 'read')
      run('go', 'build', '-o', program, join(SOURCES, 'read.go'))
      return told(run(program, ...archives.map(({ path }) => path)), archives)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

// The first bytes hold the whole header: a body that is a hole is not fed to readers that would
// read it all.
const HEAD = 2 ** 21

const nodeTar: Reader = {
  name: 'node-tar',
  needs: 'the dependency tar',
  version: () => dependencyVersion('tar'),
  read: (archives) =>
    Promise.all(
      archives.map(({ path, row }) => {
        return new Promise<Found | Error>((resolve) => {
          const parser = new Parser({
            onReadEntry: (entry: ReadEntry) => {
              const chunks: Buffer[] = []
              const found = (body?: string): Found => ({
                name: entry.path,
                typeflag: entry.header?.typeKey,
                size: entry.size,
                mode: entry.mode,
                mtime: entry.mtime && BigInt(entry.mtime.getTime()) * MS,
                mtimeWithin: MS,
                uid: entry.uid,
                gid: entry.gid,
                uname: entry.uname,
                gname: entry.gname,
                linkname: entry.linkpath,
                devmajor: entry.header?.devmaj,
                devminor: entry.header?.devmin,
                body,
              })
              if (!hasBody(row)) return resolve(found())
              entry.on('data', (chunk) => chunks.push(chunk as Buffer))
              entry.on('end', () => resolve(found(sha256(Buffer.concat(chunks)))))
            },
          })
          parser.on('error', resolve)
          parser.on('end', () => resolve(new Error('no entry')))
          parser.end(head(path))
        })
      }),
    ),
}

const extract: Reader = {
  name: 'tar-stream extract',
  needs: 'the development dependency tar-stream',
  version: () => dependencyVersion('tar-stream'),
  read: (archives) =>
    Promise.all(
      archives.map(({ path, row }) => {
        return new Promise<Found | Error>((resolve) => {
          const reader = tarStream.extract()
          reader.on(
            'entry',
            (
              { name, size, mode, mtime, uid, gid, uname, gname, linkname, type, ...rest },
              stream,
              next,
            ) => {
              const { devmajor, devminor } = rest as { devmajor?: number; devminor?: number }
              const found = (body?: string): Found => ({
                name,
                typeflag: TYPEFLAGS[type ?? ''],
                size,
                mode,
                mtime: mtime && BigInt(mtime.getTime()) * MS,
                uid,
                gid,
                uname,
                gname,
                linkname: linkname ?? '',
                devmajor,
                devminor,
                body,
              })
              if (!hasBody(row)) return resolve(found())
              const chunks: Buffer[] = []
              stream.on('data', (chunk) => chunks.push(chunk as Buffer))
              stream.on('end', () => {
                resolve(found(sha256(Buffer.concat(chunks))))
                next()
              })
            },
          )
          reader.on('error', resolve)
          reader.on('finish', () => resolve(new Error('no entry')))
          reader.end(head(path))
        })
      }),
    ),
}

function head(path: string): Buffer {
  return run('head', '-c', String(HEAD), path)
}

function dependencyVersion(name: string): string {
  const path = fileURLToPath(new URL(`../../node_modules/${name}/package.json`, import.meta.url))
  return JSON.parse(readFileSync(path, 'utf8')).version
}

export const READERS: Reader[] = [gnuTar, bsdtar, busybox, python, go, nodeTar, extract]
