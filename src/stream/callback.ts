import { kReport } from './symbols'
import { isThenable } from './thenable'

/** Where the failures of callbacks go. */
interface Reporter {
  [kReport] (error: unknown): void
}

/**
 * Makes a callback that never throws: what `callback` throws, or rejects with, is reported. Node.js
 * calls it with nothing of ours around it, so the process would get the error.
 */
export function guardCallback<Args extends unknown[]> (
  callback: (...args: Args) => unknown, reporter: Reporter
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = callback(...args)
      if (!isThenable(result)) return
      result.then(undefined, (error: unknown) => { reporter[kReport](error) })
    } catch (error) {
      reporter[kReport](error)
    }
  }
}
