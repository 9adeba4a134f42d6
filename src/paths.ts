import type { FastifyInstance } from 'fastify'
import createRouter from 'find-my-way'
import { pluginOf, type DeclaredRoute } from './routes'

interface PathStore {
  isWebsocket: boolean
  readonly isWildcard: boolean
}

/** Answers, before a request is dispatched, whether its path has a websocket route. */
export class WebsocketPaths {
  // Fastify's own router with the GET routes alone; constraints are left to the real one.
  readonly #table: ReturnType<typeof createRouter>

  /** @param routes all GET routes of the application, which is ready */
  constructor (routes: readonly DeclaredRoute[], fastify: FastifyInstance) {
    const { initialConfig } = fastify
    const options = { ...initialConfig, ...initialConfig.routerOptions, ignoreTrailingSlash: false }
    this.#table = createRouter(options)
    for (const route of routes) this.#add(route)
  }

  #add (route: DeclaredRoute): void {
    const isWebsocket = route.isWebsocket && pluginOf(route.instance) !== undefined
    const known: PathStore | undefined = this.#table.findRoute('GET', route.url)?.store
    if (known !== undefined) {
      known.isWebsocket ||= isWebsocket
      return
    }
    const store: PathStore = { isWebsocket, isWildcard: route.url.endsWith('*') }
    this.#table.on('GET', route.url, unused, store)
  }

  /**
   * The URL under which the websocket route for `url` is declared, which may differ from it in a
   * trailing slash, or null if there is none.
   */
  resolve (url: string): string | null {
    const exact = this.#find(url)
    if (exact?.isWildcard === false) return exact.isWebsocket ? url : null
    const other = toggleTrailingSlash(url)
    const near = this.#find(other)
    if (near?.isWebsocket === true && !near.isWildcard) return other
    return exact?.isWebsocket === true ? url : null
  }

  #find (url: string): PathStore | undefined {
    return this.#table.find('GET', url)?.store
  }
}

/** The table is only asked, never dispatched. */
function unused (): void {}

function toggleTrailingSlash (url: string): string {
  const queryStart = url.indexOf('?')
  const path = queryStart === -1 ? url : url.slice(0, queryStart)
  const query = queryStart === -1 ? '' : url.slice(queryStart)
  return (path.endsWith('/') ? path.slice(0, -1) : `${path}/`) + query
}
