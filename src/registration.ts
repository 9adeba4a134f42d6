/**
 * One registration of the plugin: its server, how its upgrades get from the router to a running
 * handler, and how it closes. `plugin.ts` creates it and calls it from the hooks of Fastify.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { CompatibleScope, type ScopeClass } from './connection/compatible-scope'
import { ConnectionReport, reportGap } from './connection/connection-report'
import { HandlerScope, type ConnectionContext } from './connection/handler-scope'
import { OpenConnections } from './connection/open-connections'
import { ClashError, ConflictingOptionsError } from './errors'
import { acceptUpgrade, type UpgradeAcceptor } from './handshake/accept'
import { refusePromise } from './handshake/refuse-promise'
import type { UpgradeAnswer } from './handshake/upgrade-answer'
import { skipVerified } from './handshake/verify-client'
import { RouteServer } from './handshake/websocket-server'
import { resolveConnectionOptions } from './options/route-options'
import type { PluginSettings } from './options/plugin-options'
import type { DeclaredRoute, WebsocketTarget } from './routes/application'
import { pluginOf, routesOf, type RoutePlugin } from './routes/registered-plugin'
import { applicationOf, rootOf } from './routes/registry'
import { asBuffer, asString } from './stream/text'
import type { TopicBroker } from './topics/broker'
import { BrokerLink } from './topics/broker-link'
import type { ApplicationUpgrades } from './upgrade/application-upgrades'
import { upgradeListenerOf, type UpgradeListener } from './upgrade/listener'
import { createUpgradeServer, listen } from './upgrade/own-server'

/** Milliseconds between two checks whether the server of the application still listens. */
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
  /** The route that `handle` becomes, or null without a `handle`. */
  globalRoute: DeclaredRoute | null | undefined = null

  readonly #fastify: FastifyInstance
  readonly #settings: PluginSettings
  readonly #Scope: ScopeClass
  readonly #connections: OpenConnections
  readonly #report: ConnectionReport
  /** The contexts, by the messages or options that a route has of its own; null for neither. */
  readonly #contexts = new Map<object | null, RouteContext>()
  readonly #ownServer: Server | null
  readonly #listener: UpgradeListener | null
  readonly #upgrades: ApplicationUpgrades | null
  readonly #broker: BrokerLink | null
  #isAttached = false
  #serverCheck: NodeJS.Timeout | undefined

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    this.#fastify = fastify
    this.#settings = settings
    this.#Scope = settings.isCompatible ? CompatibleScope : HandlerScope
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    // As the types of Fastify do, ours name the server of HTTP/1 for those of HTTP/2 as well.
    this.source = this.#ownServer ?? settings.server as Server | null ?? fastify.server
    this.server = createRouteServer(settings, this.source)
    this.#connections = new OpenConnections(this.server.sockets, settings.maxConnections)
    this.#report = new ConnectionReport(settings.closeLog)
    this.#broker = settings.broker === null ? null : this.#linkTo(settings.broker)
    this.#listener = settings.noServer
      ? null
      : upgradeListenerOf(this.source, fastify, settings.extendedConnect)
    this.#upgrades = this.#listener?.upgradesOf(fastify) ?? null
    if (this.#upgrades !== null) this.server.refusals = this.#upgrades.refusals
  }

  #linkTo (broker: TopicBroker): BrokerLink {
    const { topics } = this.server.streamSettings
    const { log } = this.#fastify
    return new BrokerLink(topics, broker, log, () => { reportGap(this.server, log) })
  }

  // --- Begin ---

  /**
   * @throws FST_WS_INVALID_SCHEMA, FST_WS_ASYNC_VALIDATOR, FST_WS_CONFLICTING_OPTIONS,
   * FST_WS_BROKER, FST_WS_CLASH, FST_WS_LISTEN
   */
  async open (): Promise<void> {
    // An application can be closed before it is ready.
    if (this.#connections.isClosing) return
    this.#compileMessages()
    this.#checkListeners()
    await this.#broker?.open()
    if (this.#ownServer !== null && this.#settings.listen !== null) {
      await listen(this.#ownServer, this.#settings.listen)
    }
    if (this.#ownServer === null) this.#attach()
    else this.#attachWhenReady()
  }

  /** Creates the contexts of routes whose messages have schemas, because compiling may fail. */
  #compileMessages (): void {
    for (const { instance, target, url } of routesOf(this.#fastify)) {
      if (target?.messages == null || pluginOf(instance) !== this) continue
      if (this.#settings.isByteMode) {
        throw new ConflictingOptionsError('options.objectMode: false', `schema of ${url}`)
      }
      // Handlers of such a registration get no stream, so no message would be validated.
      if (this.#settings.isCompatible) {
        throw new ConflictingOptionsError('compatible', `schema of ${url}`)
      }
      this.#contextOf(target, instance)
    }
  }

  /**
   * The server of the option `port` listens already, but it must let no client in while `onReady`
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
    const taken = target ?? this.globalRoute?.target
    if (taken == null) {
      // The hook of the route refuses such an upgrade, but another plugin may have replaced it.
      reply.callNotFound()
      return
    }
    const instance = target === null ? this.#fastify : request.server
    const context = this.#contextOf(taken, instance)
    acceptUpgrade(context, request, reply, upgrade, (socket) => {
      const scope = new this.#Scope(context, socket, request, reply)
      scope.announce(request)
      this.#emitConnection(scope, request.raw)
      scope.run(taken.handler, instance, request)
    })
  }

  #emitConnection (scope: HandlerScope, request: IncomingMessage): void {
    try {
      this.server.emit('connection', scope.socket, request)
    } catch (error) {
      scope.report(error)
    }
  }

  #contextOf (target: WebsocketTarget, instance: FastifyInstance): RouteContext {
    const key = target.messages ?? target.options
    const known = this.#contexts.get(key)
    if (known !== undefined) return known
    const context = this.#createContext(target, instance)
    this.#contexts.set(key, context)
    return context
  }

  #createContext (target: WebsocketTarget, instance: FastifyInstance): RouteContext {
    const { connection, errorHandler, verifyClient } = this.#settings
    const options = target.options ?? {}
    const settings = resolveConnectionOptions(options, connection)
    const { heartbeat, maxPayload, isAllowedOrigin } = settings
    const limitedServer = this.server.limitedTo(settings)
    const codec = target.messages?.compile(instance)
    return {
      // This instance is the `this` of the error handler.
      fastify: options.errorHandler == null ? this.#fastify : instance,
      server: this.server,
      limitedServer,
      isAllowedOrigin,
      verifyClient,
      checkRoom: () => { this.#connections.checkRoom() },
      errorHandler: options.errorHandler ?? errorHandler,
      streamSettings: codec === undefined
        ? limitedServer.streamSettings
        : limitedServer.streamSettings.withCodec(codec),
      report: this.#report,
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
    // From now on ws also refuses upgrades that come through `handleUpgrade`.
    this.server.close()
    // Not awaited, because the promise is settled only when the clients have gone.
    this.#ownServer?.close()
    if (this.#fastify.server.listening) this.#watchServer()
  }

  /**
   * Closes the clients when the server of the application has stopped listening. Usually our
   * `preClose` hook has done so before. But when a hook of the user has failed, Fastify leaves out
   * the hooks after it, and waits for open connections all the same.
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
    // The clients are closed already, unless a `preClose` hook of the user has failed.
    await this.closeClients()
    await this.#broker?.close(this.#settings.shutdownTimeout)
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
  { websocket, isCompatible, verifyClient, noServer }: PluginSettings, source: Server
): RouteServer {
  return new RouteServer(
    {
      ...websocket,
      ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) })
    },
    noServer ? null : source,
    isCompatible ? asBuffer : asString
  )
}
