/**
 * The plugin of this copy of the library, as the routes of an application see it. `registration.ts`
 * implements `RoutePlugin`; the taker below asks it what to do with an upgrade that has reached
 * a route, and `upgrade-or-plain.ts` asks the taker.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { UpgradeAnswer } from '../handshake/upgrade-answer'
import { upgradeOf } from '../handshake/upgrade-of'
import { logText } from '../observe/log'
import type { DeclaredRoute, RouteTaker, WebsocketTarget } from './application'
import { watchLate } from './registry'

/** One registration of the plugin, as the routes on its instance and below see it. */
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
  /** Answers an upgrade that it takes. */
  takeUpgrade (
    target: WebsocketTarget | null,
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeAnswer
  ): void
}

/** On an instance with the plugin, and by inheritance on those below: the registration there. */
export const kPlugin = Symbol('fastify-websocket.plugin')

/** The plugin that is registered on an instance or above it. */
export function pluginOf (instance: FastifyInstance): RoutePlugin | undefined {
  // Fastify's types know no decorator whose name is a symbol of ours.
  return (instance as { [kPlugin]?: RoutePlugin })[kPlugin]
}

/**
 * The GET routes declared so far on the root of `fastify` and below. From now on this copy of the
 * library takes their upgrades. An instance that was made before the library was loaded is watched
 * from now on, with a warning if it has GET routes already.
 */
export function routesOf (fastify: FastifyInstance): DeclaredRoute[] {
  const application = watchLate(fastify)
  if (!application.takers.includes(taker)) application.takers.push(taker)
  if (application.hasUnknown) {
    application.hasUnknown = false
    process.emitWarning(LATE_WARNING, { code: 'FST_WS_LOADED_LATE' })
  }
  return application.routes
}

const LATE_WARNING =
  'fastify-websocket was loaded after this Fastify instance had declared GET routes. It has not ' +
  'seen their options, so it refuses their upgrades. Load it before the instance is created, at ' +
  'the top of the file, or declare the routes in a plugin or after ' +
  '`await fastify.register(fastifyWebsocket)`.'

const taker: RouteTaker = {
  reaches: (instance) => pluginOf(instance) !== undefined,
  isUpgrade: (raw) => upgradeOf(raw) !== undefined,
  stops (target, instance, request, reply) {
    const upgrade = upgradeOf(request.raw)
    if (upgrade === undefined) return false
    // An earlier hook has begun to answer, so no plugin can take the upgrade any more.
    if (upgrade.isRefused) return true
    const plugin = pluginOf(instance)
    if (plugin?.takes(target, request) === true) return false
    if (target === null && plugin?.hasHandle === false) logHttpOnly(request)
    reply.callNotFound()
    return true
  },
  takes (target, instance, request, reply) {
    const upgrade = upgradeOf(request.raw)
    if (upgrade === undefined) return false
    pluginOf(instance)?.takeUpgrade(target, request, reply, upgrade)
    return true
  }
}

/** Logs that a path has a route for HTTP only: the 404 of the upgrade says there is no route. */
function logHttpOnly (request: FastifyRequest): void {
  const { url } = request.routeOptions
  logText(request.log, 'info',
    `the route ${url} takes no WebSockets: declare it with \`websocket: true\` or a ` +
    '`wsHandler` to accept WebSockets'
  )
}
