import { TarspoutError } from '../base/errors.js'
import type { Body, BodyChunk } from './entry.js'

/** What an error about a body can say of its entry. */
export interface BodyContext {
  /** The entry's name. */
  entry?: string | undefined
}

/**
 * The bytes of a body that is there as a whole, or undefined for an iterable. Views share the
 * memory they view; strings are encoded, and what lies in a SharedArrayBuffer is copied, since
 * another thread may change it while it is sent.
 *
 * @throws TypeError for any other type
 * @throws TarspoutError ERR_TAR_BODY if the memory was detached
 */
export function bytesOf(body: Body, context: BodyContext = {}): Uint8Array | undefined {
  const bytes = chunkBytes(body, context)
  if (bytes !== undefined) return bytes
  if (isIterable(body)) return undefined
  throw new TypeError(
    `${subject(context, 'data')} must be a string, a Buffer, a typed array, a DataView, an ArrayBuffer, ` +
      `a SharedArrayBuffer or an (async) iterable of them, found ${describe(body)}`,
  )
}

/**
 * The bytes of one piece. Throws as {@link bytesOf}, and TypeError for an iterable: pieces are not
 * nested.
 */
export function toBytes(chunk: BodyChunk, context: BodyContext = {}): Uint8Array {
  const bytes = chunkBytes(chunk, context)
  if (bytes !== undefined) return bytes
  throw new TypeError(
    `${subject(context, 'a piece of data')} must be a string, a Buffer, a typed array, a DataView, an ArrayBuffer or ` +
      `a SharedArrayBuffer, found ${describe(chunk)}`,
  )
}

/** What ends reading a body early. */
export interface ReadOptions extends BodyContext {
  /**
   * Aborting ends the wait for the next piece at once with an AbortError (`cause`: the signal's
   * reason).
   */
  signal?: AbortSignal | undefined
}

/** A body's pieces as they come. Stopping early closes the source. Throws as {@link gather}. */
export async function* pieces(
  body: Body,
  context: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = bytesOf(body, context)
  if (whole !== undefined) {
    yield whole
    return
  }
  const source = body as Iterable<BodyChunk> | AsyncIterable<BodyChunk>
  const iterator =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  const aborted = abortion(context.signal)
  let ended = false
  try {
    for (;;) {
      const step = await aborted.orAbort(nextOf(iterator, context))
      if (step.done) {
        ended = true
        return
      }
      yield toBytes(step.value, context)
    }
  } finally {
    aborted.forget()
    // A source that is asked for a piece may answer never, and would not close before.
    const closed = ended ? undefined : closeIterator(iterator)
    if (!context.signal?.aborted) await closed
  }
}

// Ends one wait at a time early. No Promise.race() with one promise for all: that would keep every
// piece until the end.
function abortion(signal: AbortSignal | undefined): {
  orAbort<T>(wait: Promise<T>): Promise<T>
  forget(): void
} {
  if (signal === undefined) return { orAbort: (wait) => wait, forget() {} }
  let reject: (error: Error) => void = () => {}
  const abort = () => {
    const error = new Error('The operation was aborted', { cause: signal.reason })
    reject(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }))
  }
  signal.addEventListener('abort', abort, { once: true })
  return {
    orAbort: (wait) =>
      new Promise((resolve, no) => {
        reject = no
        if (signal.aborted) abort()
        wait.then(resolve, no)
      }),
    forget: () => signal.removeEventListener('abort', abort),
  }
}

/**
 * Collects a body whose size is not known beforehand.
 *
 * @param body what {@link bytesOf} takes; a body that is there as a whole comes back without
 * copying
 * @param context `size`: how many bytes are expected; more end the source at once. `signal`: see
 * {@link ReadOptions}
 * @returns settles when the source ended, with all bytes in order
 * @throws TypeError for a body or a piece of another type; the source is closed
 * @throws TarspoutError ERR_TAR_BODY if the source failed (`cause`) or memory was detached;
 *   ERR_TAR_SIZE if `size` is given and the body has another
 */
export async function gather(
  body: Body,
  context: ReadOptions & { size?: number | undefined } = {},
): Promise<Uint8Array> {
  const { size = Number.POSITIVE_INFINITY } = context
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const piece of pieces(body, context)) {
    bytes += piece.byteLength
    if (bytes > size) throw wrongSize(context, size, `at least ${bytes}`)
    if (piece.byteLength > 0) parts.push(piece)
  }
  if (context.size !== undefined && bytes !== size) throw wrongSize(context, size, String(bytes))
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, bytes)
}

/**
 * The error for a body that has not the size it was declared with. `found` is a number, or words
 * about one.
 */
export function wrongSize(context: BodyContext, size: number, found: string): TarspoutError {
  return new TarspoutError(
    'ERR_TAR_SIZE',
    `Size mismatch: ${subject(context, 'data')} must have the ${size} bytes its header states, found ${found}`,
    { entry: context.entry, field: 'size' },
  )
}

function chunkBytes(chunk: unknown, context: BodyContext): Uint8Array | undefined {
  if (typeof chunk === 'string') return Buffer.from(chunk)
  if (ArrayBuffer.isView(chunk)) return viewBytes(chunk, context)
  if (chunk instanceof ArrayBuffer) return viewBytes(viewOf(chunk, context), context)
  if (chunk instanceof SharedArrayBuffer) return new Uint8Array(chunk).slice()
  return undefined
}

/**
 * Whether the memory of an empty view was detached; it would then not be meant to be empty. Node 20
 * has no `detached`.
 */
export function isDetached(view: ArrayBufferView): boolean {
  if (view.buffer.byteLength > 0) return false
  try {
    new Uint8Array(view.buffer)
    return false
  } catch {
    return true
  }
}

function viewBytes(view: ArrayBufferView, context: BodyContext): Uint8Array {
  const { buffer } = view
  if (buffer instanceof SharedArrayBuffer) {
    return new Uint8Array(buffer, view.byteOffset, view.byteLength).slice()
  }
  // Node 20 has no ArrayBuffer.prototype.detached; a new view says it, and only an empty one has to
  // be asked.
  if (byteLengthOf(view, context) === 0) viewOf(buffer, context)
  return view instanceof Uint8Array
    ? view
    : new Uint8Array(buffer, view.byteOffset, view.byteLength)
}

// A DataView of detached memory throws where a typed array says 0.
function byteLengthOf(view: ArrayBufferView, context: BodyContext): number {
  try {
    return view.byteLength
  } catch (cause) {
    throw detached(context, cause)
  }
}

function viewOf(buffer: ArrayBuffer, context: BodyContext): Uint8Array {
  try {
    return new Uint8Array(buffer)
  } catch (cause) {
    throw detached(context, cause)
  }
}

function detached(context: BodyContext, cause: unknown): TarspoutError {
  return new TarspoutError(
    'ERR_TAR_BODY',
    `${subject(context, 'data')} was detached (transferred or resized away)`,
    {
      cause,
      entry: context.entry,
      field: 'data',
    },
  )
}

async function nextOf(
  iterator: Iterator<BodyChunk> | AsyncIterator<BodyChunk>,
  context: BodyContext,
): Promise<IteratorResult<BodyChunk>> {
  try {
    return await iterator.next()
  } catch (cause) {
    throw new TarspoutError(
      'ERR_TAR_BODY',
      `${subject(context, 'data')} failed while it was read: ${messageOf(cause)}`,
      {
        cause,
        entry: context.entry,
        field: 'data',
      },
    )
  }
}

// What a source says when it is told to stop is not the reason it was stopped for.
async function closeIterator(iterator: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.()
  } catch {}
}

function isIterable(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  )
}

function subject(context: BodyContext, what: string): string {
  return context.entry === undefined
    ? what
    : `${what} of the entry ${JSON.stringify(context.entry)}`
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value
  return value.constructor?.name ?? 'object'
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
