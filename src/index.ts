/** The entry of the package: everything that can be imported, and nothing else. */
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { WebsocketStats } from './observe/stats'
import { registerWebsocket } from './plugin'
import * as adapters from './adapters'
import * as stream from './stream/server'
import { StreamSocket as Socket } from './stream/socket'
import { SocketStream as Stream } from './stream/duplex'
import type { CompatibleSocket } from './stream/compatible-socket'
import type { AnyChunk } from './stream/listeners'
import type { StreamListener, WebSocketStreamServerOptions } from './stream/server'
import type { AsyncApiDocument, AsyncApiOptions } from './asyncapi-types'
import type {
  CloseMessage, ErrorMessage, GapMessage, OpenMessage, RefusedMessage
} from './channel-types'
import type { WebsocketRouteOptions } from './route-types'
import type { SocketStreamOptions } from './stream/settings'
import type { TopicBroker as Broker } from './topics/broker'
import type { PublishOptions as Publishing } from './topics/hub'
import type {
  AdaptedHandler, AllowedOrigin, ClientInfo, CompatibleErrorHandler, CompatibleHandler,
  CompatiblePluginOptions, InjectRefusal, InjectWebsocket, InjectWebsocketInit,
  InjectWebsocketOptions, MessageSchemas, OriginCheck, VerifyCallback, VerifyClient,
  WebsocketConnectionOptions, WebsocketErrorHandler, WebsocketHandler, WebsocketPluginOptions,
  WebsocketServer, WebsocketServerOptions
} from './types'

/**
 * WebSocket routes for Fastify 5: register it, then declare `{ websocket: true }` routes, a
 * `wsHandler` beside a `handler`, or a global `handle`.
 *
 * @throws at registration, FST_WS_… errors for options and routes that cannot work
 */
function fastifyWebsocket (
  fastify: FastifyInstance, options: WebsocketPluginOptions
): Promise<void> {
  return registerWebsocket(fastify, options)
}

fastifyPlugin(fastifyWebsocket, { fastify: '^5.12.1', name: 'fastify-websocket' })

declare namespace fastifyWebsocket {
  export type {
    AdaptedHandler, AllowedOrigin, AsyncApiDocument, AsyncApiOptions, ClientInfo, CloseMessage,
    CompatibleErrorHandler, CompatibleHandler, CompatiblePluginOptions, CompatibleSocket,
    ErrorMessage, GapMessage, InjectRefusal, InjectWebsocket, InjectWebsocketInit,
    InjectWebsocketOptions, MessageSchemas, OpenMessage, OriginCheck, RefusedMessage,
    SocketStreamOptions, StreamListener, VerifyCallback, VerifyClient, WebsocketConnectionOptions,
    WebsocketErrorHandler, WebsocketHandler, WebsocketPluginOptions, WebsocketRouteOptions,
    WebsocketServer, WebsocketServerOptions, WebsocketStats, WebSocketStreamServerOptions
  }
  export type TopicBroker = Broker
  export type PublishOptions = Publishing
  export type SocketStream<Incoming = AnyChunk, Outgoing = unknown> =
    Stream<Incoming, Outgoing>
  export type StreamSocket = Socket
  export type WebSocketStreamServer = stream.WebSocketStreamServer

  export const fastifyWebsocket: (
    fastify: FastifyInstance, options: WebsocketPluginOptions
  ) => Promise<void>
  export const native: typeof adapters.native
  export const compatible: typeof adapters.compatible
  export const createServer: typeof stream.createServer
  export const WebSocketStreamServer: typeof stream.WebSocketStreamServer
  export const SocketStream: typeof Stream
  export const StreamSocket: typeof Socket
  export { fastifyWebsocket as default }
}

Object.assign(fastifyWebsocket, {
  native: adapters.native,
  compatible: adapters.compatible,
  createServer: stream.createServer,
  WebSocketStreamServer: stream.WebSocketStreamServer,
  SocketStream: Stream,
  StreamSocket: Socket
})

export = fastifyWebsocket

// Node.js looks for lines of this form to find the names that an ES module can import. The lines do
// nothing else: the exports are the properties of the function above, which the compiler assigns
// to `module.exports` last.
module.exports.default = fastifyWebsocket
module.exports.fastifyWebsocket = fastifyWebsocket
module.exports.native = adapters.native
module.exports.compatible = adapters.compatible
module.exports.createServer = stream.createServer
module.exports.WebSocketStreamServer = stream.WebSocketStreamServer
module.exports.SocketStream = Stream
module.exports.StreamSocket = Socket
