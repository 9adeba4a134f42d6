/**
 * Returns whether a function that has to answer at once has returned a promise. The caller throws
 * an error for that. A rejection of the promise is ignored: without this, it would be unhandled.
 */
export function dropPromise (value: unknown): boolean {
  if (!isThenable(value)) return false
  value.then(undefined, () => {})
  return true
}

/** Whether a value that a handler or a callback returned can be awaited. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null &&
    'then' in value && typeof value.then === 'function'
}
