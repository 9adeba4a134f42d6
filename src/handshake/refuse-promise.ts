import { AsyncCallbackError } from '../errors'
import { isThenable } from '../stream/thenable'

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
