/**
 * One registration of the plugin: its server, the way of its upgrades from the router to a running
 * handler, and its end. `plugin.ts` creates it and calls it from the hooks of Fastify.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { HandlerScope, type ConnectionContext } from './connection/handler-scope'
import { OpenConnections } from './connection/open-connections'
import { ClashError } from './errors'
import { acceptUpgrade, type UpgradeAcceptor } from './handshake/accept'
import { askedOnce } from './handshake/negotiate'
import { refusePromise } from './handshake/refuse-promise'
import type { UpgradeAnswer } from './handshake/upgrade-answer'
import { skipVerified } from './handshake/verify-client'
import { RouteServer } from './handshake/websocket-server'
import { resolveConnectionOptions } from './options/route-options'
import type { PluginSettings } from './options/plugin-options'
import type { WebsocketTarget } from './routes/application'
import type { RoutePlugin } from './routes/registered-plugin'
import { applicationOf, rootOf } from './routes/registry'
import type { WebsocketConnectionOptions } from './types'
import type { ApplicationUpgrades } from './upgrade/application-upgrades'
import { upgradeListenerOf, type UpgradeListener } from './upgrade/listener'
import { createUpgradeServer, listen } from './upgrade/own-server'

/** Milliseconds. */
const SERVER_CHECK_INTERVAL = 50

const TAKEN_SERVER =
  '@fastify/websocket, which mercurius registers for its subscriptions, answers every upgrade of ' +
  'its server, also those of fastify-websocket: give one of the two a server of its own, as with ' +
  '`options: { port }`'

/** How the upgrades of a route are accepted, and how its connections run. */
interface RouteContext extends UpgradeAcceptor, ConnectionContext {}

/** One registration of the plugin. */
export class Registration implements RoutePlugin {
  readonly server: RouteServer
  /** The HTTP server whose upgrades are taken. */
  readonly source: Server

  readonly #fastify: FastifyInstance
  readonly #settings: PluginSettings
  readonly #connections: OpenConnections
  /** By the options of the routes: null for routes that have none. */
  readonly #contexts = new Map<WebsocketConnectionOptions | null, RouteContext>()
  readonly #ownServer: Server | null
  readonly #listener: UpgradeListener | null
  readonly #upgrades: ApplicationUpgrades | null
  #isAttached = false
  #serverCheck: NodeJS.Timeout | undefined

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    this.#fastify = fastify
    this.#settings = settings
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    // As the types of Fastify do, ours name the server of HTTP/1 for those of HTTP/2 as well.
    this.source = this.#ownServer ?? settings.server as Server | null ?? fastify.server
    this.server = createRouteServer(settings, this.source)
    this.#connections = new OpenConnections(this.server.sockets, settings.maxConnections)
    this.#listener = settings.noServer
      ? null
      : upgradeListenerOf(this.source, fastify, settings.extendedConnect)
    this.#upgrades = this.#listener?.upgradesOf(fastify) ?? null
  }

  // --- Begin ---

  /** @throws FST_WS_CLASH, FST_WS_LISTEN */
  async open (): Promise<void> {
    this.#checkListeners()
    if (this.#ownServer !== null && this.#settings.listen !== null) {
      await listen(this.#ownServer, this.#settings.listen)
    }
    if (this.#ownServer === null) this.#attach()
    else this.#attachWhenReady()
  }

  /**
   * The server of the option `port` listens already, and is not to let clients in while `onReady`
   * hooks of the application still run. If one of those hooks fails, `fastify.ready()` rejects.
   */
  #attachWhenReady (): void {
    rootOf(this.#fastify).ready().then(() => { this.#attach() }, () => {})
  }

  #attach (): void {
    if (this.#connections.isClosing) return
    if (this.#upgrades === null) return
    this.#listener?.attach(this.#upgrades)
    this.#isAttached = true
  }

  /** @throws FST_WS_CLASH, if @fastify/websocket listens on the same server */
  #checkListeners (): void {
    if (this.#upgrades === null || this.source.listenerCount('upgrade') === 0) return
    for (const instance of applicationOf(this.#fastify).watched) {
      if (instance.hasPlugin('@fastify/websocket')) throw new ClashError(TAKEN_SERVER)
    }
  }

  // --- Upgrades that have reached a route ---

  get hasHandle (): boolean {
    return this.#settings.handle !== null
  }

  shouldHandle (request: IncomingMessage): boolean {
    return Boolean(refusePromise('shouldHandle', this.server.shouldHandle(request)))
  }

  takes (target: WebsocketTarget | null, request: FastifyRequest): boolean {
    return (target !== null || this.hasHandle) && this.shouldHandle(request.raw)
  }

  takeUpgrade (
    target: WebsocketTarget | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeAnswer
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
      const scope = new HandlerScope(context, socket, request)
      this.#announce(scope, request.raw)
      scope.run(handler, instance, request)
    })
  }

  #announce (scope: HandlerScope, request: IncomingMessage): void {
    try {
      this.server.emit('connection', scope.socket, request)
    } catch (error) {
      scope.report(error)
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
      checkRoom: () => { this.#connections.checkRoom() },
      errorHandler,
      streamSettings: limitedServer.streamSettings,
      heartbeat: heartbeat === false ? null : this.#connections.heartbeatOf(heartbeat),
      maxPayload
    }
  }

  // --- End ---

  /** Lets no new client in. */
  refuse (): void {
    const { shutdownTimeout } = this.#settings
    this.#connections.refuse()
    if (this.#upgrades !== null) this.#listener?.close(this.#upgrades, shutdownTimeout)
    // From now on ws also refuses what comes through `handleUpgrade`.
    this.server.close()
    // Not awaited: it ends when the clients have gone.
    this.#ownServer?.close()
    if (this.#fastify.server.listening) this.#watchServer()
  }

  /**
   * Closes the clients when the server of the application has stopped to listen. That comes after
   * all `preClose` hooks, and ours has closed the clients then. But when a hook of the user has
   * failed, Fastify leaves out the hooks behind it, and waits for open connections all the same.
   */
  #watchServer (): void {
    this.#serverCheck = setInterval(async () => {
      if (!this.#fastify.server.listening) await this.closeClients()
    }, SERVER_CHECK_INTERVAL).unref()
  }

  closeClients (): Promise<void> {
    clearInterval(this.#serverCheck)
    const { shutdownTimeout } = this.#settings
    const closed = this.#connections.close(this.#upgrades?.undecided ?? [], shutdownTimeout)
    this.#upgrades?.closeSessions()
    return closed
  }

  async close (): Promise<void> {
    // It is done, unless a `preClose` hook of the user has failed.
    await this.closeClients()
    if (this.#isAttached && this.#upgrades !== null) this.#listener?.detach(this.#upgrades)
    this.#upgrades?.end()
    // Closed again: if the application closes before it is ready, this server may have begun to
    // listen after the first close.
    this.#ownServer?.close()
    this.#ownServer?.closeAllConnections()
    this.server.close()
  }
}

function createRouteServer (
  { websocket, verifyClient, noServer }: PluginSettings, source: Server
): RouteServer {
  const { handleProtocols } = websocket
  return new RouteServer(
    {
      ...websocket,
      ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) }),
      ...(handleProtocols !== undefined && { handleProtocols: askedOnce(handleProtocols) })
    },
    noServer ? null : source
  )
}
