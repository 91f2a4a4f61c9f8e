import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { TarspoutError } from '../base/errors.js'
import { show, storedPath } from '../names/entry-path.js'
import type { PipelineSpec } from '../spec/spec.js'
import { git, hashFiles } from '../store/git.js'
import type { GitStore } from '../store/git-store.js'
import { pull } from '../store/pull.js'
import { UserCode } from './user-code.js'
import { Workspace } from './workspace.js'

// setPipelineDefaults of Pachyderm.
const DATUM_TRIES = 3

/** What a datum's command wrote: each file and its blob. */
type Output = ReadonlyMap<string, string>

export interface JobEvent {
  readonly event: 'job'
  /** The first job of this run is 1. */
  readonly number: number
  /** The commit that was processed. */
  readonly input: string
  /** The commit it became. */
  readonly oid: string
  readonly datums: number
  /** Datums that were processed before, whose output was taken over. */
  readonly skipped: number
  readonly files: number
  readonly durationMs: number
}

export type ProcessorEvent =
  | JobEvent
  | { readonly event: 'failure'; readonly message: string; readonly entry: string | undefined }
  | { readonly event: 'output'; readonly stream: 'stdout' | 'stderr'; readonly line: string }

export interface ProcessorOptions {
  spec: PipelineSpec
  /** The repository it reads. */
  source: string
  store: GitStore
  /** Run the command in its image with this program, `docker` or `podman`. */
  container?: string | undefined
  onEvent: (event: ProcessorEvent) => void
  /** Hears what makes further jobs impossible: git failed, or the command is not there. */
  onFatal: (error: unknown) => void
}

/**
 * A pipeline that reads another's repository. Each commit there is a job: the datums that `glob`
 * tells apart are checked out to `<root>/pfs/<repo>`, the command runs for each that is new, and
 * all they wrote to `<root>/pfs/out` becomes one commit. What several datums wrote to one file is
 * put together in their order, as Pachyderm does.
 */
export class Processor {
  readonly name: string
  readonly #options: ProcessorOptions
  readonly #input: NonNullable<PipelineSpec['input']>
  readonly #outputs = new Map<string, Output>()
  readonly #stop = new AbortController()
  #queue: Promise<void> = Promise.resolve()
  #code: UserCode | undefined
  #jobs = 0
  #failures = 0

  /** @throws TarspoutError `ERR_SPEC` for an input that this runner does not have */
  constructor(options: ProcessorOptions) {
    this.#options = options
    this.name = options.spec.name
    this.#input = inputOf(options.spec)
  }

  get failures(): number {
    return this.#failures
  }

  /** Whether a commit on `branch` of `repo` is for this pipeline. */
  reads(repo: string, branch: string): boolean {
    return this.#input.repo === repo && this.#input.branch === branch
  }

  /** Adds a job for a commit; jobs run one after the other. */
  process(commit: string): void {
    this.#queue = this.#queue.then(() => this.#runJob(commit))
    this.#queue.catch((error) => this.#options.onFatal(error))
  }

  /** Waits for the jobs. */
  async drain(): Promise<void> {
    await this.#queue.catch(() => {}) // onFatal heard of it
  }

  /** Ends now: kills the command, drops the jobs that wait. */
  stop(): void {
    this.#stop.abort()
    this.#code?.kill()
  }

  async #runJob(commit: string): Promise<void> {
    if (this.#stop.signal.aborted) return
    const { source, store, onEvent } = this.#options
    const startedAt = performance.now()
    const job = randomUUID()
    try {
      const datums = await this.#datums(commit)
      const files = new Map<string, string[]>()
      let skipped = 0
      for (const { path, key } of datums) {
        const known = this.#outputs.get(key)
        if (known) skipped++
        const output = known ?? (await this.#runDatum(source, commit, path, job))
        if (output === undefined) return
        this.#outputs.set(key, output)
        for (const [file, blob] of output) files.set(file, [...(files.get(file) ?? []), blob])
      }
      const keys = new Set(datums.map(({ key }) => key))
      for (const key of this.#outputs.keys()) if (!keys.has(key)) this.#outputs.delete(key)
      const message = `job for ${this.#input.repo} ${commit.slice(0, 10)}\n\nInput: ${commit}\nDatums: ${datums.length}\n`
      const oid = await store.commitFiles(files, message)
      this.#jobs++
      onEvent({
        event: 'job',
        number: this.#jobs,
        input: commit,
        oid,
        datums: datums.length,
        skipped,
        files: files.size,
        durationMs: performance.now() - startedAt,
      })
    } catch (error) {
      if (this.#stop.signal.aborted) return
      if (!(error instanceof TarspoutError) || error.code !== 'ERR_ARCHIVE') throw error
      this.#fail(commit, error.message)
    }
  }

  /** The datums of a commit; the key says whether one is the same as in another commit. */
  async #datums(commit: string): Promise<{ path: string; key: string }[]> {
    const { source } = this.#options
    if (this.#input.glob === '/') {
      const tree = await git(['--git-dir', source, 'rev-parse', `${commit}^{tree}`])
      return [{ path: '', key: tree.trim() }]
    }
    const listing = await git(['--git-dir', source, 'ls-tree', '-z', commit])
    return listing
      .split('\0')
      .filter((line) => line !== '')
      .map((line) => ({ path: line.slice(line.indexOf('\t') + 1), key: line }))
  }

  async #runDatum(
    source: string,
    commit: string,
    path: string,
    job: string,
  ): Promise<Output | undefined> {
    const { spec, store, onEvent } = this.#options
    const name = this.#input.name
    for (let attempt = 1; ; attempt++) {
      const workspace = new Workspace()
      try {
        const input = join(workspace.pfs, name)
        const out = join(workspace.pfs, 'out')
        mkdirSync(input)
        mkdirSync(out)
        await pull(source, commit, path, input)
        if (this.#stop.signal.aborted) return undefined
        this.#code = new UserCode({
          transform: spec.transform,
          pfs: workspace.pfs,
          container: this.#options.container,
          env: (pfs) => ({
            PPS_PIPELINE_NAME: spec.name,
            ...spec.transform.env,
            [name]: join(pfs, name, path),
            [`${name}_COMMIT`]: commit,
            PACH_JOB_ID: job,
          }),
          onLine: (stream, line) => onEvent({ event: 'output', stream, line }),
        })
        const exit = await this.#code.exit
        this.#code.kill()
        if (exit.error) throw exit.error
        if (this.#stop.signal.aborted) return undefined
        if (
          exit.code !== null &&
          (exit.code === 0 || spec.transform.acceptReturnCode.includes(exit.code))
        ) {
          return await collect(store.path, out)
        }
        if (attempt === DATUM_TRIES) {
          this.#fail(
            commit,
            `the command ended with ${exit.signal ?? exit.code}, ${DATUM_TRIES} times (datum /${path})`,
          )
          return undefined
        }
      } finally {
        rmSync(join(workspace.pfs, name), { recursive: true, force: true })
        workspace.remove()
      }
    }
  }

  #fail(commit: string, message: string): void {
    this.#failures++
    const entry = undefined
    this.#options.onEvent({
      event: 'failure',
      message: `job for ${commit.slice(0, 10)}: ${message}`,
      entry,
    })
  }
}

/** @throws TarspoutError `ERR_SPEC` for an input that this runner does not have */
export function inputOf({ name, input }: PipelineSpec): NonNullable<PipelineSpec['input']> {
  if (input === undefined) {
    throw new TarspoutError('ERR_SPEC', `${name}: the runner knows an input of one "pfs" only`, {
      field: 'input',
    })
  }
  if (input.glob !== '/' && input.glob !== '/*') {
    const message = `${name}: the runner knows the globs / and /*, not ${show(input.glob)}`
    throw new TarspoutError('ERR_SPEC', message, { field: 'input.pfs.glob' })
  }
  return input
}

/**
 * Puts the files of a folder into a repository. Links and other special files are left out of what
 * was written.
 */
async function collect(repository: string, folder: string): Promise<Output> {
  const paths: string[] = []
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path)
    if (!entry.isFile())
      throw new TarspoutError('ERR_ARCHIVE', `${show(name)} in /pfs/out is no regular file`, {
        entry: name,
      })
    storedPath(name)
    paths.push(path)
  }
  paths.sort()
  const blobs = await hashFiles(repository, paths)
  return new Map(paths.map((path, index) => [relative(folder, path), blobs[index] ?? '']))
}
