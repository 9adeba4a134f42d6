/**
 * Sees the routes of every Fastify instance from its first one. It records them and wraps their
 * handlers, so that a plugin that loads later can take their upgrades. A process has one recorder,
 * however many copies of this library it has loaded: each copy joins an application as a taker.
 */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import type {
  FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions
} from 'fastify'
import type { IncomingMessage } from 'node:http'
import { readRouteOption } from '../options/connection-options'
import { InvalidMethodError, InvalidWsHandlerError, UnknownRouteError } from '../errors'
import { toError } from '../observe/thrown'
import { checkDeclaration } from '../options/names'
import { kReplyWatcher } from '../handshake/symbols'
import type { WebsocketConnectionOptions, WebsocketHandler } from '../types'

/** A GET route of whatever kind, or a wrong websocket route, as its instance declared it. */
export interface DeclaredRoute {
  readonly instance: FastifyInstance
  readonly url: string
  readonly isWebsocket: boolean
  readonly constraints: object
  /** What is wrong with it as a websocket route, or null. */
  readonly problem: Error | null
}

/** The handler of a websocket route's connections, and the options that the route gives them. */
export interface WebsocketTarget {
  readonly handler: WebsocketHandler
  readonly options: WebsocketConnectionOptions | null
}

/** One copy of this library: what it does with requests that reach a recorded route. */
export interface RouteTaker {
  /** Whether the plugin of this copy is registered on an instance or above it. */
  reaches (instance: FastifyInstance): boolean
  /** Whether a raw request is an upgrade that this copy has dispatched. */
  isUpgrade (raw: IncomingMessage): boolean
  /**
   * Before the handler: sends an upgrade of this copy that no plugin takes on this route to the 404
   * handler. Returns whether the request is to go no further.
   */
  stops (
    target: WebsocketTarget | null,
    instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply
  ): boolean
  /** Takes the request if it is an upgrade of this copy, and returns whether it has done so. */
  takes (
    target: WebsocketTarget | null,
    instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply
  ): boolean
}

/** All instances that share one `routing`, and their routes. */
export interface Application {
  readonly routes: DeclaredRoute[]
  readonly takers: RouteTaker[]
  /** The instances whose new routes are seen. */
  readonly watched: Set<FastifyInstance>
  /** What refuses upgrades of a route that was recorded without its options, by its handler. */
  readonly filters: Map<unknown, onRequestHookHandler>
  /** What is called when the application begins to close, before any hook of the user. */
  readonly onClosing: Array<() => void>
  /** It may have GET routes that are not in `routes`. */
  hasUnknown: boolean
  /** The newest instance. Fastify runs hooks such as `preClose` in the order of their instances. */
  last: FastifyInstance
}

export type RouteHandler = (this: FastifyInstance, ...args: unknown[]) => unknown

const CHANNEL = 'fastify.initialization'

/** Where the recorder of the process is. The number changes when these types do. */
const kRecorder = Symbol.for('fastify-websocket.recorder.1')

interface Recorder {
  /** By `routing`, which all instances of an application share. */
  readonly applications: WeakMap<object, Application>
  readonly onInstance: (message: unknown) => void
}

const applications = becomeRecorder()

/**
 * Fastify announces every new instance on a documented channel. The newest copy listens there
 * instead of an older one, so that copies which nothing else uses can be collected. The recorder
 * is kept on the channel, because jest gives each test file a `globalThis` of its own.
 */
function becomeRecorder (): WeakMap<object, Application> {
  const initialization: object & { [kRecorder]?: Recorder } = channel(CHANNEL)
  const older = initialization[kRecorder]
  const applications = older?.applications ?? new WeakMap<object, Application>()
  // Node.js forgets a channel that has no subscriber, so the new one comes first.
  subscribe(CHANNEL, onInstance)
  if (older !== undefined) unsubscribe(CHANNEL, older.onInstance)
  initialization[kRecorder] = { applications, onInstance }
  return applications
}

function onInstance (message: unknown): void {
  // The documented shape of the message.
  const { fastify } = message as { fastify: FastifyInstance }
  watch(fastify)
}

/** The application that `fastify` is part of, as far as it has been recorded. */
export function applicationOf (fastify: FastifyInstance): Application {
  const known = applications.get(fastify.routing)
  if (known !== undefined) return known
  const application: Application = {
    routes: [],
    takers: [],
    watched: new Set(),
    filters: new Map(),
    onClosing: [],
    hasUnknown: false,
    last: fastify
  }
  applications.set(fastify.routing, application)
  return application
}

function watch (fastify: FastifyInstance): void {
  const application = applicationOf(fastify)
  application.watched.add(fastify)
  fastify.addHook('onRequest', tellOfReply)
  fastify.addHook('onError', tellOfError)
  fastify.addHook('preClose', async () => {
    for (const onClosing of application.onClosing) onClosing()
  })
  fastify.addHook('onRegister', (child) => {
    application.watched.add(child)
    application.last = child
  })
  fastify.addHook('onRoute', function (options) { adoptRoute(this, options, application) })
}

/**
 * Watches an instance that was made before this library was loaded, if that has not been done.
 * Upgrades of the routes that it has already are refused, because those may be websocket routes.
 */
export function watchLate (fastify: FastifyInstance): Application {
  const application = applicationOf(fastify)
  if (application.watched.has(fastify)) return application
  if (application.watched.size === 0) application.hasUnknown = hasRoutes(fastify)
  watch(fastify)
  fastify.addHook('onRequest', createLateFilter(application))
  return application
}

/** What Fastify prints for an instance without GET routes. */
const NO_ROUTES = '(empty tree)'

function hasRoutes (fastify: FastifyInstance): boolean {
  return fastify.printRoutes({ method: 'GET' }) !== NO_ROUTES
}

/** The root of an application: an instance has its parent as prototype, as Fastify documents. */
export function rootOf (fastify: FastifyInstance): FastifyInstance {
  const parent: Partial<FastifyInstance> | null = Object.getPrototypeOf(fastify)
  return parent?.routing === undefined ? fastify : rootOf(parent as FastifyInstance)
}

/** What a copy of this library has put on a raw request to follow its reply. */
export interface ReplyWatcher {
  /** Fastify has made the reply. No hook of the user has run. */
  onReply (reply: FastifyReply): void
  /** Something has gone wrong, and Fastify is about to answer with the error. */
  onError (): void
}

function replyWatcherOf (
  { raw }: { raw: IncomingMessage & { [kReplyWatcher]?: ReplyWatcher } }
): ReplyWatcher | undefined {
  return raw[kReplyWatcher]
}

/** The first hook of each application: no hook of the user can answer before it has run. */
function tellOfReply (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  replyWatcherOf(request)?.onReply(reply)
  done()
}

function tellOfError (
  request: FastifyRequest, _reply: FastifyReply, _error: Error, done: () => void
): void {
  replyWatcherOf(request)?.onError()
  done()
}

// --- Routes ---

function adoptRoute (
  instance: FastifyInstance, options: RouteOptions, application: Application
): void {
  const target = recordRoute(instance, options, application)
  if (target === undefined) return
  const isWebsocketOnly = target !== null && options.wsHandler === undefined
  // What answers 404 to HTTP is no part of the HTTP interface that @fastify/swagger describes.
  if (isWebsocketOnly) options.schema = Object.assign({}, options.schema, { hide: true })
  options.onRequest = [options.onRequest ?? [], createUpgradeFilter(target, application)].flat()
  // The handler of a websocket route has another signature than Fastify's types say here.
  const handler = options.handler as unknown as RouteHandler
  options.handler = wrapHandler(handler, target, isWebsocketOnly, application)
}

/**
 * Records a route. Returns the target of its upgrades, null if it takes none, or undefined if
 * the route does not matter.
 */
function recordRoute (
  instance: FastifyInstance, options: RouteOptions, application: Application
): WebsocketTarget | null | undefined {
  const isWebsocket = options.wsHandler !== undefined ||
    (options.websocket !== undefined && options.websocket !== false)
  const methods = [options.method].flat()
  if (!isWebsocket && !methods.includes('GET')) return undefined

  const { routes, takers } = application
  const { url, constraints = {} } = options
  const problem = findProblem(options, isWebsocket, methods, routes)
  if (problem !== null && takers.some((taker) => taker.reaches(instance))) throw problem
  if (isWebsocket && !routes.some((route) => route.isWebsocket)) {
    instance.addHook('onReady', () => { warnOfUnreached(routes) })
  }
  if (methods.includes('GET') || problem !== null) {
    routes.push({ instance, url, constraints, isWebsocket, problem })
  }
  if (!isWebsocket) return null
  // As above, of a websocket route.
  const handler = options.wsHandler ?? options.handler as unknown as WebsocketHandler
  return { handler, options: problem === null ? readRouteOption(options.websocket) : null }
}

/** Without a plugin for it, the handler of a websocket route gets a plain request, and may hang. */
function warnOfUnreached (routes: readonly DeclaredRoute[]): void {
  const urls = routes.filter(isUnreached).map(({ url }) => url)
  if (urls.length === 0) return
  process.emitWarning(
    `No plugin for WebSockets is registered where these routes are declared: ${urls.join(', ')}. ` +
    'Register fastify-websocket on their instance or above it.',
    { code: 'FST_WS_NOT_REGISTERED' }
  )
}

/** The plugins that take routes with `websocket: true` all add a `websocketServer`. */
function isUnreached ({ instance, isWebsocket }: DeclaredRoute): boolean {
  return isWebsocket && !instance.hasDecorator('websocketServer')
}

/**
 * Records a route that Fastify has already taken, from options that are as it was declared.
 * Returns what wraps its handler, which then needs no filter among the route's own hooks.
 */
export function adoptLate (
  instance: FastifyInstance, options: RouteOptions
): (handler: RouteHandler) => RouteHandler {
  const application = applicationOf(instance)
  const target = recordRoute(instance, options, application) ?? null
  const isWebsocketOnly = target !== null && options.wsHandler === undefined
  return (handler) => {
    const wrapped = wrapHandler(handler, target, isWebsocketOnly, application).bind(instance)
    application.filters.set(wrapped, createUpgradeFilter(target, application))
    return wrapped
  }
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

// --- Requests ---

/**
 * The last `onRequest` hook of a route. It sends an upgrade that no plugin takes to the 404
 * handler here, because the hooks that would follow run again there.
 */
function createUpgradeFilter (
  target: WebsocketTarget | null, { takers }: Application
): onRequestHookHandler {
  return function (request, reply, done) {
    if (!takers.some((taker) => taker.stops(target, this, request, reply))) done()
  }
}

/** A hook of an instance that may have routes of which nothing is known. */
function createLateFilter ({ routes, takers, filters }: Application): onRequestHookHandler {
  return function (request, reply, done) {
    const isUpgrade = takers.some((taker) => taker.isUpgrade(request.raw))
    if (!isUpgrade || request.is404) {
      done()
      return
    }
    const { url = '', handler } = request.routeOptions
    const filter = filters.get(handler)
    if (filter !== undefined) filter.call(this, request, reply, done)
    else if (routes.some((route) => route.url === url)) done()
    else done(new UnknownRouteError(url))
  }
}

/**
 * Wraps a handler once for all copies: only when requests come is it known which of them have a
 * plugin on the instance.
 */
function wrapHandler (
  handler: RouteHandler, target: WebsocketTarget | null,
  isWebsocketOnly: boolean, { takers }: Application
): RouteHandler {
  return function (this: FastifyInstance, ...args: unknown[]) {
    const [request, reply] = args as [FastifyRequest, FastifyReply]
    // Another plugin may call the handler with arguments of its own, as @fastify/websocket does.
    if (!isRequest(request)) return handler.apply(this, args)
    for (const taker of takers) {
      if (taker.takes(target, this, request, reply)) return untilSent(reply)
    }
    if (!isWebsocketOnly || !takers.some((taker) => taker.reaches(this))) {
      return handler.apply(this, args)
    }
    reply.code(404).send()
    return untilSent(reply)
  }
}

/** Whether the first argument of a handler is a request of Fastify. */
function isRequest (request: Partial<FastifyRequest> | null | undefined): boolean {
  return request?.raw !== undefined
}

/**
 * What a handler returns that may answer later. A plugin can have wrapped it in an asynchronous
 * function, and for Fastify one that resolves without a value asks for an empty answer at once.
 */
function untilSent (reply: FastifyReply): FastifyReply | undefined {
  return reply.sent ? undefined : reply
}
