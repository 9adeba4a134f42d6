/**
 * Records a route when it is declared: which handler takes its upgrades, and which error a wrong
 * declaration causes. The hook `onRoute` of `registry.ts` calls `adoptRoute` for nearly every
 * route; `late-load.ts` calls `adoptLate` for a route that Fastify has already taken.
 */
import type { FastifyInstance, RouteOptions } from 'fastify'
import { InvalidMethodError, InvalidWsHandlerError } from '../errors'
import { toError } from '../observe/thrown'
import { demandCompilers, RouteMessages } from '../messages/route-messages'
import { readMessageSchemas } from '../messages/schemas'
import { readRouteOption } from '../options/route-options'
import { checkDeclaration, checkSchemaNames } from '../options/names'
import type { WebsocketHandler } from '../types'
import type { Application, DeclaredRoute, WebsocketTarget } from './application'
import { createUpgradeFilter, wrapHandler, type RouteHandler } from './upgrade-or-plain'

/** Records a route, and puts the upgrade filter and the wrapped handler into its options. */
export function adoptRoute (
  instance: FastifyInstance, options: RouteOptions, application: Application
): void {
  const target = recordRoute(instance, options, application)
  if (target === undefined) return
  const isWebsocketOnly = target !== null && options.wsHandler === undefined
  // A plain request to such a route gets a 404, so @fastify/swagger must not describe the route.
  if (isWebsocketOnly) options.schema = Object.assign({}, options.schema, { hide: true })
  if (target !== null && readMessageSchemas(options.schema) !== null) {
    application.onCompilers.push(demandCompilers(options))
  }
  options.onRequest = [options.onRequest ?? [], createUpgradeFilter(target, application)].flat()
  // The handler of a websocket route has another signature than Fastify's types say here.
  const handler = options.handler as unknown as RouteHandler
  options.handler = wrapHandler(handler, target, isWebsocketOnly, application)
}

/**
 * Records a route that Fastify has already taken, from options equal to those of its declaration.
 * Returns a function that wraps its handler. A hook of the instance filters the upgrades to such a
 * handler, because the route's own hooks can no longer change.
 */
export function adoptLate (
  instance: FastifyInstance, options: RouteOptions, application: Application
): (handler: RouteHandler) => RouteHandler {
  const target = recordRoute(instance, options, application) ?? null
  const isWebsocketOnly = target !== null && options.wsHandler === undefined
  return (handler) => {
    const wrapped = wrapHandler(handler, target, isWebsocketOnly, application).bind(instance)
    application.filters.set(wrapped, createUpgradeFilter(target, application))
    return wrapped
  }
}

/**
 * Records a route. Returns the target of its upgrades, null if it is no websocket route, or
 * undefined if no upgrade can reach it.
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
  const problem = findDeclarationProblem(options, isWebsocket, methods, routes)
  if (problem !== null && takers.some((taker) => taker.reaches(instance))) throw problem
  if (isWebsocket && !routes.some((route) => route.isWebsocket)) {
    instance.addHook('onReady', () => { warnOfUnreached(routes) })
  }
  const target = isWebsocket ? createTarget(options, problem) : null
  if (methods.includes('GET') || problem !== null) {
    const { schema } = options
    routes.push({ instance, url, constraints, schema, isWebsocket, target, problem })
  }
  return target
}

function createTarget (options: RouteOptions, problem: Error | null): WebsocketTarget {
  // The handler of a websocket route has another signature than Fastify's types say here.
  const handler = options.wsHandler ?? options.handler as unknown as WebsocketHandler
  const settings = problem === null ? readRouteOption(options.websocket) : null
  return { handler, options: settings, messages: RouteMessages.of(options) }
}

/**
 * Warns of websocket routes without a plugin that takes them: their handlers get plain requests,
 * which they may leave without an answer.
 */
function warnOfUnreached (routes: readonly DeclaredRoute[]): void {
  const urls = routes.filter(isUnreached).map(({ url }) => url)
  if (urls.length === 0) return
  process.emitWarning(
    `No plugin for WebSockets is registered where these routes are declared: ${urls.join(', ')}. ` +
    'Register fastify-websocket on their instance or above it.',
    { code: 'FST_WS_NOT_REGISTERED' }
  )
}

/** Every plugin that takes routes with `websocket: true` adds the decorator `websocketServer`. */
function isUnreached ({ instance, isWebsocket }: DeclaredRoute): boolean {
  return isWebsocket && !instance.hasDecorator('websocketServer')
}

function findDeclarationProblem (
  options: RouteOptions, isWebsocket: boolean, methods: string[], routes: DeclaredRoute[]
): Error | null {
  try {
    checkDeclaration(options, isWebsocket)
    if (isWebsocket) checkWebsocketRoute(options, methods, routes)
    return null
  } catch (error) {
    return toError(error)
  }
}

/**
 * @throws FST_WS_INVALID_WS_HANDLER, FST_WS_INVALID_METHOD, and what `readRouteOption` throws
 */
function checkWebsocketRoute (
  options: RouteOptions, methods: string[], routes: DeclaredRoute[]
): void {
  readRouteOption(options.websocket)
  checkSchemaNames(options.schema ?? {})
  if (options.wsHandler !== undefined && typeof options.wsHandler !== 'function') {
    throw new InvalidWsHandlerError()
  }
  if (methods.some((method) => method !== 'GET' && method !== 'HEAD')) {
    throw new InvalidMethodError()
  }
  if (methods.includes('GET')) return
  // Fastify declares a HEAD route of its own for every GET route. Below a prefix, the GET route `/`
  // has a second path with a trailing slash, and `onRoute` tells only of its HEAD route.
  const isAutomatic = routes.some(({ url, isWebsocket }) => {
    return isWebsocket && withoutSlash(url) === withoutSlash(options.url)
  })
  if (!isAutomatic) throw new InvalidMethodError()
}

function withoutSlash (url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url
}
