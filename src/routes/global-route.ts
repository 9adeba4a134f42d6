/**
 * The route that the option `handle` becomes. It is a GET route of every path below the prefix, for
 * upgrades only, so that an upgrade to `handle` runs all hooks. The user's own routes come first.
 */
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { upgradeOf } from '../handshake/upgrade-of'
import type { MessageSchemas, WebsocketHandler } from '../types'
import type { DeclaredRoute } from './application'
import { noop } from './noop'
import { routesOf } from './registered-plugin'

const STRATEGY = 'fastifyWebsocket'
const UPGRADE = Symbol('upgrade')

/**
 * Declares the route of the global `handle`: GET of any path below the prefix of `fastify`. Its
 * constraint lets only upgrades in, so it never collides with a `*` route of the user. Returns the
 * record.
 */
export function declareGlobalRoute (
  fastify: FastifyInstance, handle: WebsocketHandler, schema: MessageSchemas | null
): DeclaredRoute | undefined {
  const routes = routesOf(fastify)
  if (!fastify.hasConstraintStrategy(STRATEGY)) {
    fastify.addConstraintStrategy(createStrategy(routes))
  }
  const paths = fastify.prefix === '' ? ['/*'] : ['/*', '']
  for (const path of paths) {
    const constraints = { [STRATEGY]: fastify.prefix + path }
    const options = { constraints, exposeHeadRoute: false, schema: { ...schema } }
    fastify.get(path, { ...options, websocket: true }, handle)
  }
  return routes.at(-1)
}

/** Whether a route is that of a global `handle`. */
export function isGlobalRoute ({ constraints }: DeclaredRoute): boolean {
  return STRATEGY in constraints
}

/** A constraint that only upgrades meet. A route gives it the URL of the route as value. */
function createStrategy (routes: readonly DeclaredRoute[]) {
  return {
    name: STRATEGY,
    storage: <Handler>() => new GlobalRouteStorage<Handler>(routes),
    validate: noop,
    deriveConstraint: (req: IncomingMessage): symbol | undefined =>
      upgradeOf(req) === undefined ? undefined : UPGRADE
  }
}

/** The routes of global handlers that share one path in the router, by their URLs. */
class GlobalRouteStorage<Handler> {
  readonly #routes: readonly DeclaredRoute[]
  readonly #handlers = new Map<unknown, Handler>()

  constructor (routes: readonly DeclaredRoute[]) {
    this.#routes = routes
  }

  set (url: unknown, handler: Handler): void {
    this.#handlers.set(url, handler)
  }

  get (value: unknown): Handler | null {
    if (value !== UPGRADE) return this.#handlers.get(value) ?? null
    for (const [url, handler] of this.#handlers) {
      if (!this.#routes.some((route) => isOverride(route, url))) return handler
    }
    return null
  }
}

/**
 * Whether `route` is a websocket route of the user that takes the upgrades of `globalUrl`. The
 * router tries routes with a constraint first, so it would prefer the global route.
 */
function isOverride (route: DeclaredRoute, globalUrl: unknown): boolean {
  const { url, isWebsocket, constraints } = route
  if (!isWebsocket || Object.keys(constraints).length > 0) return false
  return url === globalUrl || (url === '*' && globalUrl === '/*')
}
