import { getSystemErrorMap } from 'node:util'
import { abortError } from '../base/abort.js'
import { TarspoutError } from '../base/errors.js'

/** Why an archive or a channel failed: native/engine/messages.h, `Failure`, in its order. */
export const FAILURES = [
  'none',
  'no-reader',
  'reader-lost',
  'uncertain',
  'replay-limit',
  'removed',
  'not-a-fifo',
  'busy',
  'memory',
  'aborted',
  'system',
] as const
export type Failure = (typeof FAILURES)[number]

/** What the message of a failure can say. */
export interface FailureFacts {
  path: string
  errno?: number
  attempts?: number
  readerTimeoutMs?: number
  retainBytes?: number
  /** Of the signal that aborted, if one did. */
  reason?: unknown
}

/**
 * The error for a failure: a TarspoutError, an AbortError, or an error of Node's shape for a
 * failure of the system.
 */
export function failureError(failure: Failure, facts: FailureFacts): Error {
  const { path, attempts = 0 } = facts
  switch (failure) {
    case 'no-reader':
      return new TarspoutError(
        'ERR_FIFO_NO_READER',
        `no reader opened the FIFO ${path} within readerTimeoutMs (${facts.readerTimeoutMs} ms)`,
        { path },
      )
    case 'reader-lost':
      return new TarspoutError(
        'ERR_FIFO_READER_LOST',
        `the reader of the FIFO ${path} left before it had read everything written`,
        { path },
      )
    case 'uncertain':
      return new TarspoutError(
        'ERR_DELIVERY_UNCERTAIN',
        `the archive was sent ${attempts} times into the FIFO ${path} and never confirmed: each time a reader came or ` +
          'left in its middle. It may have been committed',
        { path },
      )
    case 'replay-limit':
      return new TarspoutError(
        'ERR_REPLAY_LIMIT',
        `the archive may not have been delivered through the FIFO ${path}, and it cannot be sent again: it is larger ` +
          `than retainBytes (${facts.retainBytes}). Make archives smaller, or set spill: true`,
        { path },
      )
    case 'removed':
      return new TarspoutError(
        'ERR_FIFO_REMOVED',
        `the FIFO ${path} was removed and did not come back`,
        {
          path,
        },
      )
    case 'not-a-fifo':
      return new TarspoutError(
        'ERR_FIFO_NOT_A_FIFO',
        `${path} must be a FIFO; something else is there`,
        {
          path,
        },
      )
    case 'busy':
      return new TarspoutError(
        'ERR_FIFO_BUSY',
        `another tarspout writes the FIFO ${path}: two writers would mix their archives`,
        { path },
      )
    case 'memory':
      return new TarspoutError(
        'ERR_TAR_BODY',
        'a body given to add() was detached or resized before its archive was delivered: what was sent of it is not ' +
          'what was given',
        { path },
      )
    case 'aborted':
      return abortError(facts.reason)
    case 'system':
    case 'none':
      return systemError(facts.errno ?? 0, 'open', path)
  }
}

function systemError(errno: number, syscall: string, path: string): Error {
  const [code, description] = getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error']
  return Object.assign(new Error(`${code}: ${description}, ${syscall} '${path}'`), {
    errno: -errno,
    code,
    syscall,
    path,
  })
}
