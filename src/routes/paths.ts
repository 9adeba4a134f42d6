import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import createRouter from 'find-my-way'
import { givenOf } from '../stream/given'
import { pluginOf, type DeclaredRoute, type RoutePlugin } from './websocket-route'

interface PathStore {
  isWebsocket: boolean
  /** Who takes upgrades of the path. Constraints may tell several apart. */
  readonly plugins: Set<RoutePlugin>
  readonly isWildcard: boolean
}

interface Match extends Omit<PathStore, 'isWildcard'> {
  /** The path was declared, and not just a wildcard or a parameter that takes it too. */
  readonly isPrecise: boolean
}

/** Answers, before a request is dispatched, whether its path has a websocket route. */
export class WebsocketPaths {
  // Fastify's own router with the GET routes alone; constraints are left to the real one.
  readonly #table: ReturnType<typeof createRouter>
  /** Where the router sees the end of the path of a URL. */
  readonly #pathEnd: RegExp
  /** The paths that need no router: it would find just them. */
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
    this.#table.on('GET', url, unused, store)
    return store
  }

  /**
   * The URL under which the websocket route for `url` is declared, which may differ from it in a
   * trailing slash, or null if there is none.
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

  /** Whether a request whose URL `resolve` has put right is for a plugin whose server wants it. */
  claims (request: IncomingMessage): boolean {
    const { url = '/' } = request
    const plugins = this.#find(url)?.plugins ?? []
    return [...plugins].some((plugin) => plugin.shouldHandle(request))
  }

  #find (url: string): Match | null {
    const found = this.#table.find('GET', url)
    if (found === null) return null
    const { isWildcard, ...store }: PathStore = found.store
    // To the router, `/a/` is `/a/:id` with an empty id.
    const hasEmptyParameter = Object.values(found.params).includes('')
    return { ...store, isPrecise: !isWildcard && !hasEmptyParameter }
  }
}

/** What makes the URL of a route more than a path. */
const PATTERN = /[:*(]/

/** The two paths of a route whose last parameter is optional, which the router keeps apart. */
function expandOptional (url: string): string[] {
  const optional = /\/:[^/()]*\?(?=\/|$)/.exec(url)
  if (optional === null) return [url]
  const before = url.slice(0, optional.index)
  const after = url.slice(optional.index + optional[0].length)
  return [before + optional[0].slice(0, -1) + after, before + after || '/']
}

/** The table is only asked, never dispatched. To call this is allowed and does nothing. */
const unused = Function.prototype as () => void

function toggleTrailingSlash (url: string, pathEnd: RegExp): string {
  const end = url.search(pathEnd)
  const path = end === -1 ? url : url.slice(0, end)
  const rest = end === -1 ? '' : url.slice(end)
  return (path.endsWith('/') ? path.slice(0, -1) : `${path}/`) + rest
}
