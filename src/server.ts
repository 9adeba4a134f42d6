import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import { WebSocketStreamServer, type WebSocketStreamServerOptions } from './stream/server'
import { upgradeOf } from './routes'

/**
 * `fastify.websocketServer`. It never listens by itself: upgrades reach it through Fastify's
 * router, or through its `handleUpgrade` when the user calls that.
 */
export class RouteServer extends WebSocketStreamServer {
  readonly #source: Server | null

  /** @param source the server whose upgrades are taken, and whose address this one has */
  constructor (options: WebSocketStreamServerOptions, source: Server | null) {
    super(options)
    this.#source = source
    this.on('headers', (lines, request) => {
      lines.push(...upgradeOf(request)?.handshakeHeaders ?? [])
    })
  }

  /** As in ws, null until the server listens, and an error with the option `noServer`. */
  override address (): AddressInfo | string | null {
    return this.#source === null ? super.address() : this.#source.address()
  }
}
