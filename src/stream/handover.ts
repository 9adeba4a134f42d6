/**
 * How ws gets bytes of a connection. The listener for `data` that ws has added to the transport is
 * taken off, and called here with the bytes that ws is to read.
 *
 * ws tells only on the next tick that it refuses a frame. But a final frame that it accepts, and
 * does not defer, it shows at once: it emits a `message`, a `ping` or a `pong`.
 */
import type { Duplex } from 'node:stream'

/** A listener for the `data` of a transport, which it gets as `this`. */
export type DataListener = (this: Duplex, chunk: Buffer) => void

/** The listener of ws, the same for all transports; null until the first one is taken off. */
let listenerOfWs: DataListener | null = null

/** The socket whose bytes ws is reading, or null once ws has shown a frame of that socket. */
let awaited: object | null = null

/**
 * Puts `listener` in the place of the listener of ws. False if the transport has a listener that is
 * not the usual one of ws: a tracing agent may wrap it.
 */
export function replaceListener (transport: Duplex, listener: DataListener): boolean {
  // The types of Node.js do not know the arguments of a listener.
  const [present] = transport.listeners('data') as DataListener[]
  if (present === undefined || present !== (listenerOfWs ??= present)) return false
  transport.on('data', listener)
  transport.off('data', present)
  return true
}

/** Gives bytes to ws. Returns whether ws has shown a frame of `socket` meanwhile. */
export function giveToWs (socket: object, transport: Duplex, bytes: Buffer): boolean {
  const earlier = awaited
  awaited = socket
  // The type cannot know that a listener was taken off before.
  listenerOfWs?.call(transport, bytes)
  const isShown = awaited !== socket
  awaited = earlier
  return isShown
}

/** ws has shown a frame of a socket. */
export function show (socket: object): void {
  if (awaited === socket) awaited = null
}
