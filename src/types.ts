import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema,
  FastifyTypeProvider, FastifyTypeProviderDefault, RawReplyDefaultExpression,
  RawRequestDefaultExpression, RawServerBase, RawServerDefault, RouteGenericInterface
} from 'fastify'
import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { WebSocketStreamServer, WebSocketStreamServerOptions } from './stream/server'
import type { SocketStream } from './stream/stream'

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
  this: FastifyInstance, error: unknown, connection: SocketStream, request: FastifyRequest
) => unknown

/** Options of websocket-stream and of ws's `WebSocketServer`. */
export interface WebsocketServerOptions
  extends Omit<WebSocketStreamServerOptions, 'closeTimeout' | 'server'> {
  /**
   * Server whose upgrades are taken instead of those of the Fastify instance. It is
   * never closed here.
   */
  server?: HttpServer | HttpsServer | null | undefined
}

/** Options of the plugin. */
export interface WebsocketPluginOptions {
  /**
   * Handler of every upgrade that no websocket route takes, below the prefix it is
   * registered under.
   */
  handle?: WebsocketHandler | undefined
  /** Gets every error of a connection. Default: log it and close that connection. */
  errorHandler?: WebsocketErrorHandler | undefined
  /**
   * Milliseconds that a peer has to answer a close frame before it is terminated.
   * Default: 10000.
   */
  closeTimeout?: number | undefined
  /** Options of websocket-stream and ws. */
  options?: WebsocketServerOptions | undefined
}

declare module 'fastify' {
  // The names and the order of the type parameters are those of Fastify: merging demands it.
  /* eslint-disable @typescript-eslint/no-unused-vars */

  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    /** The WebSocket server: a ws `WebSocketServer` that emits `connection` and `stream`. */
    websocketServer: WebSocketStreamServer
  }

  interface FastifyRequest {
    /** Whether the request is a WebSocket upgrade. */
    readonly ws: boolean
  }

  interface RouteShorthandOptions<
    RawServer, RawRequest, RawReply, RouteGeneric,
    ContextConfig, SchemaCompiler, TypeProvider, Logger
  > {
    /** The handler of this GET route takes WebSocket connections. */
    websocket?: boolean
  }

  interface RouteOptions<
    RawServer, RawRequest, RawReply, RouteGeneric,
    ContextConfig, SchemaCompiler, TypeProvider, Logger
  > {
    /** Takes the WebSocket connections of a GET route whose `handler` answers plain requests. */
    wsHandler?: WebsocketHandler<
      RawServer, RawRequest, RawReply, RouteGeneric,
      ContextConfig, SchemaCompiler, TypeProvider, Logger
    >
  }

  interface RouteShorthandMethod<RawServer, RawRequest, RawReply, TypeProvider, Logger> {
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    >(
      path: string,
      opts: RouteShorthandOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      > & { websocket: true },
      handler: WebsocketHandler<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }
}
