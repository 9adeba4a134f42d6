/** Whether a value that a handler or a callback returned can be awaited. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null &&
    'then' in value && typeof value.then === 'function'
}
