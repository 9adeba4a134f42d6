/**
 * Handlers that the application gives to `addEventListener` and to `onmessage` and the like. ws
 * ignores what they return, so ws gets a listener that reports when a handler rejects.
 */
import { WebSocket } from 'ws'
import { isThenable } from './thenable'

type Listener<E> = (event: E) => void

/** A handler that `addEventListener` takes. */
export type EventHandler<E> = Listener<E> | { handleEvent (event: E): void }

/** The guarded listener of each handler: `removeEventListener` has to find it again. */
const guarded = new WeakMap<object, Listener<never>>()

/** The handler of each guarded listener: `socket.onmessage` has to give it back. */
const handlers = new WeakMap<object, object>()

/**
 * Makes a listener that calls `handler`. If the handler returns a promise that rejects, the
 * listener reports the error. The same handler always gives the same listener.
 */
export function guardHandler<E, Target> (
  handler: EventHandler<E>, report: (this: Target, error: unknown) => void
): Listener<E> {
  // The cast is safe: the map has for each handler its own listener.
  const existing = guarded.get(handler) as Listener<E> | undefined
  if (existing !== undefined) return existing
  const guard = function (this: Target, event: E): void {
    // As in ws, `handleEvent` is looked up at each event: the application may have replaced it.
    const result: unknown = typeof handler === 'function'
      ? handler.call(this, event)
      : handler.handleEvent(event)
    if (isThenable(result)) {
      result.then(undefined, (error: unknown) => { report.call(this, error) })
    }
  }
  guarded.set(handler, guard)
  handlers.set(guard, handler)
  return guard
}

/**
 * The properties `onmessage` and the like for a class whose `addEventListener` guards handlers.
 * Those of ws would give back the guarded listener instead of the handler that was set.
 */
export const HANDLER_PROPERTIES: PropertyDescriptorMap = Object.fromEntries(
  ['onopen', 'onmessage', 'onerror', 'onclose'].map((name) => {
    const inherited = Object.getOwnPropertyDescriptor(WebSocket.prototype, name)
    const get = function (this: WebSocket): unknown {
      return handlers.get(inherited?.get?.call(this)) ?? null
    }
    return [name, { ...inherited, get }]
  })
)
