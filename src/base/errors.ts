/**
 * Every code a {@link TarspoutError} can carry. The set is closed: match `code`, never the text of
 * a message. Failures of the system keep Node's shape instead (`code: 'EACCES'`, `errno`,
 * `syscall`, `path`), an abort is an `AbortError` whose `cause` is the signal's reason, and a wrong
 * argument is a `TypeError` or `RangeError`.
 */
export type TarspoutErrorCode =
  | 'ERR_ADDON_LOAD' // the native addon cannot be loaded; the message says how to repair it
  | 'ERR_FIFO_NOT_A_FIFO' // the path is there and is something else
  | 'ERR_FIFO_NO_READER' // readerTimeoutMs ran out before a reader came
  | 'ERR_FIFO_READER_LOST' // the reader left with bytes unread, and there is nothing to send again
  | 'ERR_FIFO_BUSY' // another tarspout writes this FIFO
  | 'ERR_FIFO_REMOVED' // the FIFO was removed and did not come back
  | 'ERR_DELIVERY_UNCERTAIN' // sent maxAttempts times, never confirmed
  | 'ERR_REPLAY_LIMIT' // doubt about an archive whose bytes were released for lack of room
  | 'ERR_TAR_NAME' // an entry's name cannot be sent
  | 'ERR_TAR_FIELD' // another field of an entry cannot be encoded
  // a size that no entry has, or a body that does not have the size it was declared with
  | 'ERR_TAR_SIZE'
  | 'ERR_TAR_BODY' // a body is of no usable type, failed while it was read, or was detached
  | 'ERR_STATE' // a call the object's state does not allow
  | 'ERR_SPEC' // a pipeline specification has faults
  | 'ERR_ARCHIVE' // a received archive is no valid tar or was refused
  | 'ERR_STORE' // the commit store (git) failed

export interface TarspoutErrorDetails {
  cause?: unknown
  /** The path of the FIFO or file the error is about. */
  path?: string | undefined
  /** The name of the entry the error is about. */
  entry?: string | undefined
  /** The field (of an entry, a specification, an options object) the error is about. */
  field?: string | undefined
  /** Position in bytes, where there is one. */
  offset?: number | undefined
}

/**
 * The one error class of this package. What failed is in `code`; the message says what, where,
 * expected and found.
 */
export class TarspoutError extends Error {
  readonly code: TarspoutErrorCode
  declare readonly path?: string
  declare readonly entry?: string
  declare readonly field?: string
  declare readonly offset?: number

  constructor(code: TarspoutErrorCode, message: string, details: TarspoutErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    if (details.path !== undefined) this.path = details.path
    if (details.entry !== undefined) this.entry = details.entry
    if (details.field !== undefined) this.field = details.field
    if (details.offset !== undefined) this.offset = details.offset
  }

  static {
    // On the prototype, as Node's own errors have it: instances stay free of a `name` of their own.
    TarspoutError.prototype.name = 'TarspoutError'
  }
}
