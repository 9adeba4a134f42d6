import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { acceptUpgrade, skipVerified, type UpgradeAcceptor } from './accept'
import { closeClients } from './close'
import { Connection, type ConnectionContext } from './connection'
import { resolveConnectionOptions } from './connection-options'
import { ClosingError, TooManyConnectionsError } from './errors'
import { declareGlobalRoute } from './global-route'
import { Heartbeat } from './heartbeat'
import { createInject } from './inject'
import { createUpgradeServer, listen } from './listen'
import { resolveOptions, type PluginSettings } from './options'
import type { UpgradeResponse } from './response'
import {
  pluginOf, routesOf, upgradeOf, type RoutePlugin, type WebsocketTarget
} from './routes'
import { checkRuntime } from './runtime'
import { RouteServer } from './server'
import type { StreamSocket } from './stream/socket'
import { kOwner, kPlugin, kReport } from './symbols'
import type { WebsocketConnectionOptions, WebsocketPluginOptions } from './types'
import { upgradeListenerOf, type UpgradeListener } from './upgrade'

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  checkRuntime(process.versions)
  const settings = resolveOptions(options, fastify)
  const plugin = new WebsocketPlugin(fastify, settings)

  fastify.decorate('websocketServer', plugin.server)
  fastify.decorate('injectWS', createInject(fastify, plugin.source))
  fastify.decorate(kPlugin, plugin)
  siblingsOf(fastify).push(plugin)
  if (!fastify.hasRequestDecorator('ws')) {
    fastify.decorateRequest('ws', { getter () { return upgradeOf(this.raw) !== undefined } })
  }
  checkRoutes(fastify)
  if (settings.handle !== null) declareGlobalRoute(fastify, settings.handle)

  fastify.addHook('onReady', () => plugin.open())
  fastify.addHook('preClose', () => closeTogether(fastify))
  fastify.addHook('onClose', () => plugin.close())
}

/** @throws the first problem of the routes that were declared before the plugin was there */
function checkRoutes (fastify: FastifyInstance): void {
  for (const { instance, problem } of routesOf(fastify)) {
    if (problem !== null && pluginOf(instance) !== undefined) throw problem
  }
}

/** The registrations of an application, of which all instances share `routing`. */
const registrations = new WeakMap<object, WebsocketPlugin[]>()

function siblingsOf ({ routing }: FastifyInstance): WebsocketPlugin[] {
  const plugins = registrations.get(routing) ?? []
  registrations.set(routing, plugins)
  return plugins
}

/** Fastify runs its hooks one after the other, but the clients of all are to go at once. */
async function closeTogether (fastify: FastifyInstance): Promise<void> {
  await Promise.all(siblingsOf(fastify).map((plugin) => plugin.refuseAndClose()))
}

/** How the upgrades of a route are accepted, and how its connections run. */
interface RouteContext extends UpgradeAcceptor, ConnectionContext {}

/** One registration of the plugin. */
class WebsocketPlugin implements RoutePlugin {
  readonly server: RouteServer
  /** The HTTP server whose upgrades are taken. */
  readonly source: Server

  readonly #fastify: FastifyInstance
  readonly #settings: PluginSettings
  /** By the options of the routes: null for routes that have none. */
  readonly #contexts = new Map<WebsocketConnectionOptions | null, RouteContext>()
  /** By their intervals. */
  readonly #heartbeats = new Map<number, Heartbeat>()
  /** The open connections, where ws does not keep them as `clients`. */
  readonly #untracked: Set<StreamSocket> | null
  readonly #ownServer: Server | null
  readonly #upgrades: UpgradeListener | null
  #isClosing = false
  #closed: Promise<void> | null = null

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    const { websocket, verifyClient } = settings
    this.#fastify = fastify
    this.#settings = settings
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    this.source = this.#ownServer ?? settings.server ?? fastify.server
    this.server = new RouteServer(
      { ...websocket, ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) }) },
      settings.noServer ? null : this.source
    )
    // With `clientTracking: false` ws has none.
    this.#untracked = this.server.clients === undefined ? new Set() : null
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

  takes (target: WebsocketTarget | null, request: FastifyRequest): boolean {
    return (target !== null || this.hasHandle) && this.shouldHandle(request.raw)
  }

  takeUpgrade (
    target: WebsocketTarget | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeResponse
  ): void {
    const handler = target?.handler ?? this.#settings.handle
    if (handler === null) {
      // It was to be refused earlier, but another plugin may have replaced the hooks of the route.
      reply.callNotFound()
      return
    }
    const instance = target === null ? this.#fastify : request.server
    const context = this.#contextOf(target?.options ?? null)
    acceptUpgrade(context, request, reply, upgrade, (socket) => {
      const connection = new Connection(context, socket, request)
      this.#announce(connection, request.raw)
      connection.run(handler, instance, request)
    })
  }

  #announce ({ socket, stream }: Connection, request: IncomingMessage): void {
    try {
      this.server.emit('connection', socket, request)
    } catch (error) {
      stream[kReport](error)
    }
  }

  #contextOf (options: WebsocketConnectionOptions | null): RouteContext {
    const known = this.#contexts.get(options)
    if (known !== undefined) return known
    const context = this.#createContext(options ?? {})
    this.#contexts.set(options, context)
    return context
  }

  #createContext (options: WebsocketConnectionOptions): RouteContext {
    const { connection, errorHandler, verifyClient } = this.#settings
    const settings = resolveConnectionOptions(options, connection)
    const { heartbeat, maxPayload, isAllowedOrigin } = settings
    const limitedServer = this.server.limitedTo(settings)
    return {
      fastify: this.#fastify,
      server: this.server,
      limitedServer,
      isAllowedOrigin,
      verifyClient,
      checkRoom: () => { this.#checkRoom() },
      errorHandler,
      streamSettings: limitedServer.streamSettings,
      heartbeat: heartbeat === false ? null : this.#heartbeatOf(heartbeat),
      maxPayload,
      untracked: this.#untracked
    }
  }

  #heartbeatOf (interval: number): Heartbeat {
    const known = this.#heartbeats.get(interval)
    if (known !== undefined) return known
    const heartbeat = new Heartbeat(interval, (heartbeat) => this.#connectionsOf(heartbeat))
    this.#heartbeats.set(interval, heartbeat)
    return heartbeat
  }

  * #connectionsOf (heartbeat: Heartbeat): Iterable<Connection> {
    for (const { [kOwner]: owner } of this.#sockets) {
      if (owner instanceof Connection && owner.heartbeat === heartbeat) yield owner
    }
  }

  /** @throws FST_WS_CLOSING, FST_WS_TOO_MANY_CONNECTIONS */
  #checkRoom (): void {
    if (this.#isClosing) throw new ClosingError()
    if (this.#sockets.size >= this.#settings.maxConnections) throw new TooManyConnectionsError()
  }

  get #sockets (): Set<StreamSocket> {
    return this.#untracked ?? this.server.clients
  }

  refuseAndClose (): Promise<void> {
    this.#closed ??= this.#refuseAndClose()
    return this.#closed
  }

  async #refuseAndClose (): Promise<void> {
    this.#isClosing = true
    this.#upgrades?.close()
    // Not awaited: it ends when the clients have gone.
    this.#ownServer?.close()
    const undecided = this.#upgrades?.undecided ?? []
    await closeClients(this.#sockets, undecided, this.#settings.shutdownTimeout)
  }

  async close (): Promise<void> {
    this.#upgrades?.detach()
    this.#ownServer?.closeAllConnections()
    this.server.close()
  }
}
