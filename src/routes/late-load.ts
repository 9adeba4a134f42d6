/**
 * Makes `require('fastify-websocket')` work on a line after the Fastify instance was made, as in
 * `fastify.register(require('fastify-websocket'))` with the routes on the next lines.
 *
 * No public interface of Fastify tells of an instance that exists already: its channel announces
 * only new instances, and `register` calls the plugin after the next lines have declared their
 * routes. But Fastify gives every route to its router, find-my-way, with a context that names the
 * instance. So if Fastify was loaded first, this file replaces the method `on` of the router until
 * the next tick.
 *
 * 1. The first route of an instance reaches `on`. From then on an `onRoute` hook of the instance
 *    tells of its later routes.
 * 2. `on` does not get the options of the first route. But Fastify declares a HEAD route with the
 *    same options right after a GET route, and the `onRoute` hook gets the options of that route.
 * 3. With these options the first route is recorded, and its handler is replaced in its context.
 *
 * Upgrades to routes that were declared in earlier ticks are refused, in `upgrade-or-plain.ts`, and
 * `registered-plugin.ts` warns of them.
 */
import type { FastifyInstance, RouteOptions } from 'fastify'
import { createRequire } from 'node:module'
import { isObject } from '../options/checks'
import { nextTick } from '../stream/next-tick'
import { adoptLate } from './declared-route'
import { applicationOf, watchLate } from './registry'
import type { RouteHandler } from './upgrade-or-plain'

/** The object that Fastify gives its router with a route. */
interface RouteContext {
  readonly server: FastifyInstance
  /** Below a prefix, the route `/` has two paths. `config.url` is the same for both. */
  readonly config: { readonly url: string }
  /** Whether Fastify declares a HEAD route for the route, if it is a GET route. */
  readonly exposeHeadRoute: boolean
  handler: RouteHandler
}

interface Router {
  on (...args: unknown[]): unknown
}

/** Marks the watching `on`, so that a second copy of this library does not watch as well. */
const kWatching = Symbol.for('fastify-websocket.watching')

/** Finds the existing Fastify instances that declare routes before the next tick. */
export function watchExistingInstances (): void {
  const router = findRouter()
  if (router === null || kWatching in router.on) return
  const { on } = router
  let first: FirstRoute | null = null
  let isOver = false
  const watchingOn = function (this: unknown, ...args: unknown[]): unknown {
    const [method, , , , context] = args
    if (!isOver && isRouteContext(context)) first = watchRoute([method].flat(), context, first)
    return Reflect.apply(on, this, args)
  }
  router.on = Object.assign(watchingOn, { [kWatching]: true })
  nextTick(() => {
    isOver = true
    // If another library has put its own function around ours, ours stays and only calls `on`.
    if (router.on === watchingOn) router.on = on
  })
}

/** The prototype of Fastify's routers, or null if Fastify has not been loaded yet. */
function findRouter (): Router | null {
  try {
    const fastify = require.resolve('fastify')
    if (require.cache[fastify] === undefined) return null
    return createRequire(fastify)('find-my-way').prototype
  } catch {
    // In a bundle, or if this file cannot resolve Fastify, there is no such module.
    return null
  }
}

/** Whether a context belongs to a route of an instance. The contexts of 404 handlers do not. */
function isRouteContext (context: unknown): context is RouteContext {
  return isObject(context) && 'server' in context && isObject(context.server) &&
    'routing' in context.server
}

/** Returns the first route whose HEAD route, or whose second path, may come next. */
function watchRoute (
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
  /** The application had GET routes before, and nothing is known of them. */
  readonly #hadRoutes: boolean
  /** Fastify has since declared only the HEAD routes of this route. */
  #isLast: boolean
  #wrap: ((handler: RouteHandler) => RouteHandler) | null = null

  constructor (methods: unknown[], context: RouteContext) {
    const { server, exposeHeadRoute } = context
    this.#methods = methods
    this.#context = context
    this.#isLast = exposeHeadRoute && methods.includes('GET') && !methods.includes('HEAD')
    // This hook runs before the one that `watchLate` adds, which would take the HEAD route for a
    // mistake, because the GET route is not recorded yet.
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
    // Strings, as Fastify has checked.
    const method = this.#methods as string[]
    const application = applicationOf(server)
    this.#wrap = adoptLate(server, { ...options, url: config.url, method }, application)
    this.#context.handler = this.#wrap(this.#context.handler)
    application.hasUnknown = this.#hadRoutes
  }

  /** Below a prefix, the route `/` has a second path. `onRoute` hooks are not told of it. */
  seeAgain (context: RouteContext): void {
    const { server, config } = this.#context
    if (!this.#isLast || this.#wrap === null || context === this.#context) return
    if (context.server !== server || context.config.url !== config.url) return
    context.handler = this.#wrap(context.handler)
  }
}
