import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Backoff } from '../base/backoff.js'
import { TarspoutError } from '../base/errors.js'
import {
  type ReaderGeneration,
  Receiver,
  type ReceiverEvent,
  type ReceiverProgress,
} from '../receiver/receiver.js'
import type { PipelineSpec } from '../spec/spec.js'
import type { CommitStore } from '../store/commit-store.js'
import { UserCode, type UserCodeExit } from './user-code.js'
import type { Workspace } from './workspace.js'

export type RunnerEvent =
  | ReceiverEvent
  | {
      readonly event: 'start'
      readonly pid: number | undefined
      readonly cmd: readonly string[]
      readonly pfs: string
    }
  | { readonly event: 'output'; readonly stream: 'stdout' | 'stderr'; readonly line: string }
  | {
      readonly event: 'exit'
      readonly code: number | null
      readonly signal: string | null
      /** Whether it is started again. */
      readonly restarts: boolean
    }
  | { readonly event: 'note'; readonly message: string }

export interface RunnerOptions {
  spec: PipelineSpec
  store: CommitStore
  workspace: Workspace
  /** Run the command in its image with this program, `docker` or `podman`. */
  container?: string | undefined
  /** Default `1.11.3`. */
  generation?: ReaderGeneration | undefined
  /** End after so many commits. */
  commits?: number | undefined
  onEvent: (event: RunnerEvent) => void
}

/**
 * Runs a spout as Pachyderm's worker does: a FIFO behind `<root>/pfs/out`, the marker in
 * `<root>/pfs/<marker>`, the command with its environment, restarted when it fails, and a receiver
 * that commits its archives.
 *
 * After an archive that is no tar, the newest generation starts all of it anew: the command is
 * killed, the FIFO goes.
 */
export class Runner {
  readonly #options: RunnerOptions
  readonly #stop = new AbortController()
  readonly #backoff = new Backoff()
  #code: UserCode | undefined
  #receiver: Receiver | undefined
  #commits = 0
  #failures = 0
  #isFailing = false

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  get commits(): number {
    return this.#commits + (this.#receiver?.commits ?? 0)
  }

  get failures(): number {
    return this.#failures + (this.#receiver?.failures ?? 0)
  }

  /** How far the receiver of this run of the spout is; a run after a broken archive begins at 0. */
  get progress(): ReceiverProgress | undefined {
    return this.#receiver?.progress
  }

  /** Whether the command failed when it ended last. */
  get isFailing(): boolean {
    return this.#isFailing
  }

  /**
   * Runs until `stop`, until the commits asked for are made, or until the command has ended with
   * success and its last archive is committed.
   *
   * @throws TarspoutError `ERR_STORE`, `ERR_STATE` (the root is in use); what spawn says of a
   * command that is not there
   */
  async run(): Promise<void> {
    const { workspace } = this.#options
    try {
      while (!this.#stop.signal.aborted && (await this.#runSpout(workspace)) === 'again') {
        await this.#backoff.pause(this.#stop.signal)
      }
    } finally {
      this.#code?.kill()
      await this.#code?.exit
    }
  }

  /** Ends now: kills the command, finishes a commit that has begun. */
  stop(): void {
    this.#stop.abort()
    this.#code?.kill()
    this.#receiver?.stop()
  }

  /** One run of the spout, with a FIFO of its own. */
  async #runSpout(workspace: Workspace): Promise<'again' | 'done'> {
    const { spec, store, generation, onEvent } = this.#options
    const marker = spec.spout?.marker
    const scratch = workspace.makeScratch()
    try {
      const path = join(scratch, 'out')
      await workspace.makeFifo(path)
      workspace.link('out', path)
      if (marker !== undefined) await this.#pullMarker(workspace, scratch, marker)
      const left =
        this.#options.commits === undefined ? undefined : this.#options.commits - this.commits
      const receiver = new Receiver({
        path,
        store,
        generation,
        marker,
        onEvent,
        commits: left,
        onBroken: 'throw',
      })
      this.#receiver = receiver
      if (this.#stop.signal.aborted) return 'done'
      const received = receiver.run()
      const code = this.#keepRunning(workspace, receiver)
      code.catch(() => receiver.stop()) // the command cannot be started
      try {
        await received
        return 'done'
      } catch (error) {
        if (!(error instanceof TarspoutError) || error.code !== 'ERR_ARCHIVE') throw error
        onEvent({
          event: 'note',
          message: 'the spout is killed and started anew, as Pachyderm does after a broken archive',
        })
        return 'again'
      } finally {
        this.#commits += receiver.commits
        this.#failures += receiver.failures
        this.#receiver = undefined
        this.#code?.kill()
        await code
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }

  /** Starts the command, again and again while it fails; then lets the receiver finish. */
  async #keepRunning(workspace: Workspace, receiver: Receiver): Promise<void> {
    const { spec, generation, onEvent } = this.#options
    const backoff = new Backoff()
    for (;;) {
      const code = new UserCode({
        transform: spec.transform,
        pfs: workspace.pfs,
        container: this.#options.container,
        env: () => ({
          PPS_PIPELINE_NAME: spec.name,
          ...spec.transform.env,
          ...(generation === '1.9' ? {} : { PACH_JOB_ID: 'spout' }),
        }),
        onLine: (stream, line) => onEvent({ event: 'output', stream, line }),
      })
      this.#code = code
      onEvent({ event: 'start', pid: code.pid, cmd: spec.transform.cmd, pfs: workspace.pfs })
      const exit = await code.exit
      if (this.#receiver !== receiver) return
      if (exit.error) throw exit.error
      const restarts = !this.#isFinal(exit)
      this.#isFailing = restarts
      if (!this.#stop.signal.aborted) {
        onEvent({ event: 'exit', code: exit.code, signal: exit.signal, restarts })
      }
      if (!restarts) break
      await backoff.pause(this.#stop.signal)
      if (this.#stop.signal.aborted || this.#receiver !== receiver) return
    }
    receiver.finish()
  }

  /** Whether Pachyderm would never start it again: it takes SIGPIPE for a success. */
  #isFinal({ code, signal }: UserCodeExit): boolean {
    if (signal === 'SIGPIPE') return true
    return (
      code !== null && (code === 0 || this.#options.spec.transform.acceptReturnCode.includes(code))
    )
  }

  async #pullMarker(workspace: Workspace, scratch: string, marker: string): Promise<void> {
    const { store, onEvent } = this.#options
    const target = join(scratch, marker)
    if ((await store.pullMarker(marker, scratch)) === 'missing') {
      const message = `markers were stored, but no ${marker}: Pachyderm could not start this spout again`
      onEvent({ event: 'note', message })
    }
    workspace.link(marker, target)
  }
}
