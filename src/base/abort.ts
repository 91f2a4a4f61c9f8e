/**
 * Node's AbortError: what every wait rejects with when its signal aborts. `cause` is the signal's
 * reason.
 */
export function abortError(reason: unknown): Error {
  const error = new Error('The operation was aborted', { cause: reason })
  error.name = 'AbortError'
  return Object.assign(error, { code: 'ABORT_ERR' })
}

/**
 * Calls `abort` with the signal's reason when it aborts, or now if it has, unless `target` was
 * collected before: a signal that lives long holds nothing.
 *
 * @returns a function that stops listening
 */
export function onAbort<T extends object>(
  signal: AbortSignal | undefined,
  target: T,
  abort: (target: T, reason: unknown) => void,
): () => void {
  if (!signal) return () => {}
  if (signal.aborted) abort(target, signal.reason)
  const weak = new WeakRef(target)
  const listener = (): void => {
    const alive = weak.deref()
    if (alive) abort(alive, signal.reason)
  }
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}
