/**
 * Answers, before a request is dispatched, whether its path has a websocket route. Two things need
 * this: the trailing slash, which does not matter for a websocket route, and a server with other
 * `upgrade` listeners, where this plugin takes only the upgrades to its own routes.
 */
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import createRouter from 'find-my-way'
import { givenOf } from '../stream/given'
import type { DeclaredRoute } from './application'
import { noop } from './noop'
import { pluginOf, type RoutePlugin } from './registered-plugin'

interface PathStore {
  isWebsocket: boolean
  /** The plugins that take upgrades of the path: several if routes differ in constraints. */
  readonly plugins: Set<RoutePlugin>
  readonly isWildcard: boolean
}

interface Match extends Omit<PathStore, 'isWildcard'> {
  /** A route has this very path. False for a match of a wildcard or of an empty parameter. */
  readonly isPrecise: boolean
}

/** The paths of an application's GET routes, and which of them take WebSockets. */
export class WebsocketPaths {
  // A second router with only the GET routes. Constraints are ignored here: Fastify's checks them.
  readonly #table: ReturnType<typeof createRouter>
  /** Matches the first character of a URL that is not part of its path. */
  readonly #pathEnd: RegExp
  /** Paths of websocket routes that contain no pattern: a set finds them faster than the router. */
  readonly #fixed = new Set<string>()

  /** @param routes all GET routes of the application, which is ready */
  constructor (routes: readonly DeclaredRoute[], fastify: FastifyInstance) {
    const {
      allowUnsafeRegex, caseSensitive, ignoreDuplicateSlashes, maxParamLength, useSemicolonDelimiter
    } = { ...fastify.initialConfig, ...fastify.initialConfig.routerOptions }
    this.#pathEnd = useSemicolonDelimiter === true ? /[?;#]/ : /[?#]/
    this.#table = createRouter(givenOf({
      allowUnsafeRegex, caseSensitive, ignoreDuplicateSlashes, maxParamLength, useSemicolonDelimiter
    }))
    for (const route of routes) {
      if (route.problem === null) this.#add(route)
    }
  }

  #add (route: DeclaredRoute): void {
    const stores = expandOptional(route.url).map((url) => this.#storeOf(url))
    const plugin = pluginOf(route.instance)
    if (plugin === undefined) return
    if (route.isWebsocket && !PATTERN.test(route.url)) this.#fixed.add(route.url)
    for (const store of stores) {
      store.isWebsocket ||= route.isWebsocket
      if (route.isWebsocket || plugin.hasHandle) store.plugins.add(plugin)
    }
  }

  #storeOf (url: string): PathStore {
    const known: PathStore | undefined = this.#table.findRoute('GET', url)?.store
    if (known !== undefined) return known
    const isWildcard = url.endsWith('*')
    const store: PathStore = { isWebsocket: false, plugins: new Set(), isWildcard }
    // The table is only searched: no handler is ever called.
    this.#table.on('GET', url, noop, store)
    return store
  }

  /**
   * Finds the websocket route for `url`. Returns `url`, or `url` with a trailing slash added or
   * removed if the route is declared so, or null if there is no websocket route.
   */
  resolve (url: string): string | null {
    if (this.#fixed.has(url)) return url
    const exact = this.#find(url)
    if (exact?.isPrecise === true) return exact.isWebsocket ? url : null
    const other = toggleTrailingSlash(url, this.#pathEnd)
    const near = this.#find(other)
    if (near !== null && near.isWebsocket && near.isPrecise) return other
    return exact?.isWebsocket === true ? url : null
  }

  /** Whether a plugin wants the request, whose URL is a result of `resolve`. */
  claims (request: IncomingMessage): boolean {
    const { url = '/' } = request
    const plugins = this.#find(url)?.plugins ?? []
    return [...plugins].some((plugin) => plugin.shouldHandle(request))
  }

  #find (url: string): Match | null {
    const found = this.#table.find('GET', url)
    if (found === null) return null
    const { isWildcard, ...store }: PathStore = found.store
    // The router matches `/a/` with `/a/:id`, and the id is empty.
    const hasEmptyParameter = Object.values(found.params).includes('')
    return { ...store, isPrecise: !isWildcard && !hasEmptyParameter }
  }
}

/** Matches a route's URL that stands for more than one path. */
const PATTERN = /[:*(]/

/** A route whose last parameter is optional has two paths, which the router keeps separately. */
function expandOptional (url: string): string[] {
  const optional = /\/:[^/()]*\?(?=\/|$)/.exec(url)
  if (optional === null) return [url]
  const before = url.slice(0, optional.index)
  const after = url.slice(optional.index + optional[0].length)
  return [before + optional[0].slice(0, -1) + after, before + after || '/']
}

function toggleTrailingSlash (url: string, pathEnd: RegExp): string {
  const end = url.search(pathEnd)
  const path = end === -1 ? url : url.slice(0, end)
  const rest = end === -1 ? '' : url.slice(end)
  return (path.endsWith('/') ? path.slice(0, -1) : `${path}/`) + rest
}
