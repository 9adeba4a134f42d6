/**
 * The `connect` events of a server that speaks HTTP/2. Node.js emits the event with a request and
 * a response for each CONNECT over HTTP/2; one with the protocol `websocket` is an upgrade
 * (RFC 8441). For a CONNECT over HTTP/1, which asks for a tunnel, it emits the event with a request
 * and a socket.
 */
import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import { StreamUpgrade } from '../handshake/http2-stream'
import type { UpgradeTransport } from '../handshake/upgrade-transport'

const NOT_IMPLEMENTED = 501

/** The arguments of a listener of `connect`, over HTTP/1 or over HTTP/2. */
export type ConnectArguments =
  [request: IncomingMessage, socket: Duplex, head: Buffer] |
  [request: Http2ServerRequest, response: Http2ServerResponse]

/**
 * Returns the upgrade of a `connect` event, or null if the event is no upgrade. Then the other
 * listeners of the event have to answer it. If there are none, it is refused.
 */
export function takeConnect (args: ConnectArguments, isAlone: boolean): UpgradeTransport | null {
  if (args.length === 3) {
    // Node.js does the same if there is no listener.
    if (isAlone) args[1].destroy()
    return null
  }
  const [request, response] = args
  if (asksForWebsocket(request)) return new StreamUpgrade(request, response)
  if (isAlone) {
    response.statusCode = NOT_IMPLEMENTED
    // Behind a body, Node.js closes the stream. Without one, the client could leave it open.
    response.end('Not Implemented')
  }
  return null
}

/**
 * Whether a CONNECT asks for a WebSocket. Its protocol is an upgrade token of HTTP (RFC 8441
 * section 4), and upper and lower case of these are the same (RFC 9110 section 7.8).
 */
function asksForWebsocket ({ headers: { ':protocol': protocol } }: Http2ServerRequest): boolean {
  return String(protocol).toLowerCase() === 'websocket'
}
