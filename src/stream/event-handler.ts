import { isThenable } from './thenable'

type Listener<E> = (event: E) => void

/** A handler that `addEventListener` takes. */
export type EventHandler<E> = Listener<E> | { handleEvent (event: E): void }

/** The guarded listener of each handler: `removeEventListener` has to find it again. */
const guarded = new WeakMap<object, Listener<never>>()

/**
 * Makes a listener that calls `handler`. If the handler returns a promise that rejects, the
 * listener reports the error: ws ignores the result of a handler. The same handler always gives the
 * same listener.
 */
export function guardHandler<E, Target> (
  handler: EventHandler<E>, report: (this: Target, error: unknown) => void
): Listener<E> {
  // The cast is safe: the map has for each handler its own listener.
  const existing = guarded.get(handler) as Listener<E> | undefined
  if (existing !== undefined) return existing
  const call = typeof handler === 'function' ? handler : handler.handleEvent.bind(handler)
  const guard = function (this: Target, event: E): void {
    const result: unknown = call.call(this, event)
    if (isThenable(result)) {
      result.then(undefined, (error: unknown) => { report.call(this, error) })
    }
  }
  guarded.set(handler, guard)
  return guard
}
