/**
 * The record of one Fastify application, and its types. `registry.ts` keeps the records of all
 * applications of the process, `declared-route.ts` adds routes to a record, and
 * `upgrade-or-plain.ts` reads it when a request comes.
 *
 * Several copies of this library in one process share the records. So when a type in this file
 * changes, the number in the name of the symbol `kRegistry` changes too.
 */
import type {
  FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, onRequestHookHandler
} from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { RouteMessages } from '../messages/route-messages'
import type { WebsocketConnectionOptions, WebsocketHandler } from '../types'

/**
 * Any GET route, or a websocket route with a mistake in it. `onRoute` hooks of the application may
 * change what was declared, and then the record is brought up to date before the application is
 * ready.
 */
export interface DeclaredRoute {
  readonly instance: FastifyInstance
  readonly url: string
  readonly isWebsocket: boolean
  /** It has no handler for plain requests, which get a 404 with an empty body. */
  readonly isWebsocketOnly: boolean
  readonly constraints: object
  /** The `schema` of the route. */
  readonly schema: FastifySchema | undefined
  /** Where its upgrades go, or null if it is no websocket route. */
  readonly target: WebsocketTarget | null
  /** Why it is not valid as a websocket route, or null. */
  readonly problem: Error | null
}

/** The handler of a websocket route's connections, and the options that the route gives them. */
export interface WebsocketTarget {
  readonly handler: WebsocketHandler
  readonly options: WebsocketConnectionOptions | null
  /** Null if the route has no schemas for messages. */
  readonly messages: RouteMessages | null
}

/** One copy of this library: what it does with requests that reach a recorded route. */
export interface RouteTaker {
  /** Whether the plugin of this copy is registered on an instance or above it. */
  reaches (instance: FastifyInstance): boolean
  /** Whether a raw request is an upgrade that this copy has dispatched. */
  isUpgrade (raw: IncomingMessage): boolean
  /**
   * Runs before the handler: sends an upgrade of this copy that no plugin takes on this route to
   * the 404 handler. Returns whether the request is to go no further.
   */
  stops (
    target: WebsocketTarget | null,
    instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply
  ): boolean
  /** Takes the request if it is an upgrade of this copy, and returns whether it has done so. */
  takes (
    target: WebsocketTarget | null,
    instance: FastifyInstance, request: FastifyRequest, reply: FastifyReply
  ): boolean
}

/** All instances that share one `routing`, and their routes. */
export interface Application {
  readonly routes: DeclaredRoute[]
  readonly takers: RouteTaker[]
  /** The instances whose new routes are recorded. */
  readonly watched: Set<FastifyInstance>
  /** The upgrade filters of routes that Fastify had taken before they were recorded, by handler. */
  readonly filters: Map<unknown, onRequestHookHandler>
  /** Called when the application begins to close, before any hook of the user. */
  readonly onClosing: Array<() => void>
  /** Called when Fastify has built its compilers, before any `onReady` hook of the user. */
  readonly onCompilers: Array<() => void>
  /** The application may have GET routes that are not in `routes`. */
  hasUnknown: boolean
  /** The newest instance. Fastify runs hooks such as `preClose` in the order of their instances. */
  last: FastifyInstance
}

/** The empty record of the application that `fastify` belongs to. */
export function createApplication (fastify: FastifyInstance): Application {
  return {
    routes: [],
    takers: [],
    watched: new Set(),
    filters: new Map(),
    onClosing: [],
    onCompilers: [],
    hasUnknown: false,
    last: fastify
  }
}
