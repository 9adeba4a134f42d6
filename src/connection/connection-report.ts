/**
 * What is told of each connection besides its errors: numbers for `stats()`, messages for the
 * diagnostics channels, and one line in the log for its end.
 *
 * What a message or a line needs is kept for a connection only if there is a subscriber for its
 * end, or if the log takes the line, when the connection opens.
 */
import { isEnabled, logFields, type Level } from '../observe/log'
import { closeChannel, errorChannel, openChannel } from '../observe/channels'
import type { ConnectionCounts } from '../observe/connection-counts'
import type { Traffic } from '../observe/traffic'
import { BackpressureError, UnresponsiveError } from '../stream/errors'
import type { SocketStream } from '../stream/duplex'
import type { StreamSettings } from '../stream/settings'
import { kOutbox, kSettings, kWhenClosed } from '../stream/symbols'
import type { FastifyRequest } from 'fastify'
import type { CloseMessage, ConnectionEnd, ErrorMessage, OpenMessage } from '../types'

/** Tells of the connections of one registration. */
export class ConnectionReport {
  readonly #counts: ConnectionCounts
  readonly #closeLog: Level | false

  /** @param closeLog the level of the line for the end of a connection */
  constructor (counts: ConnectionCounts, closeLog: Level | false) {
    this.#counts = counts
    this.#closeLog = closeLog
  }

  /** The settings for a new connection: its own, if its messages are to be counted apart. */
  settingsFor (settings: StreamSettings, request: FastifyRequest): StreamSettings {
    return this.#isFollowed(request) ? settings.countedApart() : settings
  }

  #isFollowed ({ log }: FastifyRequest): boolean {
    return closeChannel.hasSubscribers ||
      (this.#closeLog !== false && isEnabled(log, this.#closeLog))
  }

  /**
   * A connection has begun.
   *
   * @param shared the settings that its route gives to all connections
   */
  onOpen (connection: SocketStream, request: FastifyRequest, shared: StreamSettings): void {
    this.#counts.accepted++
    const { traffic } = connection.socket[kSettings]
    if (traffic !== shared.traffic) this.#follow(connection, request, traffic, shared.traffic)
    if (!openChannel.hasSubscribers) return
    const message: OpenMessage = { connection, request }
    openChannel.publish(message)
  }

  /** Tells of the end of the connection, when it comes. */
  #follow (
    connection: SocketStream, request: FastifyRequest, traffic: Traffic, sum: Traffic
  ): void {
    const start = performance.now()
    const { id, log, routeOptions: { url } } = request
    const { socket } = connection
    const before = socket[kOutbox].transportBytes
    socket[kWhenClosed](() => {
      sum.join(traffic)
      const { received, sent } = socket[kOutbox].transportBytes
      const end: ConnectionEnd = {
        code: Number(socket.closeCode),
        reason: String(socket.closeReason),
        duration: Math.round(performance.now() - start),
        messagesReceived: traffic.total.messagesReceived,
        messagesSent: traffic.total.messagesSent,
        bytesReceived: received - before.received,
        bytesSent: sent - before.sent
      }
      if (this.#closeLog !== false) logFields(log, this.#closeLog, end, 'websocket connection closed')
      if (!closeChannel.hasSubscribers) return
      const message: CloseMessage = { connection, id, route: url ?? null, ...end }
      closeChannel.publish(message)
    })
  }

  onError (connection: SocketStream, error: Error): void {
    if (error instanceof UnresponsiveError) this.#counts.unresponsive++
    if (error instanceof BackpressureError) this.#counts.tooSlow++
    if (!errorChannel.hasSubscribers) return
    const message: ErrorMessage = { connection, error }
    errorChannel.publish(message)
  }

  onClose (code: number): void {
    this.#counts.close(code)
  }
}
