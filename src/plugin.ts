import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { acceptUpgrade, skipVerified, type UpgradeAcceptor } from './accept'
import { closeClients } from './close'
import { Connection, type ConnectionContext } from './connection'
import { ClosingError } from './errors'
import { declareGlobalRoute } from './global-route'
import { createInject } from './inject'
import { createUpgradeServer, listen } from './listen'
import { resolveOptions, type PluginSettings } from './options'
import type { UpgradeResponse } from './response'
import { pluginOf, routesOf, upgradeOf, type RoutePlugin } from './routes'
import { RouteServer } from './server'
import type { StreamSocket } from './stream/socket'
import { kPlugin, kReport } from './symbols'
import type { VerifyClient, WebsocketHandler, WebsocketPluginOptions } from './types'
import { upgradeListenerOf, type UpgradeListener } from './upgrade'

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  const settings = resolveOptions(options, fastify)
  const plugin = new WebsocketPlugin(fastify, settings)

  fastify.decorate('websocketServer', plugin.server)
  fastify.decorate('injectWS', createInject(fastify, plugin.source))
  fastify.decorate(kPlugin, plugin)
  if (!fastify.hasRequestDecorator('ws')) {
    fastify.decorateRequest('ws', { getter () { return upgradeOf(this.raw) !== undefined } })
  }
  checkRoutes(fastify)
  if (settings.handle !== null) declareGlobalRoute(fastify, settings.handle)

  fastify.addHook('onReady', () => plugin.open())
  fastify.addHook('preClose', () => plugin.refuseAndClose())
  fastify.addHook('onClose', () => plugin.close())
}

/** @throws the first problem of the routes that were declared before the plugin was there */
function checkRoutes (fastify: FastifyInstance): void {
  for (const { instance, problem } of routesOf(fastify)) {
    if (problem !== null && pluginOf(instance) !== undefined) throw problem
  }
}

/** One registration of the plugin. */
class WebsocketPlugin implements RoutePlugin, UpgradeAcceptor {
  readonly server: RouteServer
  /** The HTTP server whose upgrades are taken. */
  readonly source: Server
  readonly verifyClient: VerifyClient | null

  readonly #settings: PluginSettings
  readonly #context: ConnectionContext
  readonly #ownServer: Server | null
  readonly #upgrades: UpgradeListener | null
  #isClosing = false

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    const { websocket, verifyClient } = settings
    this.#settings = settings
    this.verifyClient = verifyClient
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    this.source = this.#ownServer ?? settings.server ?? fastify.server
    this.server = new RouteServer(
      { ...websocket, ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) }) },
      settings.noServer ? null : this.source
    )
    this.#context = {
      fastify,
      errorHandler: settings.errorHandler,
      streamSettings: this.server.streamSettings,
      // With `clientTracking: false` ws has none.
      untracked: this.server.clients === undefined ? new Set() : null
    }
    this.#upgrades = settings.noServer ? null : upgradeListenerOf(this.source, fastify)
  }

  async open (): Promise<void> {
    if (this.#ownServer !== null && this.#settings.listen !== null) {
      await listen(this.#ownServer, this.#settings.listen)
    }
    this.#upgrades?.attach()
  }

  get hasHandle (): boolean {
    return this.#settings.handle !== null
  }

  shouldHandle (request: IncomingMessage): boolean {
    return Boolean(this.server.shouldHandle(request))
  }

  takes (routeHandler: WebsocketHandler | null, request: FastifyRequest): boolean {
    const handler = routeHandler ?? this.#settings.handle
    return handler !== null && this.shouldHandle(request.raw)
  }

  takeUpgrade (
    routeHandler: WebsocketHandler | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeResponse
  ): void {
    const handler = routeHandler ?? this.#settings.handle
    if (handler === null) {
      // It was to be refused earlier, but another plugin may have replaced the hooks of the route.
      reply.callNotFound()
      return
    }
    const instance = routeHandler === null ? this.#context.fastify : request.server
    acceptUpgrade(this, request, reply, upgrade, (socket) => {
      this.#run(socket, handler, instance, request)
    })
  }

  checkOpen (): void {
    if (this.#isClosing) throw new ClosingError()
  }

  #run (
    socket: StreamSocket, handler: WebsocketHandler,
    instance: FastifyInstance, request: FastifyRequest
  ): void {
    const connection = new Connection(this.#context, socket, request)
    try {
      this.server.emit('connection', socket, request.raw)
    } catch (error) {
      connection.stream[kReport](error)
    }
    connection.run(handler, instance, request)
  }

  async refuseAndClose (): Promise<void> {
    this.#isClosing = true
    this.#upgrades?.close()
    // Not awaited: it ends when the clients have gone.
    this.#ownServer?.close()
    const sockets = this.#context.untracked ?? this.server.clients
    await closeClients(sockets, this.#upgrades?.undecided ?? [], this.#settings.closeTimeout)
  }

  async close (): Promise<void> {
    this.#upgrades?.detach()
    this.#ownServer?.closeAllConnections()
    this.server.close()
  }
}
