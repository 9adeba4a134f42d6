/**
 * Sends a request that reaches a recorded route to a handler: an upgrade to the websocket handler,
 * a plain request to the HTTP handler, and either to a 404 if the route has no handler for it.
 * `declared-route.ts` puts these functions around the hooks and the handler of each route.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { UnknownRouteError } from '../errors'
import type { Application, DeclaredRoute } from './application'

/** The handler of a route, for HTTP or for WebSockets, which have different parameters. */
export type RouteHandler = (this: FastifyInstance, ...args: unknown[]) => unknown

/**
 * Creates the last `onRequest` hook of a route. It sends an upgrade that no plugin takes to the 404
 * handler. An earlier hook would be too early, because the user's hooks may answer the upgrade, and
 * a later one too late, because the hooks after `onRequest` run again for the 404 handler.
 */
export function createUpgradeFilter (
  route: DeclaredRoute, { takers }: Application
): onRequestHookHandler {
  return function (request, reply, done) {
    if (!takers.some((taker) => taker.stops(route.target, this, request, reply))) done()
  }
}

/**
 * Creates an `onRequest` hook for an instance that may have routes which were never recorded. It
 * refuses upgrades of such a route with FST_WS_UNKNOWN_ROUTE.
 */
export function createLateFilter (
  { routes, takers, filters }: Application
): onRequestHookHandler {
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
 * Wraps the handler of a route. One wrapper serves all copies of this library, because only a
 * request shows which copy has its plugin on the instance.
 */
export function wrapHandler (
  handler: RouteHandler, route: DeclaredRoute, { takers }: Application
): RouteHandler {
  return function (this: FastifyInstance, ...args: unknown[]) {
    const [request, reply] = args as [FastifyRequest, FastifyReply]
    // Another plugin may call the handler with arguments of its own, as @fastify/websocket does.
    if (!isRequest(request)) return handler.apply(this, args)
    for (const taker of takers) {
      if (taker.takes(route.target, this, request, reply)) return untilSent(reply)
    }
    if (!route.isWebsocketOnly || !takers.some((taker) => taker.reaches(this))) {
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
 * The value to return from a handler whose reply may be sent later. Another plugin can have wrapped
 * the handler in an async function: if that resolves without a value, Fastify sends an empty answer
 * at once, and if it resolves with the reply, Fastify waits.
 */
function untilSent (reply: FastifyReply): FastifyReply | undefined {
  return reply.sent ? undefined : reply
}
