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

/**
 * Records a route, and puts the upgrade filter and the wrapped handler into its options. Hooks of
 * the application that run behind this one may still change the options, so they are read again.
 */
export function adoptRoute (
  instance: FastifyInstance, options: RouteOptions, application: Application
): void {
  // No upgrade can reach any other route.
  if (!isWebsocketRoute(options) && !methodsOf(options).includes('GET')) return
  const handler = handlerOf(options)
  const route = recordRoute(instance, options, handler, application)
  // What Fastify compiles is marked, and the schema of the application may be frozen.
  if (route.isWebsocket) options.schema = Object.assign({}, options.schema)
  options.onRequest = [options.onRequest ?? [], createUpgradeFilter(route, application)].flat()
  options.handler = wrapHandler(handler, route, application)
  onceHooksHaveRun(instance, () => {
    // Fastify has changed the URL itself if the route has a second path, with a trailing slash.
    const changed = { ...options, url: route.url }
    Object.assign(route, describe(instance, changed, handler, application))
    throwIfReached(route, application)
    // A plain request to such a route gets a 404, so @fastify/swagger must not describe it.
    if (route.isWebsocketOnly && options.schema !== undefined) {
      options.schema = Object.assign({}, options.schema, { hide: true })
    }
    if (route.isWebsocket && readMessageSchemas(options.schema) !== null) {
      application.onCompilers.push(demandCompilers(options))
    }
  })
}

/**
 * Calls back when all `onRoute` hooks have run for a route, and before Fastify builds its
 * compilers. What `callback` throws fails the start of the application.
 */
function onceHooksHaveRun (instance: FastifyInstance, callback: () => void): void {
  const after = (failure: Error | null, done: (error: unknown) => void): void => {
    try {
      callback()
      done(failure)
    } catch (error) {
      done(failure ?? error)
    }
  }
  // With two parameters, as Fastify documents for avvio, the failure of a plugin is passed on. The
  // types of Fastify know only one.
  instance.after(after as (failure: Error | null) => void)
}

/**
 * Records a route that Fastify has already taken, from options equal to those of its declaration.
 * Returns a function that wraps its handler. A hook of the instance filters the upgrades to such a
 * handler, because the route's own hooks can no longer change.
 */
export function adoptLate (
  instance: FastifyInstance, options: RouteOptions, application: Application
): (handler: RouteHandler) => RouteHandler {
  const route = recordRoute(instance, options, handlerOf(options), application)
  return (handler) => {
    const wrapped = wrapHandler(handler, route, application).bind(instance)
    application.filters.set(wrapped, createUpgradeFilter(route, application))
    return wrapped
  }
}

function handlerOf ({ handler }: RouteOptions): RouteHandler {
  // The handler of a websocket route has another signature than Fastify's types say here.
  return handler as unknown as RouteHandler
}

function recordRoute (
  instance: FastifyInstance, options: RouteOptions, handler: RouteHandler, application: Application
): DeclaredRoute {
  const route = describe(instance, options, handler, application)
  throwIfReached(route, application)
  const { routes } = application
  if (route.isWebsocket && !routes.some(({ isWebsocket }) => isWebsocket)) {
    instance.addHook('onReady', () => { warnOfUnreached(routes) })
  }
  if (methodsOf(options).includes('GET') || route.problem !== null) routes.push(route)
  return route
}

/** @throws the problem of the route, if a plugin takes its upgrades */
function throwIfReached ({ instance, problem }: DeclaredRoute, { takers }: Application): void {
  if (problem !== null && takers.some((taker) => taker.reaches(instance))) throw problem
}

/** What the options of a route say of it. */
function describe (
  instance: FastifyInstance, options: RouteOptions, handler: RouteHandler,
  { routes }: Application
): DeclaredRoute {
  const { url, constraints = {}, schema } = options
  const isWebsocket = isWebsocketRoute(options)
  const problem = findDeclarationProblem(options, isWebsocket, routes)
  const target = isWebsocket ? createTarget(options, handler, problem) : null
  const isWebsocketOnly = isWebsocket && options.wsHandler === undefined
  return { instance, url, constraints, schema, isWebsocket, isWebsocketOnly, target, problem }
}

function isWebsocketRoute ({ websocket, wsHandler }: RouteOptions): boolean {
  return wsHandler !== undefined || (websocket !== undefined && websocket !== false)
}

function methodsOf ({ method }: RouteOptions): string[] {
  return [method].flat()
}

function createTarget (
  options: RouteOptions, handler: RouteHandler, problem: Error | null
): WebsocketTarget {
  const settings = problem === null ? readRouteOption(options.websocket) : null
  return {
    handler: options.wsHandler ?? handler as WebsocketHandler,
    options: settings,
    messages: RouteMessages.of(options)
  }
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
  options: RouteOptions, isWebsocket: boolean, routes: readonly DeclaredRoute[]
): Error | null {
  try {
    checkDeclaration(options, isWebsocket)
    if (isWebsocket) checkWebsocketRoute(options, routes)
    return null
  } catch (error) {
    return toError(error)
  }
}

/**
 * @throws FST_WS_INVALID_WS_HANDLER, FST_WS_INVALID_METHOD, and what `readRouteOption` throws
 */
function checkWebsocketRoute (options: RouteOptions, routes: readonly DeclaredRoute[]): void {
  const methods = methodsOf(options)
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
  const isAutomatic = routes.some(({ url, isWebsocket, problem }) => {
    return isWebsocket && problem === null && withoutSlash(url) === withoutSlash(options.url)
  })
  if (!isAutomatic) throw new InvalidMethodError()
}

function withoutSlash (url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url
}
