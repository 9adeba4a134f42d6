// Checked by the compiler alone: what is wrong here does not compile.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, {
  type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest,
  type RawReplyDefaultExpression, type RawRequestDefaultExpression, type RawServerDefault
} from 'fastify'
import type { Server, WebSocket } from 'ws'
import fastifyWebsocket, { compatible, fastifyWebsocket as named } from '../src/index'
import type {
  CompatibleSocket, createServer, SocketStream, StreamSocket, WebsocketServer, WebSocketStreamServer
} from '../src/index'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles only if it is given the type `true`. */
function assertType<T extends true> (..._values: T[]): void {}

const fastify = Fastify()

// --- Registration ---

fastify.register(fastifyWebsocket)
fastify.register(named, {})
fastify.register(fastifyWebsocket, {
  handle (connection, req, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof connection.socket, StreamSocket>>()
    assertType<Equal<typeof req, IncomingMessage>>()
    assertType<Equal<typeof request, FastifyRequest>>()
    assertType<Equal<typeof request.ws, boolean>>()
  },
  errorHandler (error, connection, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof error, Error>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof request, FastifyRequest>>()
  },
  closeTimeout: 1000,
  options: {
    objectMode: true,
    maxPayload: 1024,
    verifyClient ({ origin, secure, req }, next) {
      assertType<Equal<typeof origin, string | undefined>>()
      assertType<Equal<typeof secure, boolean>>()
      assertType<Equal<typeof req, IncomingMessage>>()
      next(false, 401, 'no', { 'x-why': 'because' })
    },
    handleProtocols: (protocols) => protocols.has('chat') && 'chat'
  }
})
fastify.register(fastifyWebsocket, {
  heartbeat: 1000, maxBackpressure: 2 ** 20, maxConnections: 1000, origin: 'same-host'
})
fastify.register(fastifyWebsocket, {
  heartbeat: false, maxBackpressure: false, maxConnections: false, origin: false
})
fastify.register(fastifyWebsocket, {
  options: { maxFragments: 1, maxBufferedChunks: 1, maxPendingAutoPongs: 1, autoPong: false }
})
fastify.register(fastifyWebsocket, {
  origin (origin, request) {
    assertType<Equal<typeof origin, string | undefined>>()
    assertType<Equal<typeof request, FastifyRequest>>()
    return true
  }
})
const origins = ['https://app.example', /localhost/] as const
fastify.register(fastifyWebsocket, { origin: origins })
// @ts-expect-error: maxPayload for all routes is one of `options`
fastify.register(fastifyWebsocket, { maxPayload: 1024 })
// @ts-expect-error: a heartbeat is a number of milliseconds
fastify.register(fastifyWebsocket, { heartbeat: true })
// @ts-expect-error: an origin is no URL object
fastify.register(fastifyWebsocket, { origin: new URL('https://app.example') })
// @ts-expect-error: a function answers with a boolean
fastify.register(fastifyWebsocket, { origin: () => 'yes' })
// @ts-expect-error: it is an option of the plugin itself
fastify.register(fastifyWebsocket, { options: { maxBackpressure: 1024 } })
fastify.register(fastifyWebsocket, { options: { verifyClient: () => true } })
fastify.register(fastifyWebsocket, { options: { verifyClient: async () => true } })
// @ts-expect-error: handle is a function
fastify.register(fastifyWebsocket, { handle: 'echo' })
// @ts-expect-error: there is no such option
fastify.register(fastifyWebsocket, { handel: () => {} })
// @ts-expect-error: a port is a number
fastify.register(fastifyWebsocket, { options: { port: '80' } })

Fastify({ https: {} }).register(fastifyWebsocket)
Fastify().withTypeProvider<TypeBoxTypeProvider>().register(fastifyWebsocket)

// --- Shorthand routes ---

fastify.get('/', { websocket: true }, function (connection, req, request) {
  assertType<Equal<typeof this, FastifyInstance>>()
  assertType<Equal<typeof connection, SocketStream>>()
  assertType<Equal<typeof req, IncomingMessage>>()
  assertType<Equal<typeof request.params, unknown>>()
  connection.socket.on('message', (message, isBinary) => {
    assertType<Equal<typeof message, string | Buffer>>()
    assertType<Equal<typeof isBinary, boolean>>()
  })
})
fastify.get('/', { websocket: true }, async () => {})
fastify.get('/', { websocket: false }, (request, reply) => {
  assertType<Equal<typeof request.params, unknown>>()
  reply.send()
})
fastify.get('/', (request, reply) => {
  assertType<Equal<typeof request.ws, boolean>>()
  reply.send()
})

fastify.get<{ Params: { room: string }, Querystring: { page: number } }>(
  '/:room', { websocket: true }, (_connection, _req, { params, query }) => {
    assertType<Equal<typeof params, { room: string }>>()
    assertType<Equal<typeof query, { page: number }>>()
  }
)

declare const isWebsocket: boolean
fastify.get('/', { websocket: isWebsocket }, async (request, reply) => {
  assertType<Equal<typeof reply, FastifyReply>>()
  return request.id
})

// @ts-expect-error: a websocket route needs a handler
fastify.get('/', { websocket: true })
// @ts-expect-error: websocket is a boolean
fastify.get('/', { websocket: 'yes' }, async () => '')
fastify.get('/', { websocket: true }, (connection, _req) => {
  // @ts-expect-error: a connection is no reply
  connection.code(404)
})
// @ts-expect-error: the third argument is the request, and there is no fourth
fastify.get('/', { websocket: true }, (_connection, _req, _request, _more) => {})

fastify.get('/', { websocket: { heartbeat: 1000 } }, function (connection, req, request) {
  assertType<Equal<typeof this, FastifyInstance>>()
  assertType<Equal<typeof connection, SocketStream>>()
  assertType<Equal<typeof req, IncomingMessage>>()
  assertType<Equal<typeof request.params, unknown>>()
})
fastify.get('/', { websocket: {} }, (connection) => {
  assertType<Equal<typeof connection, SocketStream>>()
})
fastify.get<{ Params: { room: string } }>(
  '/:room', { websocket: { maxPayload: 1024, origin: async () => true } },
  (connection, _req, { params }) => {
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof params, { room: string }>>()
  }
)

declare const either: boolean | fastifyWebsocket.WebsocketConnectionOptions
fastify.get('/', { websocket: either }, async (request, reply) => {
  assertType<Equal<typeof reply, FastifyReply>>()
  return request.id
})
declare const connectionOptions: fastifyWebsocket.WebsocketConnectionOptions
fastify.get('/', { websocket: connectionOptions }, (connection) => {
  assertType<Equal<typeof connection, SocketStream>>()
})

// @ts-expect-error: there is no such option
fastify.get('/', { websocket: { hartbeat: 1000 } }, (connection) => { connection.end() })
// @ts-expect-error: a heartbeat is a number of milliseconds
fastify.get('/', { websocket: { heartbeat: '1000' } }, (connection) => { connection.end() })
// @ts-expect-error: maxPayload cannot be turned off
fastify.get('/', { websocket: { maxPayload: false } }, (connection) => { connection.end() })
// @ts-expect-error: it is an option of the plugin alone
fastify.get('/', { websocket: { maxConnections: 1 } }, (connection) => { connection.end() })
// @ts-expect-error: options are an object
fastify.get('/', { websocket: null }, (connection) => { connection.end() })

fastify.get('/', {
  websocket: true,
  handler (connection, req, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof req, IncomingMessage>>()
    assertType<Equal<typeof request.params, unknown>>()
  }
})

const answer = async (request: FastifyRequest, reply: FastifyReply) => { reply.send(request.id) }
const answerOne = async (request: FastifyRequest) => request.id
fastify.get('/', answer)
fastify.get('/', { websocket: false }, answer)
fastify.get('/', { websocket: either }, answer)
fastify.get('/', { websocket: false, handler: answer })
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.get('/', { websocket: true }, answer)
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.get('/', { websocket: true }, answerOne)
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.get('/', { websocket: { heartbeat: 1000 } }, answer)
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.get('/', { websocket: {} }, answer)
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.get('/', { websocket: true, handler: answer })
fastify.get<{ Params: { room: string } }>(
  // @ts-expect-error: the handler of a websocket route gets a connection
  '/:room', { websocket: true }, async (request: FastifyRequest<{ Params: { room: string } }>) => {
    return request.params.room
  }
)

fastify.addHook('onRoute', ({ websocket, ...route }) => {
  if (websocket === true) return
  if (typeof websocket === 'object') {
    assertType<Equal<typeof websocket.maxPayload, number | undefined>>()
  }
  fastify.route({ ...route, websocket, url: `/v2${route.url}` })
})

// --- Full declarations ---

// @ts-expect-error: the handler of a websocket route gets a connection
fastify.route({ method: 'GET', url: '/', websocket: true, handler: answer })
// @ts-expect-error: the handler of a websocket route gets a connection
fastify.route({ method: 'GET', url: '/', websocket: { heartbeat: 1000 }, handler: answer })
fastify.route({ method: 'GET', url: '/', websocket: either, handler: answer })
fastify.route({ method: 'GET', url: '/', websocket: true, handler: answer, wsHandler: () => {} })

fastify.route({
  method: 'GET',
  url: '/',
  websocket: true,
  handler (connection, req, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof req, IncomingMessage>>()
    assertType<Equal<typeof request.params, unknown>>()
  }
})
fastify.route({
  method: 'GET',
  url: '/',
  websocket: { heartbeat: 1000, maxBackpressure: false },
  handler (connection, req, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof req, IncomingMessage>>()
    assertType<Equal<typeof request.params, unknown>>()
  }
})
fastify.route<{ Params: { room: string } }>({
  method: 'GET',
  url: '/:room',
  websocket: { maxPayload: 1024 },
  handler: async ({ params }) => params.room,
  wsHandler: (connection, _req, { params }) => {
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof params, { room: string }>>()
  }
})
fastify.route({ method: 'GET', url: '/', websocket: either, handler: async () => '' })
fastify.route({
  method: 'GET',
  url: '/',
  // @ts-expect-error: there is no such option
  websocket: { hartbeat: 1000 },
  handler: () => {}
})
fastify.route<{ Params: { room: string } }>({
  method: ['GET', 'HEAD'],
  url: '/:room',
  websocket: true,
  preHandler: async (request) => { assertType<Equal<typeof request.params, { room: string }>>() },
  handler: (_connection, _req, { params }) => {
    assertType<Equal<typeof params, { room: string }>>()
  }
})
fastify.route<{ Params: { room: string } }>({
  method: 'GET',
  url: '/:room',
  handler: (request, reply) => {
    assertType<Equal<typeof request.params, { room: string }>>()
    reply.send()
  },
  wsHandler (connection, req, { params }) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof req, IncomingMessage>>()
    assertType<Equal<typeof params, { room: string }>>()
  }
})
fastify.route({ method: 'GET', url: '/', handler: async (request) => request.id })
fastify.route({
  method: 'POST',
  url: '/',
  handler: (request, reply) => {
    assertType<Equal<typeof reply.statusCode, number>>()
    reply.send(request.body)
  }
})
fastify.route({ method: 'GET', url: '/', websocket: isWebsocket, handler: async () => '' })
// @ts-expect-error: a websocket route is a GET route
fastify.route({ method: 'POST', url: '/', websocket: true, handler: (_connection, _req, _r) => {} })
// @ts-expect-error: wsHandler is a function
fastify.route({ method: 'GET', url: '/', handler: async () => '', wsHandler: 'echo' })

// --- Type providers ---

const typed = fastify.withTypeProvider<TypeBoxTypeProvider>()
const schema = {
  params: Type.Object({ room: Type.String() }),
  querystring: Type.Object({ page: Type.Number() })
}
typed.get('/:room', { websocket: true, schema }, (_connection, _req, { params, query }) => {
  assertType<Equal<typeof params, { room: string }>>()
  assertType<Equal<typeof query, { page: number }>>()
})
typed.get('/:room', { websocket: { heartbeat: 1000 }, schema }, (connection, _req, request) => {
  assertType<Equal<typeof connection, SocketStream>>()
  assertType<Equal<typeof request.params, { room: string }>>()
})
typed.route({
  method: 'GET',
  url: '/:room',
  schema,
  websocket: { heartbeat: 1000 },
  handler: (connection, _req, { query }) => {
    assertType<Equal<typeof connection, SocketStream>>()
    assertType<Equal<typeof query, { page: number }>>()
  }
})
typed.route({
  method: 'GET',
  url: '/:room',
  schema,
  websocket: true,
  handler: (_connection, _req, { params, query }) => {
    assertType<Equal<typeof params, { room: string }>>()
    assertType<Equal<typeof query, { page: number }>>()
  }
})
typed.route({
  method: 'GET',
  url: '/:room',
  schema,
  handler: async ({ params }) => params.room,
  wsHandler: (_connection, _req, { params }) => {
    assertType<Equal<typeof params, { room: string }>>()
  }
})

// --- Instances of other types ---

interface CustomLogger extends FastifyBaseLogger {
  audit (what: string): void
}
declare const logged: FastifyInstance<
  RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, CustomLogger
>
logged.get('/', { websocket: true }, function (_connection, _req, request) {
  assertType<Equal<typeof request.log, CustomLogger>>()
  assertType<Equal<typeof this.log, CustomLogger>>()
})
declare const secure: FastifyInstance<HttpsServer>
secure.get('/', { websocket: true }, (_connection, req) => {
  assertType<Equal<typeof req, IncomingMessage>>()
})

// --- Listeners ---

fastify.get('/listeners', { websocket: true }, (connection) => {
  const { socket } = connection
  socket.once('message', (message) => { assertType<Equal<typeof message, string | Buffer>>() })
  socket.prependListener('message', (message, isBinary) => {
    assertType<Equal<typeof message, string | Buffer>>()
    assertType<Equal<typeof isBinary, boolean>>()
  })
  socket.prependOnceListener('close', (code, reason) => {
    assertType<Equal<typeof code, number>>()
    assertType<Equal<typeof reason, Buffer>>()
  })
  socket.off('message', (message) => { assertType<Equal<typeof message, string | Buffer>>() })
  socket.removeListener('error', (error) => { assertType<Equal<typeof error, Error>>() })
  socket.on('message', function () { this.ping() })
  // @ts-expect-error: no message is a number
  socket.prependListener('message', (message) => message.toFixed())
  // Listeners for the client of ws and for any other event are accepted.
  socket.off('message', (message: Buffer) => message)
  socket.on('upgrade', (request) => request)
  // Without a schema, chunks are of any kind.
  connection.once('data', (chunk) => { chunk.toString() })
  connection.read().toString()
})

// --- Decorations and exports ---

assertType<Equal<typeof fastify.websocketServer, WebsocketServer>>()
const server: Server<typeof StreamSocket> = fastify.websocketServer
server.on('connection', (socket) => { assertType<Equal<typeof socket, StreamSocket>>() })
const methods = [
  'on', 'once', 'off', 'addListener', 'removeListener', 'prependListener', 'prependOnceListener'
] as const
for (const method of methods) {
  fastify.websocketServer[method]('stream', (stream, request) => {
    assertType<Equal<typeof stream, SocketStream>>()
    assertType<Equal<typeof request, IncomingMessage>>()
  })
  fastify.websocketServer[method]('connection', (socket, request) => {
    assertType<Equal<typeof socket, StreamSocket>>()
    assertType<Equal<typeof request, IncomingMessage>>()
  })
  fastify.websocketServer[method]('headers', (lines, request) => {
    assertType<Equal<typeof lines, string[]>>()
    assertType<Equal<typeof request, IncomingMessage>>()
  })
  fastify.websocketServer[method]('error', (error) => {
    assertType<Equal<typeof error, Error>>()
  })
  fastify.websocketServer[method]('wsClientError', (error, socket, request) => {
    assertType<Equal<typeof error, Error>>()
    assertType<Equal<typeof socket, Duplex>>()
    assertType<Equal<typeof request, IncomingMessage>>()
  })
  fastify.websocketServer[method]('gap', () => {}).on('close', () => {}).stats()
}
fastify.websocketServer.on('gap', function () { this.stats() })
// @ts-expect-error: a stream has no such member
fastify.websocketServer.on('stream', (stream) => stream.nothing.at.all)
// @ts-expect-error: there is no argument
fastify.websocketServer.on('gap', (missed: number) => missed.nothing)
fastify.websocketServer.on('custom', (one, two) => [one, two])
// It is a stream for whoever names streams by their interfaces, as `node:readline` does.
fastify.get('/lines', { websocket: true }, (connection) => {
  createInterface({ input: connection, output: connection })
  const either: NodeJS.ReadWriteStream = connection
  return either
})

fastify.websocketServer.on('stream', (stream: SocketStream, request: IncomingMessage) => {
  stream.end(request.url)
})
assertType<Equal<ReturnType<typeof createServer>, WebSocketStreamServer>>()

const handler: fastifyWebsocket.WebsocketHandler = (connection) => { connection.end() }
fastify.get('/', { websocket: true }, handler)
const generic: fastifyWebsocket.WebsocketHandler<
  RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression,
  { Params: { room: string } }
> = (_connection, _req, { params }) => { assertType<Equal<typeof params.room, string>>() }
fastify.get('/:room', { websocket: true }, generic)

// --- injectWS ---

assertType<Equal<typeof fastify.injectWS, fastifyWebsocket.InjectWebsocket>>()
assertType<Equal<ReturnType<typeof fastify.injectWS>, Promise<WebSocket>>>()
export const clients: Array<Promise<WebSocket>> = [
  fastify.injectWS(),
  fastify.injectWS('/', {}),
  fastify.injectWS('/', { protocols: 'chat' }),
  fastify.injectWS('/', {
    headers: { authorization: 'Bearer x', 'x-list': ['a', 'b'], 'x-number': 1 },
    protocols: ['chat', 'echo'],
    remoteAddress: '::1',
    origin: 'http://localhost',
    handshakeTimeout: 100
  }, {
    onInit: (socket) => { assertType<Equal<typeof socket, WebSocket>>() },
    onOpen: (socket) => { assertType<Equal<typeof socket, WebSocket>>() }
  }),
  logged.injectWS('/'),
  secure.injectWS('/'),
  // @ts-expect-error: a path is a string
  fastify.injectWS(new URL('ws://localhost/')),
  // @ts-expect-error: protocols are strings
  fastify.injectWS('/', { protocols: [1] }),
  // @ts-expect-error: the connection is made in memory
  fastify.injectWS('/', { createConnection: () => {} }),
  // @ts-expect-error: there is no such event
  fastify.injectWS('/', {}, { onClose: () => {} })
]
export const init: fastifyWebsocket.InjectWebsocketInit = { headers: {} }
export const injectOptions: fastifyWebsocket.InjectWebsocketOptions = { onInit: () => {} }
export function readRefusal (refusal: fastifyWebsocket.InjectRefusal): Error {
  assertType<Equal<typeof refusal.statusCode, number>>()
  assertType<Equal<typeof refusal.code, string>>()
  assertType<Equal<typeof refusal.headers, IncomingHttpHeaders>>()
  assertType<Equal<typeof refusal.body, string>>()
  return refusal
}

// --- Other exports ---

export const options: fastifyWebsocket.WebsocketPluginOptions = { handle: handler }
export const serverOptions: fastifyWebsocket.WebsocketServerOptions = { path: '/' }
export const errorHandler: fastifyWebsocket.WebsocketErrorHandler = () => {}
export const allowedOrigin: fastifyWebsocket.AllowedOrigin = /example/
export const originCheck: fastifyWebsocket.OriginCheck = (origin) => origin === undefined
export const routeOptions: fastifyWebsocket.WebsocketConnectionOptions = { origin: originCheck }
export const verifyClient: fastifyWebsocket.VerifyClient = () => true
export const onStream: fastifyWebsocket.StreamListener = (stream) => { stream.end() }
export const route: fastifyWebsocket.WebsocketRouteOptions = {
  method: 'GET', url: '/', websocket: true, handler
}

// --- Compatible registrations ---

fastify.register(fastifyWebsocket, {
  compatible: '@fastify/websocket',
  prefix: '/compatible',
  handle (socket, request) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof socket, CompatibleSocket>>()
    assertType<Equal<typeof request, FastifyRequest>>()
    const methods = [
      'on', 'once', 'off', 'addListener', 'removeListener', 'prependListener',
      'prependOnceListener'
    ] as const
    for (const method of methods) {
      socket[method]('message', (message, isBinary) => {
        assertType<Equal<typeof message, Buffer>>()
        assertType<Equal<typeof isBinary, boolean>>()
      })
      socket[method]('close', (code) => { assertType<Equal<typeof code, number>>() })
    }
    socket.on('message', () => {}).on('pong', () => {}).once('message', (data) => data.readUInt8(0))
  },
  errorHandler (error, socket, request, reply) {
    assertType<Equal<typeof this, FastifyInstance>>()
    assertType<Equal<typeof error, Error>>()
    assertType<Equal<typeof socket, CompatibleSocket>>()
    assertType<Equal<typeof request, FastifyRequest>>()
    assertType<Equal<typeof reply, FastifyReply>>()
  },
  preClose (done) { done() }
})
export const compatibleHandler: fastifyWebsocket.CompatibleHandler = (socket: WebSocket) => {
  socket.close()
}
export const compatibleOptions: fastifyWebsocket.CompatiblePluginOptions = {
  compatible: '@fastify/websocket', preClose: async () => {}
}
export const compatibleErrorHandler: fastifyWebsocket.CompatibleErrorHandler = () => {}
export const adaptedHandler: fastifyWebsocket.AdaptedHandler = compatible(compatibleHandler)
fastify.get('/adapted', { websocket: true }, adaptedHandler)
fastify.get('/buffers', { websocket: true }, compatible((socket) => {
  socket.on('message', (message) => message.readUInt8(0))
  // @ts-expect-error: it is a Buffer
  socket.on('message', (message) => message.charAt(0))
  const ofWs: WebSocket = socket
  const ofStream: StreamSocket = socket
  return [ofWs, ofStream]
}))
