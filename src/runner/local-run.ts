import { dirname, join } from 'node:path'
import type { ReaderGeneration, ReceiverProgress } from '../receiver/receiver.js'
import type { PipelineSpec } from '../spec/spec.js'
import type { CommitStore } from '../store/commit-store.js'
import { GitStore } from '../store/git-store.js'
import { PachctlStore } from '../store/pachctl-store.js'
import { inputOf, Processor, type ProcessorEvent } from './processor.js'
import { Runner, type RunnerEvent } from './runner.js'
import { Workspace } from './workspace.js'

export interface LocalRunOptions {
  /** Run the commands in their images with this program, `docker` or `podman`. */
  container?: string | undefined
  /** Folder that holds the spout's `pfs`; a temporary one by default. */
  root?: string | undefined
  /** Default 0o600. */
  fifoMode?: number | undefined
  generation?: ReaderGeneration | undefined
  commits?: number | undefined
}

/**
 * Where the spout's archives go: a git repository, or a repository of Pachyderm 2.x through
 * `pachctl`.
 */
export type Sink = 'git' | 'pachctl'

export interface PipelineResult {
  name: string
  /** Its repository. */
  path: string
  branch: string
  /** Commits made in this run. */
  count: number
}

/** A spout and the pipelines that process its commits, each with a repository of its own. */
export class LocalRun {
  readonly #spout: PipelineSpec
  readonly #others: readonly PipelineSpec[]
  readonly #repository: string
  readonly #fresh: boolean
  readonly #sink: Sink
  readonly #stop = new AbortController()
  readonly results: PipelineResult[] = []
  #runner: Runner | undefined
  #processors: Processor[] = []

  /**
   * @param repository of the spout; the others get theirs beside it. For `pachctl` the name of a
   * repository.
   */
  constructor(
    spout: PipelineSpec,
    others: readonly PipelineSpec[],
    repository: string,
    fresh: boolean,
    sink: Sink = 'git',
  ) {
    this.#sink = sink
    this.#spout = spout
    this.#others = others
    this.#repository = repository
    this.#fresh = fresh
  }

  /** Whether an archive or a job was not committed, or the command failed and nothing was. */
  get hasFailed(): boolean {
    const runner = this.#runner
    if (runner === undefined) return false
    const spoutFailed = runner.failures > 0 || (runner.commits === 0 && runner.isFailing)
    return spoutFailed || this.#processors.some(({ failures }) => failures > 0)
  }

  /** How far the spout's receiver is, if it is running. */
  get progress(): ReceiverProgress | undefined {
    return this.#runner?.progress
  }

  /**
   * Runs until the spout ends and all its commits are processed.
   *
   * @throws TarspoutError `ERR_STORE`, `ERR_SPEC` (an input or a glob that this runner does not
   * have), `ERR_STATE`; what spawn says of a command that is not there
   */
  async run(
    options: LocalRunOptions,
    onEvent: (pipeline: string, event: RunnerEvent | ProcessorEvent) => void,
  ): Promise<void> {
    for (const spec of this.#others) inputOf(spec) // before anything is made
    const stores: CommitStore[] = []
    const processors: Processor[] = []
    let fatal: { error: unknown } | undefined
    const onFatal = (error: unknown) => {
      fatal ??= { error }
      this.stop()
    }
    const announce = (
      { name, outputBranch: branch, transform }: PipelineSpec,
      path: string,
    ): PipelineResult => {
      const result = { name, path, branch, count: 0 }
      this.results.push(result)
      if (transform.image && options.container === undefined) {
        const message = `the command runs on this host, not in the image ${transform.image} (--docker runs it there)`
        onEvent(name, { event: 'note', message })
      }
      return result
    }
    const open = async (
      { name: author, outputBranch: branch, spout }: PipelineSpec,
      path: string,
    ) => {
      const store = await GitStore.open({
        path,
        branch,
        author,
        fresh: this.#fresh,
        overwrite: spout?.overwrite,
      })
      stores.push(store)
      return store
    }
    const { root, fifoMode, ...more } = options
    const workspace = new Workspace(root, fifoMode) // before a repository is made
    try {
      const { outputBranch: branch, spout } = this.#spout
      const store: CommitStore =
        this.#sink === 'git'
          ? await open(this.#spout, this.#repository)
          : new PachctlStore({ repo: this.#repository, branch, overwrite: spout?.overwrite })
      const result = announce(this.#spout, this.#repository)
      const show =
        (name: string, written: PipelineResult) => (event: RunnerEvent | ProcessorEvent) => {
          onEvent(name, event)
          if (event.event !== 'commit' && event.event !== 'job') return
          written.count++
          for (const each of processors)
            if (each.reads(name, written.branch)) each.process(event.oid)
        }
      const paths = new Map([[this.#spout.name, this.#repository]])
      for (const { name } of this.#others)
        paths.set(name, join(dirname(this.#repository), `${name}.git`))
      for (const spec of this.#others) {
        const path = paths.get(spec.name) ?? ''
        const own = await open(spec, path)
        const written = announce(spec, path)
        const source = paths.get(spec.input?.repo ?? '') ?? ''
        processors.push(
          new Processor({
            spec,
            source,
            store: own,
            container: options.container,
            onEvent: show(spec.name, written),
            onFatal,
          }),
        )
      }
      this.#processors = processors
      const runner = new Runner({
        spec: this.#spout,
        store,
        workspace,
        ...more,
        onEvent: show(this.#spout.name, result),
      })
      this.#runner = runner
      if (this.#stop.signal.aborted) return
      await runner.run()
      // In the order of the specifications; one that feeds an earlier one needs a second look.
      for (const _ of processors) for (const each of processors) await each.drain()
    } finally {
      for (const each of processors) each.stop()
      for (const each of processors) await each.drain()
      for (const each of stores) await each.close()
      workspace.remove()
    }
    if (fatal) throw fatal.error
  }

  /** Ends now: kills the commands, finishes commits that have begun. */
  stop(): void {
    this.#stop.abort()
    this.#runner?.stop()
    for (const each of this.#processors) each.stop()
  }
}
