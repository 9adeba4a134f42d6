/**
 * The types of the plugin that users see: handlers, options, and `injectWS`. The additions to the
 * types of Fastify are in `route-types.ts`.
 */
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply,
  FastifyRequest, FastifySchema, FastifyTypeProvider, FastifyTypeProviderDefault,
  RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface, preCloseAsyncHookHandler, preCloseHookHandler
} from 'fastify'
import type {
  IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, Server as HttpServer
} from 'node:http'
import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { ClientOptions, WebSocket } from 'ws'
import type { Level } from './observe/log'
import type { WebsocketStats } from './observe/stats'
import type { CompatibleSocket } from './stream/compatible-socket'
import type { WebSocketStreamServer, WebSocketStreamServerOptions } from './stream/server'
import type { SocketStream } from './stream/duplex'
import type { AnyChunk } from './stream/listeners'
import type { TopicBroker } from './topics/broker'

/** The schema for messages of one name among the schemas of a route, undefined if there is none. */
type SchemaOf<Schemas, Name extends keyof MessageSchemas> =
  Schemas extends { readonly [Key in Name]: infer Schema } ? Schema : undefined

/** The type of messages without a schema: any JSON, if the other direction has a schema. */
type Undescribed<OtherSchema, Chunk> = [OtherSchema] extends [undefined] ? Chunk : unknown

/** The chunks that are read from the stream of a route: by its type parameters or its schema. */
type IncomingOf<RouteGeneric, Schemas, TypeProvider extends FastifyTypeProvider> =
  RouteGeneric extends { Incoming: infer Incoming }
    ? Incoming
    : [SchemaOf<Schemas, 'incoming'>] extends [undefined]
        ? Undescribed<SchemaOf<Schemas, 'outgoing'>, AnyChunk>
        : (TypeProvider & { schema: SchemaOf<Schemas, 'incoming'> })['validator']

/** The chunks that are written to the stream of a route. */
type OutgoingOf<RouteGeneric, Schemas, TypeProvider extends FastifyTypeProvider> =
  RouteGeneric extends { Outgoing: infer Outgoing }
    ? Outgoing
    : [SchemaOf<Schemas, 'outgoing'>] extends [undefined]
        ? unknown
        : (TypeProvider & { schema: SchemaOf<Schemas, 'outgoing'> })['serializer']

/**
 * Handler of a WebSocket connection. `this` is the Fastify instance that the route, or the global
 * `handle`, was declared on.
 *
 * @param connection the Duplex; its `socket` is the WebSocket
 * @param req the raw request of the upgrade
 * @param request Fastify's request: params, query, log, and properties that hooks have added
 */
export type WebsocketHandler<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> =
  RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
  RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger
> = (
  this: FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>,
  connection: SocketStream<
    IncomingOf<RouteGeneric, SchemaCompiler, TypeProvider>,
    OutgoingOf<RouteGeneric, SchemaCompiler, TypeProvider>
  >,
  req: RawRequest,
  request: FastifyRequest<
    RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger
  >
) => unknown

/** Gets each error of a connection after the 101, and decides whether the connection is closed. */
export type WebsocketErrorHandler = (
  this: FastifyInstance, error: Error, connection: SocketStream, request: FastifyRequest
) => unknown

/**
 * Handler of a WebSocket connection in a registration with `compatible: '@fastify/websocket'`.
 *
 * @param socket the WebSocket, whose `message` listeners get text as Buffers
 */
export type CompatibleHandler<RouteGeneric extends RouteGenericInterface = RouteGenericInterface> =
  (
    this: FastifyInstance, socket: CompatibleSocket, request: FastifyRequest<RouteGeneric>
  ) => unknown

/**
 * Like {@link WebsocketErrorHandler}, in a registration with `compatible: '@fastify/websocket'`.
 *
 * @param reply the reply of the upgrade, which has been sent
 */
export type CompatibleErrorHandler = (
  this: FastifyInstance,
  error: Error, socket: CompatibleSocket, request: FastifyRequest, reply: FastifyReply
) => unknown

/**
 * A handler that the types of every websocket route accept, also those of `@fastify/websocket`: see
 * `native` and `compatible`.
 */
export type AdaptedHandler = (this: unknown, ...args: readonly unknown[]) => void

/** The client that `verifyClient` decides on. */
export interface ClientInfo {
  /** The `Origin` header, if there is one. */
  origin: string | undefined
  /** Whether the connection is encrypted. */
  secure: boolean
  req: IncomingMessage
}

/** Answers for a `verifyClient` with two parameters. A refusal without a code is a 401. */
export type VerifyCallback = (
  isAllowed: boolean, code?: number, message?: string, headers?: OutgoingHttpHeaders
) => void

/**
 * Decides whether a client may connect. A function with two parameters answers by the callback. A
 * function with fewer answers by its return value, or by the value of the promise that it returns.
 */
export type VerifyClient = (info: ClientInfo, callback: VerifyCallback) => unknown

/**
 * Decides by the `Origin` header of an upgrade. The origin is undefined if there is no such header:
 * every browser sends one.
 */
export type OriginCheck = (
  origin: string | undefined, request: FastifyRequest
) => boolean | Promise<boolean>

/** An origin such as `https://example.com`, a pattern of origins, or `'same-host'`. */
export type AllowedOrigin = string | RegExp

/**
 * The schemas of the messages of a route, in the form that its compilers take. With one of them,
 * every message of the route is JSON, and its stream carries values.
 */
export interface MessageSchemas {
  /** The schema of messages that clients send. The stream does not get an invalid message. */
  incoming?: unknown
  /** The schema of messages that are written to the stream. */
  outgoing?: unknown
}

/** Options that can be set for all routes, in the plugin, and for one route, as its `websocket`. */
export interface WebsocketConnectionOptions {
  /**
   * Milliseconds within which a silent peer is pinged, after half of this time at the earliest. If
   * the peer stays silent for this time after the ping, its connection is terminated. `false` turns
   * this off. Default: 30000.
   */
  heartbeat?: number | false | undefined
  /**
   * The longest message that is accepted, in bytes; 0 means no limit. Default: the `bodyLimit` of
   * Fastify, which is 1 MiB by default.
   */
  maxPayload?: number | undefined
  /**
   * Maximum of bytes that may be unsent to a peer when `socket.send` is called. With more, the
   * connection is closed with 1013. Default: `false`, no limit.
   */
  maxBackpressure?: number | false | undefined
  /** Gets every error of a connection. Default: log it and close that connection. */
  errorHandler?: WebsocketErrorHandler | undefined
  /**
   * The origins whose pages may connect: `'same-host'`, an origin, a pattern, a list of these, or
   * a function. A client without an `Origin` header is no browser, and only a function can refuse
   * it. An empty list refuses every page. Default: `false`, every origin.
   */
  origin?: AllowedOrigin | readonly AllowedOrigin[] | OriginCheck | false | undefined
}

/** Options of websocket-stream and of ws's `WebSocketServer`. */
export interface WebsocketServerOptions extends Omit<
  WebSocketStreamServerOptions,
  'closeTimeout' | 'maxBackpressure' | 'maxSubscriptions' | 'server' | 'verifyClient'
> {
  /**
   * The server whose upgrades are taken instead of those of the Fastify instance. The plugin never
   * closes it.
   */
  server?: HttpServer | HttpsServer | Http2Server | Http2SecureServer | null | undefined
  /**
   * Whether clients of HTTP/2 are offered WebSockets over HTTP/2 (RFC 8441). Default: `true` if the
   * server speaks only HTTP/2, `false` if it may also speak HTTP/1. Without HTTP/2, the option does
   * nothing.
   */
  extendedConnect?: boolean | undefined
  /** Decides whether a client may connect. */
  verifyClient?: VerifyClient | null | undefined
}

/** Options of the plugin. `maxPayload` for all routes is one of `options`, as in ws. */
export interface WebsocketPluginOptions extends Omit<WebsocketConnectionOptions, 'maxPayload'> {
  /**
   * The handler of every upgrade that no websocket route takes, below the prefix of the instance
   * that registers the plugin.
   */
  handle?: WebsocketHandler | undefined
  /** The schemas of the messages of `handle`, as a route has them in its `schema`. */
  schema?: MessageSchemas | undefined
  /**
   * Milliseconds that a peer has to answer a close frame that has left the process. After that its
   * connection is terminated. While data is still unsent, a connection is terminated if the peer
   * takes less than 1 KiB a second for the same time. Default: 10000.
   */
  closeTimeout?: number | undefined
  /**
   * Maximum number of open connections. Further upgrades get a 503; with 0, every upgrade does.
   * Default: `false`, no limit.
   */
  maxConnections?: number | false | undefined
  /**
   * Carries the topics to the other processes of the application: see `redisBroker` and
   * `natsBroker`. Default: none, and topics reach only the connections of this process.
   */
  broker?: TopicBroker | undefined
  /** Maximum number of topics that one connection may be subscribed to. Default: 1000. */
  maxSubscriptions?: number | undefined
  /**
   * The level at which the end of each connection is logged, with its close code, its duration, its
   * messages and bytes; `false` for no line. Default: `'debug'`.
   */
  closeLog?: Level | false | undefined
  /** Options of websocket-stream and ws. */
  options?: WebsocketServerOptions | undefined
  compatible?: undefined
}

/** Options of a registration whose handlers are called as `@fastify/websocket` calls them. */
export interface CompatiblePluginOptions extends Omit<
  WebsocketPluginOptions, 'compatible' | 'errorHandler' | 'handle'
> {
  /**
   * Handlers get `(socket, request)`, the error handler gets `(error, socket, request, reply)`, and
   * `message` listeners get text as Buffers.
   */
  compatible: '@fastify/websocket'
  /** As in a plain registration. */
  handle?: CompatibleHandler | undefined
  /** As in a plain registration. */
  errorHandler?: CompatibleErrorHandler | undefined
  /** A hook that runs before the clients are closed with 1001. Default: none. */
  preClose?: preCloseHookHandler | preCloseAsyncHookHandler | undefined
}

/** The server that `fastify.websocketServer` is. */
export interface WebsocketServer extends WebSocketStreamServer {
  /** Counts of connections, refusals and messages, in a new object that does not change. */
  stats (): WebsocketStats
}

/** The upgrade request of `fastify.injectWS`: options of ws's client, and those below. */
export interface InjectWebsocketInit extends Pick<
  ClientOptions,
  'origin' | 'perMessageDeflate' | 'maxPayload' | 'protocolVersion' | 'handshakeTimeout' |
  'followRedirects' | 'maxRedirects' | 'generateMask' | 'autoPong' | 'skipUTF8Validation' |
  'allowSynchronousEvents'
> {
  /** Headers of the request; `host` is `localhost` unless it is here. */
  headers?: OutgoingHttpHeaders | undefined
  /** Subprotocols to ask for, the preferred one first. */
  protocols?: string | string[] | undefined
  /** Address of the client, as the server sees it. Default: `127.0.0.1`. */
  remoteAddress?: string | undefined
}

/** Functions that `fastify.injectWS` calls. If one of them fails, `injectWS` rejects. */
export interface InjectWebsocketOptions {
  /** Gets the client before it connects, so that it can add listeners for every event. */
  onInit?: ((socket: WebSocket) => unknown) | undefined
  /** Gets the client when it is connected, before any message. `injectWS` awaits the result. */
  onOpen?: ((socket: WebSocket) => unknown) | undefined
}

/** The error that `fastify.injectWS` rejects with when the server refuses the upgrade. */
export interface InjectRefusal extends FastifyError {
  statusCode: number
  headers: IncomingHttpHeaders
  body: string
}

/** See `fastify.injectWS`. */
export type InjectWebsocket = (
  path?: string, init?: InjectWebsocketInit, options?: InjectWebsocketOptions
) => Promise<WebSocket>
