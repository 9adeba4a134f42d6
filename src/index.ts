import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { registerWebsocket } from './plugin'
import * as stream from './stream/server'
import { StreamSocket as Socket } from './stream/socket'
import { SocketStream as Stream } from './stream/stream'
import type * as settings from './stream/settings'
import type * as types from './types'

/**
 * WebSocket routes for Fastify 5: register it, then declare `{ websocket: true }` routes, a
 * `wsHandler` beside a `handler`, or a global `handle`.
 *
 * @throws at registration, FST_WS_… errors for options and routes that cannot work
 */
function fastifyWebsocket (
  fastify: FastifyInstance, options: types.WebsocketPluginOptions
): Promise<void> {
  return registerWebsocket(fastify, options)
}

fastifyPlugin(fastifyWebsocket, { fastify: '5.x', name: 'fastify-websocket' })

declare namespace fastifyWebsocket {
  export type WebsocketHandler = types.WebsocketHandler
  export type WebsocketErrorHandler = types.WebsocketErrorHandler
  export type WebsocketPluginOptions = types.WebsocketPluginOptions
  export type WebsocketServerOptions = types.WebsocketServerOptions
  export type WebSocketStreamServerOptions = stream.WebSocketStreamServerOptions
  export type SocketStreamOptions = settings.SocketStreamOptions
  export type StreamListener = stream.StreamListener
  export type SocketStream = Stream
  export type StreamSocket = Socket
  export type WebSocketStreamServer = stream.WebSocketStreamServer

  export const fastifyWebsocket: (
    fastify: FastifyInstance, options: WebsocketPluginOptions
  ) => Promise<void>
  export const createServer: typeof stream.createServer
  export const WebSocketStreamServer: typeof stream.WebSocketStreamServer
  export const SocketStream: typeof Stream
  export const StreamSocket: typeof Socket
  export { fastifyWebsocket as default }
}

export = fastifyWebsocket

// Node.js looks for lines of this form to learn what an ES module can import by name.
module.exports.default = fastifyWebsocket
module.exports.fastifyWebsocket = fastifyWebsocket
module.exports.createServer = stream.createServer
module.exports.WebSocketStreamServer = stream.WebSocketStreamServer
module.exports.SocketStream = Stream
module.exports.StreamSocket = Socket
