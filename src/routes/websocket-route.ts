/** The plugin of this copy of the library, as the recorded routes of an application see it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { watchLoad } from './late-load'
import { watchLate, type DeclaredRoute, type RouteTaker, type WebsocketTarget } from './registry'
import { logText } from '../observe/log'
import type { UpgradeAnswer } from '../handshake/upgrade-answer'
import { upgradeOf } from '../handshake/upgrade-of'

export type { DeclaredRoute, WebsocketTarget }

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
    request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeAnswer
  ): void
}

const taker: RouteTaker = {
  reaches: (instance) => pluginOf(instance) !== undefined,
  isUpgrade: (raw) => upgradeOf(raw) !== undefined,
  stops (target, instance, request, reply) {
    const upgrade = upgradeOf(request.raw)
    if (upgrade === undefined) return false
    // The answer of an earlier hook is on its way, so there is nothing left to decide.
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

/** The answer will say that the route does not exist, which for HTTP it does. */
function logHttpOnly (request: FastifyRequest): void {
  const { url } = request.routeOptions
  logText(request.log, 'info',
    `the route ${url} takes HTTP requests alone: declare it with \`websocket: true\` or a ` +
    '`wsHandler` to accept WebSockets'
  )
}

/**
 * On a Fastify instance and, by inheritance, its children: the state of the plugin
 * registered there.
 */
export const kPlugin = Symbol('fastify-websocket.plugin')

watchLoad()

/**
 * The GET routes declared so far on the root of `fastify` and below. An instance that was made
 * before this module was loaded is watched from now on, with a warning if it has some already.
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
  'fastify-websocket was loaded after this Fastify instance had declared GET routes, so it does ' +
  'not know how, and refuses their upgrades. Load it before the instance is created, at the top ' +
  'of the file, or declare the routes in a plugin or after ' +
  '`await fastify.register(fastifyWebsocket)`.'

/** The plugin that is registered on an instance or above it. */
export function pluginOf (instance: FastifyInstance): RoutePlugin | undefined {
  return (instance as { [kPlugin]?: RoutePlugin })[kPlugin]
}
