import { execFileSync } from 'node:child_process'

/** Makes a FIFO; Node has no call for it. */
export function mkfifo(path: string): void {
  execFileSync('mkfifo', [path])
}
