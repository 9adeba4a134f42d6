import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import { WebSocketStreamServer, type WebSocketStreamServerOptions } from './stream/server'
import { upgradeOf } from './routes'

/**
 * `fastify.websocketServer`. It never listens by itself: upgrades reach it through Fastify's
 * router, or through its `handleUpgrade` when the user calls that.
 */
export class RouteServer extends WebSocketStreamServer {
  readonly #listening: Server | null

  /** @param listening the server of the `port` option, whose address this one has */
  constructor (options: WebSocketStreamServerOptions, listening: Server | null) {
    super(options)
    this.#listening = listening
    this.on('headers', (lines, request) => {
      lines.push(...upgradeOf(request)?.handshakeHeaders ?? [])
    })
  }

  override address (): AddressInfo | string | null {
    return this.#listening === null ? super.address() : this.#listening.address()
  }
}
