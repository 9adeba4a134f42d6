import { AsyncCallbackError } from '../errors'
import { dropPromise } from '../stream/thenable'

/**
 * Returns the answer of a callback that must answer synchronously.
 *
 * @throws FST_WS_ASYNC_CALLBACK if the answer is a promise: ws would take the promise for a yes
 */
export function refusePromise<Value> (name: string, value: Value): Value {
  if (dropPromise(value)) throw new AsyncCallbackError(name)
  return value
}
