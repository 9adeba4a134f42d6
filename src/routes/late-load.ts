/**
 * What makes `require('fastify-websocket')` work on a line after the Fastify instance was made, as
 * in `fastify.register(require('fastify-websocket'))` with the routes on the next lines.
 *
 * No public interface of Fastify tells of an instance that exists already: its channel announces
 * only new ones, and `register` calls the plugin when the routes have long been declared. But every
 * route goes through find-my-way, the router that Fastify uses, with a context that names the
 * instance. So where Fastify was loaded first, the method `on` of the router is watched until the
 * next tick, and then put back. The first route tells of the instance, which from then on announces
 * its routes itself. How that first route was declared is told by the HEAD route that Fastify
 * declares right behind it with the same options.
 */
import type { FastifyInstance, RouteOptions } from 'fastify'
import { createRequire } from 'node:module'
import { isObject } from '../options/checks'
import { adoptLate, applicationOf, watchLate, type RouteHandler } from './registry'

/** What Fastify hands its router with a route. */
interface RouteContext {
  readonly server: FastifyInstance
  /** Its `url` is the same for both paths of the route `/` below a prefix. */
  readonly config: { readonly url: string }
  /** Fastify declares a HEAD route for the route, if that is for GET. */
  readonly exposeHeadRoute: boolean
  handler: RouteHandler
}

interface Router {
  on (...args: unknown[]): unknown
}

/** On the watching `on`: several copies of this library need only one. */
const kWatching = Symbol.for('fastify-websocket.watching')

/** Finds the Fastify instances that declare routes before the next tick. */
export function watchLoad (): void {
  const router = findRouter()
  if (router === null || kWatching in router.on) return
  const { on } = router
  let first: FirstRoute | null = null
  let isOver = false
  const watchingOn = function (this: unknown, ...args: unknown[]): unknown {
    const [method, , , , context] = args
    if (!isOver && isRouteContext(context)) first = see([method].flat(), context, first)
    return Reflect.apply(on, this, args)
  }
  router.on = Object.assign(watchingOn, { [kWatching]: true })
  process.nextTick(() => {
    isOver = true
    // Else another library has put its own function around this one, which now only passes on.
    if (router.on === watchingOn) router.on = on
  })
}

/** The prototype of the routers of a Fastify that is loaded already, or null. */
function findRouter (): Router | null {
  try {
    const fastify = require.resolve('fastify')
    if (require.cache[fastify] === undefined) return null
    return createRequire(fastify)('find-my-way').prototype
  } catch {
    // In a bundle, or where Fastify is out of reach, modules are not found by their names.
    return null
  }
}

/** Whether a route is of an instance of Fastify. Handlers of its 404 routes come without. */
function isRouteContext (context: unknown): context is RouteContext {
  return isObject(context) && 'server' in context && isObject(context.server) &&
    'routing' in context.server
}

/** Returns the route whose HEAD route, or second path, may come next. */
function see (
  methods: unknown[], context: RouteContext, first: FirstRoute | null
): FirstRoute | null {
  const { server } = context
  if (!applicationOf(server).watched.has(server)) return new FirstRoute(methods, context)
  first?.seeAgain(context)
  return first
}

/** The first route of an instance. */
class FirstRoute {
  readonly #methods: unknown[]
  readonly #context: RouteContext
  /** The instance had other routes before, of which nothing is known. */
  readonly #hadRoutes: boolean
  /** Whatever Fastify has declared since belongs to this route, too. */
  #isLast: boolean
  #wrap: ((handler: RouteHandler) => RouteHandler) | null = null

  constructor (methods: unknown[], context: RouteContext) {
    const { server, exposeHeadRoute } = context
    this.#methods = methods
    this.#context = context
    this.#isLast = exposeHeadRoute && methods.includes('GET') && !methods.includes('HEAD')
    // Comes before the hook of the recorder, which knows a HEAD route by the GET route before it.
    server.addHook('onRoute', (options) => { this.#seeNext(options) })
    const application = watchLate(server)
    this.#hadRoutes = application.hasUnknown
    application.hasUnknown ||= methods.includes('GET')
  }

  #seeNext (options: RouteOptions): void {
    const { server, config } = this.#context
    this.#isLast &&= options.method === 'HEAD' &&
      (options.url === config.url || options.url === `${config.url}/`)
    if (!this.#isLast || this.#wrap !== null) return
    // Fastify has checked these methods.
    const method = this.#methods as string[]
    this.#wrap = adoptLate(server, { ...options, url: config.url, method })
    this.#context.handler = this.#wrap(this.#context.handler)
    applicationOf(server).hasUnknown = this.#hadRoutes
  }

  /** Below a prefix, the route `/` has a second path, which `onRoute` does not announce. */
  seeAgain (context: RouteContext): void {
    const { server, config } = this.#context
    if (!this.#isLast || this.#wrap === null || context === this.#context) return
    if (context.server !== server || context.config.url !== config.url) return
    context.handler = this.#wrap(context.handler)
  }
}
