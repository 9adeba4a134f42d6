/** The promises of topics. None of them can end the process if it is not awaited. */

/** One promise for all calls that are done at once. */
export const RESOLVED = Promise.resolve()

/** A promise that is rejected. */
export function refuse (error: Error): Promise<void> {
  return unheard(Promise.reject(error))
}

/** The promise itself, with a `catch` of its own: its failure is shown where it is awaited. */
export function unheard<T> (promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
