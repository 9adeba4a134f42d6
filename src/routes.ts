import { subscribe } from 'node:diagnostics_channel'
import type {
  FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions
} from 'fastify'
import type { IncomingMessage } from 'node:http'
import { readRouteOption } from './connection-options'
import { InvalidMethodError, InvalidWsHandlerError, toError } from './errors'
import { checkDeclaration } from './option-names'
import type { UpgradeResponse } from './response'
import { kPlugin, kRoutes, kUpgrade } from './symbols'
import type { WebsocketConnectionOptions, WebsocketHandler } from './types'

/** A GET route of whatever kind, or a wrong websocket route, as its instance declared it. */
export interface DeclaredRoute {
  readonly instance: FastifyInstance
  readonly url: string
  readonly isWebsocket: boolean
  readonly constraints: object
  /** What is wrong with it as a websocket route, or null. */
  readonly problem: Error | null
}

/** Who takes the connections of a websocket route, and what the route says of them. */
export interface WebsocketTarget {
  readonly handler: WebsocketHandler
  readonly options: WebsocketConnectionOptions | null
}

/** The plugin, as the routes on its instance and below see it. */
export interface RoutePlugin {
  /** It has a handler for upgrades that reach no websocket route. */
  readonly hasHandle: boolean
  /** Whether its server wants the upgrade: ws's `shouldHandle`, which users override. */
  shouldHandle (request: IncomingMessage): boolean
  /**
   * Whether it takes an upgrade that reached a GET route; `target` is null if that is no
   * websocket route.
   */
  takes (target: WebsocketTarget | null, request: FastifyRequest): boolean
  takeUpgrade (
    target: WebsocketTarget | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeResponse
  ): void
}

type RouteHandler = (this: FastifyInstance, ...args: unknown[]) => unknown

// Fastify runs `onRoute` at once, so a plugin, which loads later, would miss the routes on the
// lines after `register`. Fastify announces every new instance on this channel, which is
// documented, and there the routes are seen from the first.
subscribe('fastify.initialization', (message) => {
  // The documented shape of the message.
  const { fastify } = message as { fastify: FastifyInstance }
  watchRoutes(fastify)
})

/**
 * The GET routes declared so far on the root of `fastify` and below. An instance that was made
 * before this module was loaded is watched from now on, with a warning if it has some already.
 */
export function routesOf (fastify: FastifyInstance): DeclaredRoute[] {
  const routes = (fastify as { [kRoutes]?: DeclaredRoute[] })[kRoutes]
  if (routes !== undefined) return routes
  if (fastify.printRoutes({ method: 'GET' }) !== NO_ROUTES) {
    process.emitWarning(LATE_WARNING, { code: 'FST_WS_LOADED_LATE' })
  }
  return watchRoutes(fastify)
}

/** What Fastify prints for an instance without GET routes. */
const NO_ROUTES = '(empty tree)'

const LATE_WARNING =
  'fastify-websocket was loaded after this Fastify instance had declared GET routes, so it ' +
  'cannot take their upgrades. Load it before the instance is created, at the top of the file, ' +
  'or declare the routes in a plugin or after `await fastify.register(fastifyWebsocket)`.'

/** By `routing`, which all instances of an application share. */
const applications = new WeakMap<object, DeclaredRoute[]>()

function watchRoutes (fastify: FastifyInstance): DeclaredRoute[] {
  // Of an application that is older than this module, each scope with the plugin is watched.
  const routes = applications.get(fastify.routing) ?? []
  applications.set(fastify.routing, routes)
  Object.defineProperty(fastify, kRoutes, { value: routes })
  fastify.addHook('onRoute', function (options) { adoptRoute(this, options, routes) })
  return routes
}

function adoptRoute (
  instance: FastifyInstance, options: RouteOptions, routes: DeclaredRoute[]
): void {
  const isWebsocket = options.wsHandler !== undefined ||
    (options.websocket !== undefined && options.websocket !== false)
  const methods = [options.method].flat()
  if (!isWebsocket && !methods.includes('GET')) return

  const { url, constraints = {} } = options
  const problem = findProblem(options, isWebsocket, methods, routes)
  if (problem !== null && pluginOf(instance) !== undefined) throw problem
  if (methods.includes('GET') || problem !== null) {
    routes.push({ instance, url, constraints, isWebsocket, problem })
  }

  const isWebsocketOnly = isWebsocket && options.wsHandler === undefined
  // What answers 404 to HTTP is no part of the HTTP interface that @fastify/swagger describes.
  if (isWebsocketOnly) options.schema = Object.assign({}, options.schema, { hide: true })
  // The handler of a websocket route has another signature than Fastify's types say here.
  const handler = options.handler as unknown as RouteHandler
  const wsHandler = isWebsocketOnly
    ? options.handler as unknown as WebsocketHandler
    : options.wsHandler
  const target = wsHandler === undefined
    ? null
    : { handler: wsHandler, options: problem === null ? readRouteOption(options.websocket) : null }
  options.onRequest = [options.onRequest ?? [], createUpgradeFilter(target)].flat()
  options.handler = wrapHandler(handler, target, isWebsocketOnly)
}

function findProblem (
  options: RouteOptions, isWebsocket: boolean, methods: string[], routes: DeclaredRoute[]
): Error | null {
  try {
    checkDeclaration(options, isWebsocket)
    if (isWebsocket) checkRoute(options, methods, routes)
    return null
  } catch (error) {
    return toError(error)
  }
}

/** @throws what is wrong with the options of the route, its wsHandler or its method */
function checkRoute (options: RouteOptions, methods: string[], routes: DeclaredRoute[]): void {
  readRouteOption(options.websocket)
  if (options.wsHandler !== undefined && typeof options.wsHandler !== 'function') {
    throw new InvalidWsHandlerError()
  }
  if (methods.some((method) => method !== 'GET' && method !== 'HEAD')) {
    throw new InvalidMethodError()
  }
  if (methods.includes('GET')) return
  // Fastify declares a HEAD route of its own for every GET route. Under a prefix, the GET route `/`
  // has a second path, with a trailing slash, that only the HEAD route is announced for.
  const isAutomatic = routes.some(({ url, isWebsocket }) => {
    return isWebsocket && withoutSlash(url) === withoutSlash(options.url)
  })
  if (!isAutomatic) throw new InvalidMethodError()
}

function withoutSlash (url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url
}

/**
 * The last `onRequest` hook of a route. It sends an upgrade that nobody takes to the 404 handler
 * here, because the hooks that would follow run again there.
 */
function createUpgradeFilter (target: WebsocketTarget | null): onRequestHookHandler {
  return function (request, reply, done) {
    const isUpgrade = upgradeOf(request.raw) !== undefined
    if (!isUpgrade || pluginOf(this)?.takes(target, request) === true) done()
    else reply.callNotFound()
  }
}

/** Wrapped once for all: whether the plugin is there is known only when requests come. */
function wrapHandler (
  handler: RouteHandler, target: WebsocketTarget | null, isWebsocketOnly: boolean
): RouteHandler {
  return function (this: FastifyInstance, ...args: unknown[]) {
    const upgrade = upgradeOf(rawOf(args[0]))
    if (upgrade !== undefined) {
      const [request, reply] = args as [FastifyRequest, FastifyReply]
      pluginOf(this)?.takeUpgrade(target, request, reply, upgrade)
      return undefined
    }
    // Without the plugin on this instance another one may call the handler, with any arguments.
    if (!isWebsocketOnly || pluginOf(this) === undefined) return handler.apply(this, args)
    const reply = args[1] as FastifyReply
    reply.code(404).send()
    return undefined
  }
}

/** The response to a raw request that is an upgrade. */
export function upgradeOf (raw: IncomingMessage | undefined): UpgradeResponse | undefined {
  // What this library has put there, under a symbol of its own.
  return (raw as { [kUpgrade]?: UpgradeResponse } | undefined)?.[kUpgrade]
}

/** The raw request, if `request` is a request of Fastify. */
function rawOf (request: unknown): IncomingMessage | undefined {
  return (request as Partial<FastifyRequest> | undefined)?.raw
}

/** The plugin that is registered on an instance or above it. */
export function pluginOf (instance: FastifyInstance): RoutePlugin | undefined {
  return (instance as { [kPlugin]?: RoutePlugin })[kPlugin]
}
