import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server } from 'node:http'
import { acceptUpgrade, skipVerified, type UpgradeAcceptor } from './handshake/accept'
import { closeClients } from './connection/shutdown'
import { Connection, type ConnectionContext } from './connection/handler-scope'
import { resolveConnectionOptions } from './options/connection-options'
import { ClashError, ClosingError, TooManyConnectionsError } from './errors'
import { declareGlobalRoute } from './routes/global-route'
import { Heartbeat } from './connection/heartbeat'
import { createInject } from './inject/inject'
import { createUpgradeServer, listen } from './upgrade/own-server'
import { askedOnce } from './handshake/negotiate'
import { resolveOptions, type PluginSettings } from './options/plugin-options'
import { applicationOf, rootOf } from './routes/registry'
import { upgradeOf, type UpgradeAnswer } from './handshake/response'
import {
  pluginOf, routesOf, type RoutePlugin, type WebsocketTarget
} from './routes/websocket-route'
import { checkRuntime } from './options/runtime'
import { refusePromise } from './handshake/refuse-promise'
import { RouteServer } from './handshake/websocket-server'
import { kOwner, kPlugin, kReport } from './stream/symbols'
import type { WebsocketConnectionOptions, WebsocketPluginOptions } from './types'
import type { ApplicationUpgrades } from './upgrade/application-upgrades'
import { upgradeListenerOf, type UpgradeListener } from './upgrade/listener'

/** Adds WebSocket routes to `fastify` and the instances below it. */
export async function registerWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  checkRuntime(process.versions)
  const settings = resolveOptions(options, fastify)
  const plugin = new WebsocketPlugin(fastify, settings)

  claimName('websocketServer', (name) => fastify.decorate(name, plugin.server))
  claimName('injectWS', (name) => fastify.decorate(name, createInject(fastify, plugin.source)))
  claimName('ws', (name) => fastify.decorateRequest(name, WS_PROPERTY))
  fastify.decorate(kPlugin, plugin)
  siblingsOf(fastify).push(plugin)
  checkRoutes(fastify)
  if (settings.handle !== null) declareGlobalRoute(fastify, settings.handle)

  fastify.addHook('onReady', async () => {
    await plugin.open()
    // Now that all instances exist: the hooks of the user come first, wherever they are declared.
    applicationOf(fastify).last.addHook('preClose', () => closeTogether(fastify))
  })
  applicationOf(fastify).onClosing.push(() => { plugin.refuse() })
  fastify.addHook('onClose', () => plugin.close())
}

/** @throws FST_WS_CLASH, if the name of a decorator is taken */
function claimName<Name extends string> (name: Name, decorate: (name: Name) => unknown): void {
  try {
    decorate(name)
  } catch (cause) {
    throw new ClashError(takenName(name), { cause })
  }
}

function takenName (name: string): string {
  return `this instance has a decorator \`${name}\` already, of a second registration, of your ` +
    'own, or of @fastify/websocket, which mercurius registers for its subscriptions: ' +
    'register one of the two in a scope of its own'
}

const TAKEN_SERVER =
  '@fastify/websocket, which mercurius registers for its subscriptions, answers every upgrade of ' +
  'its server, also those of fastify-websocket: give one of the two a server of its own, as with ' +
  '`options: { port }`'

/** The property `ws` of requests. In a scope below, another plugin may have one of its own. */
const WS_PROPERTY = {
  getter (this: FastifyRequest): boolean {
    return upgradeOf(this.raw) !== undefined
  },
  // @fastify/websocket sets it. Without a setter each request of its scope would throw.
  setter (this: FastifyRequest, value: boolean): void {
    const isPlain = { configurable: true, enumerable: true, writable: true }
    Object.defineProperty(this, 'ws', { value, ...isPlain })
  }
}

/** @throws the first problem of the routes that were declared before the plugin was there */
function checkRoutes (fastify: FastifyInstance): void {
  for (const { instance, problem } of routesOf(fastify)) {
    if (problem !== null && pluginOf(instance) !== undefined) throw problem
  }
}

/** Milliseconds. */
const SERVER_CHECK_INTERVAL = 50

/** The registrations of an application, of which all instances share `routing`. */
const registrations = new WeakMap<object, WebsocketPlugin[]>()

function siblingsOf ({ routing }: FastifyInstance): WebsocketPlugin[] {
  const plugins = registrations.get(routing) ?? []
  registrations.set(routing, plugins)
  return plugins
}

/** Fastify runs its hooks one after the other, but the clients of all are to go at once. */
async function closeTogether (fastify: FastifyInstance): Promise<void> {
  await Promise.all(siblingsOf(fastify).map((plugin) => plugin.closeClients()))
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
  readonly #ownServer: Server | null
  readonly #listener: UpgradeListener | null
  readonly #upgrades: ApplicationUpgrades | null
  #isAttached = false
  #isClosing = false
  #serverCheck: NodeJS.Timeout | undefined
  #closed: Promise<void> | null = null

  constructor (fastify: FastifyInstance, settings: PluginSettings) {
    const { websocket, verifyClient } = settings
    const { handleProtocols } = websocket
    this.#fastify = fastify
    this.#settings = settings
    this.#ownServer = settings.listen === null ? null : createUpgradeServer()
    this.source = this.#ownServer ?? settings.server ?? fastify.server
    this.server = new RouteServer(
      {
        ...websocket,
        ...(verifyClient !== null && { verifyClient: skipVerified(verifyClient) }),
        ...(handleProtocols !== undefined && { handleProtocols: askedOnce(handleProtocols) })
      },
      settings.noServer ? null : this.source
    )
    this.#listener = settings.noServer ? null : upgradeListenerOf(this.source, fastify)
    this.#upgrades = this.#listener?.upgradesOf(fastify) ?? null
  }

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
    if (this.#isClosing) return
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
      maxPayload
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
    for (const { [kOwner]: owner } of this.server.sockets) {
      if (owner instanceof Connection && owner.heartbeat === heartbeat) yield owner
    }
  }

  /** @throws FST_WS_CLOSING, FST_WS_TOO_MANY_CONNECTIONS */
  #checkRoom (): void {
    if (this.#isClosing) throw new ClosingError()
    const { sockets } = this.server
    if (sockets.size >= this.#settings.maxConnections) throw new TooManyConnectionsError()
  }

  /** Lets no new client in. */
  refuse (): void {
    const { shutdownTimeout } = this.#settings
    this.#isClosing = true
    if (this.#upgrades !== null) this.#listener?.close(this.#upgrades, shutdownTimeout)
    // From now on ws refuses what comes through `handleUpgrade`, too.
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
    this.#serverCheck = setInterval(() => {
      if (!this.#fastify.server.listening) this.#closed ??= this.#closeClients()
    }, SERVER_CHECK_INTERVAL).unref()
  }

  closeClients (): Promise<void> {
    this.#closed ??= this.#closeClients()
    return this.#closed
  }

  async #closeClients (): Promise<void> {
    clearInterval(this.#serverCheck)
    const undecided = this.#upgrades?.undecided ?? []
    await closeClients(this.server.sockets, undecided, this.#settings.shutdownTimeout)
  }

  async close (): Promise<void> {
    // It is done, unless a `preClose` hook of the user has failed.
    await this.closeClients()
    if (this.#isAttached && this.#upgrades !== null) this.#listener?.detach(this.#upgrades)
    this.#upgrades?.end()
    // Once more: an application that closes before it is ready has opened it since.
    this.#ownServer?.close()
    this.#ownServer?.closeAllConnections()
    this.server.close()
  }
}
