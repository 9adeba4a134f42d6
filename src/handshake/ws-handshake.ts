/** The handshake of an accepted upgrade: ws writes the 101 and makes the socket. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { InvalidHandshakeError } from '../errors'
import type { WebSocketStreamServer } from '../stream/server'
import type { StreamSocket } from '../stream/socket'

/**
 * Performs the handshake of an accepted upgrade. `head` has the bytes that arrived behind the
 * request. Returns a function that starts the connection, or null if the client has left.
 *
 * @throws an error that refuses the handshake after all
 */
export type Handshake = (transport: Duplex, head: Buffer) => (() => void) | null

/** What a handshake needs to know of the route. */
export interface HandshakeServers {
  /** The server that emits the events of the handshake. */
  readonly server: WebSocketStreamServer
  /** The server that performs the handshake, with the limits of the route. */
  readonly limitedServer: WebSocketStreamServer
  /** @throws FST_WS_CLOSING, FST_WS_TOO_MANY_CONNECTIONS */
  readonly checkRoom: () => void
}

/** The result of a handshake by ws: one of the two is set, or none if the client has left. */
interface HandshakeResult {
  socket: StreamSocket | null
  refusal: Error | null
}

/** Creates the handshake, which ws performs. `open` gets the WebSocket. */
export function createHandshake (
  { server, limitedServer, checkRoom }: HandshakeServers, request: IncomingMessage,
  open: (socket: StreamSocket) => void
): Handshake {
  return (transport, head) => {
    // Checked again, because the `onSend` hooks may have taken time since the first check.
    checkRoom()
    const result: HandshakeResult = { socket: null, refusal: null }
    const onRefused = (error: Error): void => { result.refusal = error }
    // Without a listener, ws would write its refusal to the socket, past the response.
    const isHeard = server.listenerCount('wsClientError') > 0
    if (!isHeard) server.on('wsClientError', onRefused)
    try {
      limitedServer.handleUpgrade(request, transport, head, (socket) => { result.socket = socket })
    } finally {
      if (!isHeard) server.off('wsClientError', onRefused)
    }
    const { socket, refusal } = result
    if (refusal !== null) throw new InvalidHandshakeError(refusal.message)
    return socket === null ? null : () => { open(socket) }
  }
}
