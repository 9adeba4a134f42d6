import type { SocketOnlyEvent } from './listeners'
import type { StreamSettings } from './settings'

/** Events that a WebSocket has and a stream has not. */
const SOCKET_EVENTS = new Set<string | symbol>(
  ['message', 'ping', 'pong'] satisfies SocketOnlyEvent[])

/** The settings that the warning was given for. The streams of a server share one object. */
const warned = new WeakSet<StreamSettings>()

/**
 * Warns when a listener is added to a stream for an event that only its socket emits: it is never
 * called. Applications write this because in other packages the connection is the WebSocket. The
 * warning does not go to the request's log, because an application without a logger needs it most.
 */
export function warnOfSocketEvent (event: string | symbol, settings: StreamSettings): void {
  if (!SOCKET_EVENTS.has(event)) return
  if (warned.has(settings)) return
  warned.add(settings)
  const name = String(event)
  const stream = event === 'message' ? ", or connection.on('data', …) for a stream" : ''
  const warning = `fastify-websocket: a connection is a stream and emits no '${name}' event, so ` +
    `this listener is not called. Write connection.socket.on('${name}', …)${stream}.`
  process.emitWarning(warning, { code: 'FST_WS_SOCKET_EVENT' })
}
