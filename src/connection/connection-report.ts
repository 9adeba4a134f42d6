/**
 * Reports on the connections of routes, in addition to the numbers of `stats()`: by messages on the
 * diagnostics channels, and by one line in the log for the end of each connection.
 *
 * The data for the end of a connection is kept only if the channel has a subscriber, or the log
 * takes the line, when the connection opens.
 */
import { isEnabled, logError, logFields, type ErrorLog, type Level } from '../observe/log'
import { closeChannel, errorChannel, gapChannel, openChannel } from '../observe/channels'
import { toError } from '../observe/thrown'
import type { SocketStream } from '../stream/duplex'
import { countedBytes } from '../stream/sent-bytes'
import type { StreamSettings } from '../stream/settings'
import { StreamSocket } from '../stream/socket'
import { kOutbox, kSettings } from '../stream/symbols'
import { isThenable } from '../stream/thenable'
import type { RouteServer } from '../handshake/websocket-server'
import type { FastifyRequest } from 'fastify'
import type {
  CloseMessage, ConnectionEnd, ErrorMessage, GapMessage, OpenMessage
} from '../channel-types'

/** The text of the line for the end of a connection. */
const END_TEXT = 'websocket connection closed'

/** Tells of the connections of one registration. */
export class ConnectionReport {
  readonly #closeLog: Level | false

  /** @param closeLog the level of the line for the end of a connection */
  constructor (closeLog: Level | false) {
    this.#closeLog = closeLog
  }

  /**
   * The settings for a new connection: its own, if it needs message counts of its own.
   *
   * @param shared the settings that its route gives to all connections
   */
  settingsFor (shared: StreamSettings, request: FastifyRequest): StreamSettings {
    return this.#isFollowed(request) ? shared.countedApart() : shared
  }

  #isFollowed ({ log }: FastifyRequest): boolean {
    return closeChannel.hasSubscribers ||
      (this.#closeLog !== false && isEnabled(log, this.#closeLog))
  }

  /** A connection has begun, with settings of `settingsFor`, and its handler is about to run. */
  onOpen (connection: SocketStream, request: FastifyRequest, shared: StreamSettings): void {
    if (connection.socket[kSettings] !== shared) this.#follow(connection, request)
    if (!openChannel.hasSubscribers) return
    const message: OpenMessage = { connection, request }
    openChannel.publish(message)
  }

  /** Tells of the end of the connection, when it comes. */
  #follow (connection: SocketStream, request: FastifyRequest): void {
    const start = performance.now()
    // The request itself is not kept.
    const { id, log } = request
    const route = String(request.routeOptions.url)
    const { socket } = connection
    const { traffic } = socket[kSettings]
    const before = countedBytes(socket[kOutbox].transport)
    StreamSocket.whenClosed(socket, () => {
      const { received, sent } = countedBytes(socket[kOutbox].transport)
      const { messagesReceived, messagesSent } = traffic.numbers
      const end: ConnectionEnd = {
        code: Number(socket.closeCode),
        reason: String(socket.closeReason),
        duration: Math.round(performance.now() - start),
        messagesReceived,
        messagesSent,
        frameBytesReceived: received - before.received,
        frameBytesSent: sent - before.sent
      }
      if (this.#closeLog !== false) logFields(log, this.#closeLog, end, END_TEXT)
      if (!closeChannel.hasSubscribers) return
      const message: CloseMessage = { connection, id, route, ...end }
      closeChannel.publish(message)
    })
  }

  onError (connection: SocketStream, error: Error): void {
    if (!errorChannel.hasSubscribers) return
    const message: ErrorMessage = { connection, error }
    errorChannel.publish(message)
  }
}

/**
 * Messages of other processes may be missing on the topics of a registration. Each connection may
 * have a listener of its own for that, so each listener is called, whatever the other listeners do.
 * `emit` would stop at the first listener that throws.
 */
export function reportGap (server: RouteServer, log: ErrorLog): void {
  if (gapChannel.hasSubscribers) {
    const message: GapMessage = { server }
    gapChannel.publish(message)
  }
  const onError = (error: unknown): void => {
    logError(log, 'error', toError(error), 'websocket topics: a gap listener has failed')
  }
  for (const listener of server.rawListeners('gap')) {
    try {
      const returned: unknown = Reflect.apply(listener, server, [])
      if (isThenable(returned)) returned.then(undefined, onError)
    } catch (error) {
      onError(error)
    }
  }
}
