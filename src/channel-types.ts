/**
 * The types of the messages of the diagnostics channels, and of the end of a connection as the log
 * has it. `docs/observe.md` says when each comes.
 */
import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { SocketStream } from './stream/duplex'
import type { WebsocketServer } from './types'

/** A message of the diagnostics channel `fastify-websocket.open`. */
export interface OpenMessage {
  connection: SocketStream
  request: FastifyRequest
}

/** A message of the diagnostics channel `fastify-websocket.refused`. */
export interface RefusedMessage {
  /** The raw request of the upgrade. */
  request: IncomingMessage
  /** The status of the answer. */
  statusCode: number
  /** The code of the error behind the answer, or null. */
  code: string | null
  /** The id of the request, `reqId` in the log; null for a URL that Fastify cannot decode. */
  id: string | null
  /**
   * The URL of the route as it was declared; that of the global `handle` ends in `/*`. Null without
   * a route.
   */
  route: string | null
}

/** A message of the diagnostics channel `fastify-websocket.error`. */
export interface ErrorMessage {
  connection: SocketStream
  error: Error
}

/** How a connection has ended, as the log line has it. */
export interface ConnectionEnd {
  /** The close code of the peer, 1005 if it gave none, 1006 if the connection was lost. */
  code: number
  /** The close reason of the peer. */
  reason: string
  /** Milliseconds from the handshake to the end. */
  duration: number
  messagesReceived: number
  messagesSent: number
  /**
   * Bytes of all frames, also of pings, pongs and close frames: with their headers, and compressed
   * where messages are. Not with what TLS and HTTP/2 add. `bytesReceived` of `stats()` counts the
   * payloads of messages instead.
   */
  frameBytesReceived: number
  /** The same for the frames that were sent. */
  frameBytesSent: number
}

/** A message of the diagnostics channel `fastify-websocket.close`. */
export interface CloseMessage extends ConnectionEnd {
  connection: SocketStream
  /** The id of the request of the upgrade. */
  id: string
  /** The URL of the route as it was declared; that of the global `handle` ends in `/*`. */
  route: string
}

/** A message of the diagnostics channel `fastify-websocket.gap`. */
export interface GapMessage {
  /** The `websocketServer` of the registration. */
  server: WebsocketServer
}
