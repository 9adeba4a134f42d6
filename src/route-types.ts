/**
 * The types that the plugin adds to those of Fastify: decorators, and routes that take WebSockets.
 * This is the only `declare module 'fastify'` of the package.
 */
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyRegisterOptions, FastifySchema,
  FastifyTypeProvider, FastifyTypeProviderDefault, RawReplyDefaultExpression,
  RawRequestDefaultExpression, RawServerBase, RawServerDefault, RouteGenericInterface,
  RouteHandlerMethod, RouteShorthandOptions
} from 'fastify'
import type { AsyncApiDocument, AsyncApiOptions } from './asyncapi-types'
import type {
  CompatiblePluginOptions, InjectWebsocket, WebsocketConnectionOptions, WebsocketHandler,
  WebsocketPluginOptions, WebsocketServer
} from './types'

/** The full declaration of a route for WebSockets only: `websocket` and one handler. */
export interface WebsocketRouteOptions<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> =
  RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
  RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger
> extends Omit<RouteShorthandOptions<
    RawServer, RawRequest, RawReply, RouteGeneric,
    ContextConfig, SchemaCompiler, TypeProvider, Logger
  >, 'websocket'> {
  method: WebsocketMethod | WebsocketMethod[]
  url: string
  websocket: RouteWebsocket
  wsHandler?: never
  handler: WebsocketHandler<
    RawServer, RawRequest, RawReply, RouteGeneric,
    ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger
  >
}

/** The `websocket` of a websocket route. */
type RouteWebsocket = true | WebsocketConnectionOptions

declare const declared: unique symbol

/**
 * The `websocket` of a websocket route, as `onRoute` hooks read it. No value that a user writes has
 * this type. So Fastify's own overloads, which know only HTTP handlers, never match such a route.
 */
type DeclaredWebsocket = RouteWebsocket & { readonly [declared]: never }

/** `unknown` if the type leaves open whether the route takes WebSockets, else `never`. */
type IfUndecided<Websocket> =
  [Extract<Websocket, false>] extends [never]
    ? never
    : [Exclude<Websocket, false | undefined>] extends [never] ? never : unknown

/** `Options` of a route, in which `websocket` has another type. */
type WithWebsocket<Options, Websocket> = Omit<Options, 'websocket'> & { websocket: Websocket }

type WebsocketMethod = 'GET' | 'HEAD' | 'get' | 'head'

declare module 'fastify' {
  // The names and the order of the type parameters are those of Fastify: merging demands it.
  /* eslint-disable @typescript-eslint/no-unused-vars */

  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    /** The WebSocket server: a ws `WebSocketServer` that emits `connection` and `stream`. */
    websocketServer: WebsocketServer
    /**
     * Connects a ws client to a path of the application, in memory: no port is opened. Calls
     * `ready()` first. Messages that come before there is a `message` listener wait for it. The
     * client is closed with the application.
     *
     * @param path with its query; default: `/`
     * @throws FST_WS_INJECT_REFUSED, an {@link InjectRefusal}, and what ws's client throws
     */
    injectWS: InjectWebsocket

    /**
     * Describes the websocket routes of the application as an AsyncAPI 3 document. Call it when
     * all routes are declared, after `ready()` for example.
     */
    asyncapi (options: AsyncApiOptions): AsyncApiDocument

    /** Declares a GET route whose handler takes WebSocket connections. */
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    >(
      opts: WebsocketRouteOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>

    /** Declares a GET route that takes requests with `handler` and connections with `wsHandler`. */
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    >(
      opts: WithWebsocket<RouteOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >, RouteWebsocket> & {
        wsHandler: WebsocketHandler<
          RawServer, RawRequest, RawReply, RouteGeneric,
          ContextConfig, SchemaCompiler, TypeProvider, Logger
        >
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>

    /** Declares a route whose `websocket` is a variable: it takes WebSockets or plain requests. */
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema,
      Websocket extends boolean | WebsocketConnectionOptions | undefined = never
    >(
      opts: WithWebsocket<RouteOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >, Websocket> & IfUndecided<Websocket>
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyRegister<T, RawServer, TypeProviderDefault, LoggerDefault> {
    /** Registers this plugin with handlers that are called as `@fastify/websocket` calls them. */
    (
      plugin: (fastify: FastifyInstance, options: WebsocketPluginOptions) => Promise<void>,
      options: FastifyRegisterOptions<CompatiblePluginOptions>
    ): T
  }

  interface FastifySchema {
    /** The schema of messages that the clients of a websocket route send. */
    incoming?: unknown
    /** The schema of messages that are written to the stream of a websocket route. */
    outgoing?: unknown
  }

  interface RouteGenericInterface {
    /** The type of chunks that are read from the stream of this route. Wins over a schema. */
    Incoming?: unknown
    /** The type of chunks that are written to the stream of this route. Wins over a schema. */
    Outgoing?: unknown
  }

  interface FastifyRequest {
    /** Whether the request is a WebSocket upgrade. */
    readonly ws: boolean
  }

  interface RouteShorthandOptions<
    RawServer, RawRequest, RawReply, RouteGeneric,
    ContextConfig, SchemaCompiler, TypeProvider, Logger
  > {
    /** Makes the handler of this GET route take WebSocket connections, with these options. */
    websocket?: false | DeclaredWebsocket
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
      opts: WithWebsocket<RouteShorthandOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >, RouteWebsocket>,
      handler: WebsocketHandler<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>

    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema
    >(
      path: string,
      opts: WithWebsocket<RouteShorthandOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >, RouteWebsocket> & {
        handler: WebsocketHandler<
          RawServer, RawRequest, RawReply, RouteGeneric,
          ContextConfig, NoInfer<SchemaCompiler>, TypeProvider, Logger
        >
      }
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>

    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema,
      Websocket extends boolean | WebsocketConnectionOptions | undefined = never
    >(
      path: string,
      opts: WithWebsocket<RouteShorthandOptions<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >, Websocket> & IfUndecided<Websocket>,
      handler: RouteHandlerMethod<
        RawServer, RawRequest, RawReply, RouteGeneric,
        ContextConfig, SchemaCompiler, TypeProvider, Logger
      >
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }
}
