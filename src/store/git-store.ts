import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { TarspoutError } from '../base/errors.js'
import { makeFolders } from '../base/folders.js'
import { checkPaths, foldersOf, PathConflict } from '../names/path-conflict.js'
import { BlobReader } from './blob-reader.js'
import type { CommitRecord, CommitStore } from './commit-store.js'
import { FastImport, quotePath } from './fast-import.js'
import { git } from './git.js'
import { Packs } from './packs.js'
import { pull } from './pull.js'
import type { ReceivedArchive, ReceivedEntry } from './received-archive.js'
import { RepositoryLock } from './repository-lock.js'

/** Pachyderm's name for it (ppsconsts.SpoutMarkerBranch). */
export const MARKER_BRANCH = 'marker'
const MARK = ':1'

export interface GitStoreOptions {
  /** The bare repository; it is made if it is not there. */
  path: string
  /** The branch that archives are committed to. Default `master`. */
  branch?: string | undefined
  /** Replace a file that an entry names again, instead of appending to it. Default false. */
  overwrite?: boolean | undefined
  /** Name of the author of each commit. Default `tarspout`. */
  author?: string | undefined
  /** Forget the commits of earlier runs: both branches begin anew. Default false. */
  fresh?: boolean | undefined
}

/**
 * Commits to a bare git repository through `git fast-import`: an archive becomes a commit on the
 * output branch, with everything of its parent and the archive's files in it. Each entry of the
 * marker becomes one on the branch `marker`. Blobs, trees and commits are all that is ever written:
 * nothing an archive names is a path on the disk.
 *
 * One at a time: a lock keeps a second process out.
 */
export class GitStore implements CommitStore {
  readonly path: string
  readonly branch: string
  readonly #overwrite: boolean
  readonly #author: string
  readonly #lock: RepositoryLock
  readonly #heads = new Map<string, string>()
  #import: FastImport | undefined
  // The branches that the running import has a commit of: it goes on from there by itself.
  readonly #begun = new Set<string>()
  #blobs: BlobReader | undefined
  readonly #packs: Packs

  private constructor(options: GitStoreOptions, lock: RepositoryLock) {
    this.path = resolve(options.path)
    this.branch = options.branch ?? 'master'
    this.#overwrite = options.overwrite ?? false
    this.#author = (options.author ?? 'tarspout').replace(/[<>\n]/g, '')
    this.#lock = lock
    this.#packs = new Packs(this.path)
  }

  /** @throws TarspoutError `ERR_STORE` */
  static async open(options: GitStoreOptions): Promise<GitStore> {
    const path = resolve(options.path)
    const branch = options.branch ?? 'master'
    if (branch === MARKER_BRANCH)
      throw fault(`the output branch cannot be ${MARKER_BRANCH}, where markers go`, path)
    await git(['check-ref-format', '--branch', branch])
    if (!existsSync(path) || readdirSync(path).length === 0) {
      makeFolders(path)
      await git(['init', '--quiet', '--bare', `--initial-branch=${branch}`, path])
    }
    const bare = await git(['--git-dir', path, 'rev-parse', '--is-bare-repository'], [128])
    if (bare.trim() !== 'true') throw fault(`${path} is there and is no bare git repository`, path)
    const lock = await RepositoryLock.take(path)
    const store = new GitStore(options, lock)
    try {
      if (lock.isAfterCrash) store.#removeRemains()
      await store.#start(options.fresh ?? false)
    } catch (error) {
      await lock.release()
      throw error
    }
    return store
  }

  /** The head of the output branch (or another), or undefined if it has no commit. */
  head(branch = this.branch): string | undefined {
    return this.#heads.get(branch)
  }

  /**
   * Commits an archive: all of it or nothing. Once it settles, commit and branch are on the disk
   * (fsync).
   *
   * @throws TarspoutError `ERR_ARCHIVE` for a path that is a file and a folder; `ERR_STORE` if git
   * failed.
   */
  async commit(archive: ReceivedArchive): Promise<CommitRecord> {
    const files = archive.entries.filter((entry) => !entry.isMarker)
    const markers = archive.entries.filter((entry) => entry.isMarker)
    await this.#startImport()
    const received = performance.now() - archive.startedAt
    const subject = `${count(archive.entries.length, 'entry', 'entries')}, ${count(archive.bytes, 'byte', 'bytes')}`
    const facts = [
      `Entries: ${archive.entries.length}`,
      `Bytes: ${archive.bytes}`,
      `Received-ms: ${received.toFixed(1)}`,
    ]
    const message = `${subject}\n\n${facts.join('\n')}\n`
    try {
      const branches = [this.branch]
      await this.#addCommit(this.branch, message, files, archive, this.#overwrite)
      for (const marker of markers) {
        await this.#addCommit(MARKER_BRANCH, `marker ${marker.path}\n`, [marker], archive, true)
        branches[1] = MARKER_BRANCH
      }
      await this.#checkpoint(branches)
    } catch (error) {
      if (!(error instanceof PathConflict)) throw await this.#giveUp(error)
      await this.#forget()
      throw error
    }
    return {
      oid: this.#heads.get(this.branch) ?? '',
      branch: this.branch,
      entries: archive.entries.length,
      bytes: archive.bytes,
      markers: markers.length,
      durationMs: performance.now() - archive.startedAt,
    }
  }

  /**
   * Commits files to the output branch, in place of everything that is there. A file of several
   * blobs is these, one behind the other; the blobs are in the repository.
   *
   * @throws TarspoutError `ERR_ARCHIVE` for a path that is a file and a folder; `ERR_STORE` if git
   * failed.
   */
  async commitFiles(
    files: ReadonlyMap<string, readonly string[]>,
    message: string,
  ): Promise<string> {
    checkPaths(files.keys(), foldersOf(files.keys()))
    await this.#startImport()
    try {
      await this.#beginCommit(this.branch, message)
      await this.#git.write('deleteall\n')
      for (const [path, [blob, ...more]] of files) {
        if (more.length === 0) await this.#git.write(`M 100644 ${blob} ${quotePath(path)}\n`)
        else await this.#addBlobs(path, [blob ?? '', ...more])
      }
      await this.#endCommit(this.branch)
      await this.#checkpoint([this.branch])
    } catch (error) {
      throw await this.#giveUp(error)
    }
    return this.#heads.get(this.branch) ?? ''
  }

  get spoolFolder(): string {
    return this.path
  }

  async pullMarker(marker: string, folder: string): Promise<'pulled' | 'none' | 'missing'> {
    const head = this.#heads.get(MARKER_BRANCH)
    if (head === undefined) return 'none'
    return (await pull(this.path, head, marker, folder)) > 0 ? 'pulled' : 'missing'
  }

  async close(): Promise<void> {
    await this.#endRound()
    await this.#lock.release()
  }

  async #start(fresh: boolean): Promise<void> {
    for (const branch of [this.branch, MARKER_BRANCH]) {
      const ref = `refs/heads/${branch}`
      if (fresh) await git(['--git-dir', this.path, 'update-ref', '-d', ref])
      const head = (
        await git(['--git-dir', this.path, 'rev-parse', '--verify', '--quiet', ref], [1])
      ).trim()
      if (head !== '') this.#heads.set(branch, head)
    }
    this.#packs.count()
    // Else a spout that is tried again and again fills the disk with commits that no branch leads
    // to.
    if (fresh) await this.#packs.collectGarbage()
  }

  async #startImport(): Promise<void> {
    if (this.#packs.areMany) await this.#endRound()
    if (this.#import !== undefined) return
    this.#begun.clear()
    this.#import = new FastImport(this.path)
  }

  /** Ends the processes that have packs open, and puts the small packs together. */
  async #endRound(): Promise<void> {
    this.#blobs?.close()
    this.#blobs = undefined
    await this.#import?.close()
    this.#import = undefined
    await this.#packs.putTogether()
  }

  get #git(): FastImport {
    if (this.#import === undefined) throw fault('the store is closed', this.path)
    return this.#import
  }

  /** Sends one commit. It is nowhere to be seen before the checkpoint. */
  async #addCommit(
    branch: string,
    message: string,
    entries: readonly ReceivedEntry[],
    archive: ReceivedArchive,
    overwrite: boolean,
  ): Promise<void> {
    await this.#beginCommit(branch, message)
    const bodies = gather(entries, overwrite)
    const olds = await this.#look(bodies, this.#heads.has(branch), overwrite)
    for (const [path, parts] of bodies) await this.#addFile(path, parts, olds.get(path), archive)
    await this.#endCommit(branch)
  }

  async #beginCommit(branch: string, message: string): Promise<void> {
    const seconds = Math.floor(Date.now() / 1000)
    const head = this.#heads.get(branch)
    const from = head === undefined || this.#begun.has(branch) ? '' : `from ${head}\n`
    this.#begun.add(branch)
    await this.#git.write(
      `commit refs/heads/${branch}\nmark ${MARK}\ncommitter ${this.#author} <spout@tarspout> ${seconds} +0000\n` +
        `data ${Buffer.byteLength(message)}\n${message}${from}`,
    )
  }

  async #endCommit(branch: string): Promise<void> {
    await this.#git.write('\n')
    this.#heads.set(branch, await this.#git.ask(`get-mark ${MARK}\n`))
  }

  async #addBlobs(path: string, blobs: readonly string[]): Promise<void> {
    const check = ['--git-dir', this.path, 'cat-file', '--batch-check=%(objectsize)']
    const sizes = (await git(check, [], blobs.map((blob) => `${blob}\n`).join('')))
      .trim()
      .split('\n')
    const size = sizes.reduce((sum, each) => sum + Number(each), 0)
    await this.#git.write(`M 100644 inline ${quotePath(path)}\ndata ${size}\n`)
    this.#blobs ??= new BlobReader(this.path)
    for (const blob of blobs) {
      for await (const piece of this.#blobs.content(await this.#blobs.open(blob)))
        await this.#git.write(piece)
    }
    await this.#git.write('\n')
  }

  /** The blobs that are appended to, and whether a path is a file here and a folder there. */
  async #look(
    bodies: ReadonlyMap<string, readonly ReceivedEntry[]>,
    hasParent: boolean,
    overwrite: boolean,
  ): Promise<Map<string, string>> {
    const folders = foldersOf(bodies.keys())
    checkPaths(bodies.keys(), folders)
    const paths = hasParent ? [...bodies.keys(), ...folders] : []
    const answers = await Promise.all(paths.map((path) => this.#git.ask(`ls ${quotePath(path)}\n`)))
    const olds = new Map<string, string>()
    for (const [index, path] of paths.entries()) {
      const [mode, , oid] = (answers[index] ?? '').split(/[ \t]/, 3)
      if (mode === undefined || oid === undefined || mode === 'missing') continue
      const isFolder = mode === '040000'
      if (folders.has(path) && !isFolder)
        throw new PathConflict(path, 'a file in the parent commit')
      // Overwriting a folder with a file is what Pachyderm allows.
      if (bodies.has(path) && isFolder && !overwrite)
        throw new PathConflict(path, 'a folder in the parent commit')
      if (!isFolder && !overwrite) olds.set(path, oid)
    }
    return olds
  }

  async #addFile(
    path: string,
    parts: readonly ReceivedEntry[],
    old: string | undefined,
    archive: ReceivedArchive,
  ): Promise<void> {
    let oldSize = 0
    if (old !== undefined) {
      this.#blobs ??= new BlobReader(this.path)
      oldSize = await this.#blobs.open(old)
    }
    const size = parts.reduce((sum, part) => sum + part.size, oldSize)
    await this.#git.write(`M 100644 inline ${quotePath(path)}\ndata ${size}\n`)
    if (old !== undefined && this.#blobs !== undefined) {
      for await (const piece of this.#blobs.content(oldSize)) await this.#git.write(piece)
    }
    for (const part of parts) {
      for (const piece of archive.spool.read(part.offset, part.size)) await this.#git.write(piece)
    }
    await this.#git.write('\n')
  }

  async #checkpoint(branches: readonly string[]): Promise<void> {
    await this.#git.ask('checkpoint\nprogress durable\n')
    this.#packs.added()
    // git syncs files, not the folders it renames them into.
    const folders = branches.map((branch) => dirname(join(this.path, 'refs/heads', branch)))
    await Promise.all([this.#packs.folder, ...folders].map(syncFolder))
    for (const branch of branches) {
      const head = this.#heads.get(branch)
      if ((await this.#readRef(branch)) !== head) {
        throw fault(
          `refs/heads/${branch} did not become ${head}: ${this.#git.complaint}`,
          this.path,
        )
      }
    }
  }

  async #readRef(branch: string): Promise<string> {
    try {
      return readFileSync(join(this.path, 'refs/heads', branch), 'latin1').trim()
    } catch {
      return (await git(['--git-dir', this.path, 'rev-parse', `refs/heads/${branch}`])).trim()
    }
  }

  /**
   * Removes what git leaves behind when it is killed: half a pack, and locks that keep every later
   * git out.
   */
  #removeRemains(): void {
    this.#packs.removeUnfinished()
    const refs = ['HEAD', 'packed-refs', `refs/heads/${this.branch}`, `refs/heads/${MARKER_BRANCH}`]
    for (const name of [...refs, 'gc.pid', 'objects/info/commit-graph'])
      rmSync(join(this.path, `${name}.lock`), { force: true })
  }

  /** Forgets what was sent since the last checkpoint. */
  async #forget(): Promise<void> {
    await this.#import?.kill()
    this.#import = undefined
    this.#removeRemains()
    this.#heads.clear()
    await this.#start(false)
  }

  async #giveUp(error: unknown): Promise<unknown> {
    await this.#import?.kill()
    this.#import = undefined
    return error instanceof TarspoutError
      ? error
      : fault((error as Error).message, this.path, error)
  }
}

function fault(message: string, path: string, cause?: unknown): TarspoutError {
  return new TarspoutError('ERR_STORE', message, { path, cause })
}

async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The entries of each path: all of them, or with `overwrite` the last. */
function gather(
  entries: readonly ReceivedEntry[],
  overwrite: boolean,
): Map<string, ReceivedEntry[]> {
  const bodies = new Map<string, ReceivedEntry[]>()
  for (const entry of entries) {
    const parts = bodies.get(entry.path)
    if (parts === undefined || overwrite) bodies.set(entry.path, [entry])
    else parts.push(entry)
  }
  return bodies
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`
}
