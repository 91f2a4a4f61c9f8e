import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Lines } from './lines.js'

/**
 * Stops a process where it is (SIGSTOP), and settles once every thread stands still; SIGCONT goes
 * on.
 */
export async function pause(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP')
  const tasks = `/proc/${child.pid}/task`
  const stands = (task: string) =>
    /^State:\s+T/m.test(readFileSync(`${tasks}/${task}/status`, 'utf8'))
  while (!readdirSync(tasks).every(stands)) await delay(1)
}

/** A script of test/spout/children in its own process, which tells what it does line by line. */
export class Child {
  readonly process: ChildProcess
  readonly #lines: Lines
  #stderr = ''

  constructor(script: string, words: readonly string[] = [], nodeOptions: readonly string[] = []) {
    const path = fileURLToPath(new URL(`../spout/children/${script}.js`, import.meta.url))
    this.process = spawn(process.execPath, [...nodeOptions, path, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text
    })
    this.#lines = new Lines(this.process.stdout)
  }

  /** Waits for the next line that begins so; fails if the process ends first. */
  async line(beginning: string): Promise<string> {
    try {
      return await this.#lines.next(beginning)
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#stderr}`)
    }
  }

  /** Every line so far. */
  get lines(): readonly string[] {
    return this.#lines.all
  }

  get stderr(): string {
    return this.#stderr
  }

  /**
   * Settles with the exit code, or the signal the process died of; kills it if that takes longer
   * than `limitMs`.
   */
  async ended(limitMs = 20_000): Promise<number | string | null> {
    const limit = setTimeout(() => this.process.kill('SIGKILL'), limitMs)
    if (this.process.exitCode === null && this.process.signalCode === null)
      await once(this.process, 'exit')
    clearTimeout(limit)
    return this.process.signalCode ?? this.process.exitCode
  }

  pause(): Promise<void> {
    return pause(this.process)
  }

  kill(): void {
    this.process.kill('SIGKILL')
  }
}
