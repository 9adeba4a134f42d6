import { AsyncCallbackError } from './errors'

/** Whether a value that a handler or a callback returned can be awaited. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null &&
    'then' in value && typeof value.then === 'function'
}

/**
 * What a callback has returned that has to answer at once.
 *
 * @throws FST_WS_ASYNC_CALLBACK, if that is a promise, which would be taken for a yes
 */
export function refusePromise<Value> (name: string, value: Value): Value {
  if (!isThenable(value)) return value
  // The error is what is reported, whatever becomes of the promise.
  value.then(undefined, noop)
  throw new AsyncCallbackError(name)
}

function noop (): void {}
