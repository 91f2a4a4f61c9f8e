import { setTimeout as delay } from 'node:timers/promises'
import { TarspoutError } from '../base/errors.js'

const TRIES = 6
const FIRST_PAUSE_MS = 5

/**
 * Opens, and some more times if the FIFO is busy: a process that is just being started has a copy
 * of a claim already given up, from its fork(2) to its execve(2).
 */
export async function openPatiently<T>(open: () => T): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return open()
    } catch (error) {
      if (!(error instanceof TarspoutError) || error.code !== 'ERR_FIFO_BUSY' || tries === TRIES)
        throw error
    }
    await delay(FIRST_PAUSE_MS * 2 ** (tries - 1))
  }
}
