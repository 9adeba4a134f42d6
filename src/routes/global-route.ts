import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { upgradeOf } from '../handshake/upgrade-of'
import { routesOf, type DeclaredRoute } from './websocket-route'
import type { WebsocketHandler } from '../types'

const STRATEGY = 'fastifyWebsocket'
const UPGRADE = Symbol('upgrade')

/**
 * Declares the route that the global `handle` is: a GET of any path below the prefix of `fastify`.
 * Being constrained to upgrades, it never collides with a `*` route of the user.
 */
export function declareGlobalRoute (fastify: FastifyInstance, handle: WebsocketHandler): void {
  if (!fastify.hasConstraintStrategy(STRATEGY)) {
    fastify.addConstraintStrategy(createStrategy(routesOf(fastify)))
  }
  const paths = fastify.prefix === '' ? ['/*'] : ['/*', '']
  for (const path of paths) {
    const constraints = { [STRATEGY]: fastify.prefix + path }
    fastify.get(path, { websocket: true, constraints, exposeHeadRoute: false }, handle)
  }
}

/** A constraint that only an upgrade meets. Its value in a route is the route's own URL. */
function createStrategy (routes: readonly DeclaredRoute[]) {
  return {
    name: STRATEGY,
    storage: <Handler>() => new GlobalRouteStorage<Handler>(routes),
    validate: (): void => {},
    deriveConstraint: (req: IncomingMessage): symbol | undefined =>
      upgradeOf(req) === undefined ? undefined : UPGRADE
  }
}

/** The global routes of one node of the router. */
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

/** A constrained route comes first in the router, but the user's own websocket route must. */
function isOverride (route: DeclaredRoute, globalUrl: unknown): boolean {
  const { url, isWebsocket, constraints } = route
  if (!isWebsocket || Object.keys(constraints).length > 0) return false
  return url === globalUrl || (url === '*' && globalUrl === '/*')
}
