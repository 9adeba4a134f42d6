import type { ConnectionOwner } from './owner'
import { isThenable } from './thenable'

/**
 * Makes a callback that never throws: an error that `callback` throws, or rejects with, is reported
 * to the owner of the connection. Node.js calls the callback from its own code, so without this the
 * error would be uncaught.
 */
export function guardCallback<Args extends unknown[]> (
  callback: (...args: Args) => unknown, owner: Pick<ConnectionOwner, 'report'>
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = callback(...args)
      if (!isThenable(result)) return
      result.then(undefined, (error: unknown) => { owner.report(error) })
    } catch (error) {
      owner.report(error)
    }
  }
}
