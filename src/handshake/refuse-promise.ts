import { AsyncCallbackError } from '../errors'
import { dropPromise } from '../stream/thenable'

/**
 * Returns what a callback has returned that must answer at once.
 *
 * @throws FST_WS_ASYNC_CALLBACK if that is a promise: ws would take the promise for a yes
 */
export function refusePromise<Value> (name: string, value: Value): Value {
  if (dropPromise(value)) throw new AsyncCallbackError(name)
  return value
}
