import { AsyncCallbackError } from '../errors'
import { isThenable } from '../stream/thenable'

/**
 * Returns what a callback has returned that must answer at once.
 *
 * @throws FST_WS_ASYNC_CALLBACK if that is a promise: ws would take the promise for a yes
 */
export function refusePromise<Value> (name: string, value: Value): Value {
  if (!isThenable(value)) return value
  // Only the error below is reported. Without this line, a rejection would be unhandled.
  value.then(undefined, noop)
  throw new AsyncCallbackError(name)
}

function noop (): void {}
