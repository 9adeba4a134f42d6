/** The types that users of the plugin see. */
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyError, FastifyInstance, FastifyRequest,
  FastifySchema, FastifyTypeProvider, FastifyTypeProviderDefault, RawReplyDefaultExpression,
  RawRequestDefaultExpression, RawServerBase, RawServerDefault, RouteGenericInterface
} from 'fastify'
import type {
  IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, Server as HttpServer
} from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { ClientOptions, WebSocket } from 'ws'
import type { WebSocketStreamServerOptions } from './stream/server'
import type { SocketStream } from './stream/duplex'

/**
 * Handler of a WebSocket connection. `this` is the Fastify instance that the route, or the global
 * `handle`, was declared on.
 *
 * @param connection the Duplex; its `socket` is the WebSocket
 * @param req the raw request of the upgrade
 * @param request Fastify's request: params, query, log and whatever hooks put on it
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
  connection: SocketStream,
  req: RawRequest,
  request: FastifyRequest<
    RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger
  >
) => unknown

/**
 * Gets what goes wrong on a connection after the 101. It decides whether the
 * connection is closed.
 */
export type WebsocketErrorHandler = (
  this: FastifyInstance, error: Error, connection: SocketStream, request: FastifyRequest
) => unknown

/** What `verifyClient` gets to decide on. */
export interface ClientInfo {
  /** The `Origin` header, if there is one. */
  origin: string | undefined
  /** Whether the connection is encrypted. */
  secure: boolean
  req: IncomingMessage
}

/** Answer of a `verifyClient` with two parameters. A refusal is a 401 unless it says otherwise. */
export type VerifyCallback = (
  isAllowed: boolean, code?: number, message?: string, headers?: OutgoingHttpHeaders
) => void

/**
 * Decides whether a client may connect. With two parameters it answers through the callback, with
 * fewer by what it returns or what the promise it returns resolves to.
 */
export type VerifyClient = (info: ClientInfo, callback: VerifyCallback) => unknown

/**
 * Decides by the `Origin` header of an upgrade, undefined where a client that is no browser sends
 * none.
 */
export type OriginCheck = (
  origin: string | undefined, request: FastifyRequest
) => boolean | Promise<boolean>

/** An origin such as `https://example.com`, a pattern of origins, or `'same-host'`. */
export type AllowedOrigin = string | RegExp

/** What can be set for all routes in the options of the plugin, and for one as `websocket`. */
export interface WebsocketConnectionOptions {
  /**
   * Milliseconds of silence after which a peer is pinged, and that it then has to answer before it
   * is cut off. `false` turns it off. Default: 30000.
   */
  heartbeat?: number | false | undefined
  /**
   * Longest message that is accepted, in bytes; 0 is no limit. Default: the `bodyLimit` of Fastify,
   * 1 MiB.
   */
  maxPayload?: number | undefined
  /**
   * Most bytes that may be unsent to a peer when `socket.send` is called: beyond, the connection is
   * closed with 1013. Default: `false`, no limit.
   */
  maxBackpressure?: number | false | undefined
  /**
   * Whose pages may connect: `'same-host'`, origins, patterns of them, a list, or a function. A
   * client without an `Origin` header is no browser and passes all but a function. An empty list
   * lets no page in.
   * Default: `false`, everybody.
   */
  origin?: AllowedOrigin | readonly AllowedOrigin[] | OriginCheck | false | undefined
}

/** Options of websocket-stream and of ws's `WebSocketServer`. */
export interface WebsocketServerOptions extends Omit<
  WebSocketStreamServerOptions, 'closeTimeout' | 'maxBackpressure' | 'server' | 'verifyClient'
> {
  /**
   * Server whose upgrades are taken instead of those of the Fastify instance. It is
   * never closed here.
   */
  server?: HttpServer | HttpsServer | null | undefined
  /** Decides whether a client may connect. */
  verifyClient?: VerifyClient | null | undefined
}

/** Options of the plugin. `maxPayload` for all routes is one of `options`, as in ws. */
export interface WebsocketPluginOptions extends Omit<WebsocketConnectionOptions, 'maxPayload'> {
  /**
   * Handler of every upgrade that no websocket route takes, below the prefix it is
   * registered under.
   */
  handle?: WebsocketHandler | undefined
  /** Gets every error of a connection. Default: log it and close that connection. */
  errorHandler?: WebsocketErrorHandler | undefined
  /**
   * Milliseconds that a peer has to answer a close frame, once that has left the process, before it
   * is terminated; before, a peer that takes less than 1 KiB a second for as long is.
   * Default: 10000.
   */
  closeTimeout?: number | undefined
  /**
   * Most connections at a time. An upgrade beyond gets a 503; with 0 every one.
   * Default: `false`, no limit.
   */
  maxConnections?: number | false | undefined
  /** Options of websocket-stream and ws. */
  options?: WebsocketServerOptions | undefined
}

/** The upgrade request that `fastify.injectWS` makes: options of ws's client. */
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

/** What `fastify.injectWS` calls on the way. If one fails, so does the injection. */
export interface InjectWebsocketOptions {
  /** Gets the client before it connects, to listen from the first moment. */
  onInit?: ((socket: WebSocket) => unknown) | undefined
  /** Gets the client when it is connected, before any message, and is awaited. */
  onOpen?: ((socket: WebSocket) => unknown) | undefined
}

/** The refusal of an upgrade, that `fastify.injectWS` rejects with. */
export interface InjectRefusal extends FastifyError {
  statusCode: number
  headers: IncomingHttpHeaders
  body: string
}

/** See `fastify.injectWS`. */
export type InjectWebsocket = (
  path?: string, init?: InjectWebsocketInit, options?: InjectWebsocketOptions
) => Promise<WebSocket>
