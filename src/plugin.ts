import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Server } from 'node:http'
import { acceptUpgrade, skipVerified } from './accept'
import { closeClients } from './close'
import { Connection, type ConnectionContext } from './connection'
import { ClosingError } from './errors'
import { declareGlobalRoute } from './global-route'
import { createUpgradeServer, listen } from './listen'
import { resolveOptions, type PluginSettings } from './options'
import type { UpgradeResponse } from './response'
import { pluginOf, routesOf, upgradeOf, type RoutePlugin } from './routes'
import { RouteServer } from './server'
import type { StreamSocket } from './stream/socket'
import { kPlugin } from './symbols'
import type { WebsocketHandler, WebsocketPluginOptions } from './types'
import { upgradeListenerOf, type UpgradeListener } from './upgrade'

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  const settings = resolveOptions(options, fastify)
  const plugin = new WebsocketPlugin(fastify, settings)

  fastify.decorate('websocketServer', plugin.server)
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
class WebsocketPlugin implements RoutePlugin {
  readonly server: RouteServer

  readonly #settings: PluginSettings
  readonly #context: ConnectionContext
  readonly #ownServer: Server | null
  readonly #upgrades: UpgradeListener | null
  #isClosing = false

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    const { websocket, verifyClient } = settings
    this.#settings = settings
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    this.server = new RouteServer(
      { ...websocket, ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) }) },
      this.#ownServer
    )
    this.#context = {
      fastify,
      errorHandler: settings.errorHandler,
      streamSettings: this.server.streamSettings,
      connections: new Set()
    }
    const source = this.#ownServer ?? settings.server ?? fastify.server
    this.#upgrades = settings.noServer ? null : upgradeListenerOf(source, fastify)
  }

  async open (): Promise<void> {
    if (this.#ownServer !== null && this.#settings.listen !== null) {
      await listen(this.#ownServer, this.#settings.listen)
    }
    this.#upgrades?.attach()
  }

  takeUpgrade (
    routeHandler: WebsocketHandler | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeResponse
  ): void {
    const { handle, verifyClient } = this.#settings
    const handler = routeHandler ?? handle
    if (handler === null || !this.server.shouldHandle(request.raw)) {
      reply.callNotFound()
      return
    }
    if (this.#isClosing) throw new ClosingError()
    const instance = routeHandler === null ? this.#context.fastify : request.server
    acceptUpgrade(this.server, verifyClient, request, reply, upgrade, (socket) => {
      this.#run(socket, handler, instance, request)
    })
  }

  #run (
    socket: StreamSocket, handler: WebsocketHandler,
    instance: FastifyInstance, request: FastifyRequest
  ): void {
    const connection = new Connection(this.#context, socket, request)
    try {
      this.server.emit('connection', socket, request.raw)
    } catch (error) {
      connection.onError(error)
    }
    connection.run(handler, instance, request)
  }

  async refuseAndClose (): Promise<void> {
    this.#isClosing = true
    // Not awaited: it ends when the clients have gone.
    this.#ownServer?.close()
    const sockets = new Set([...this.#context.connections, ...this.server.clients ?? []])
    await closeClients(sockets, this.#upgrades?.undecided ?? [], this.#settings.closeTimeout)
  }

  async close (): Promise<void> {
    this.#upgrades?.detach()
    this.server.close()
  }
}
