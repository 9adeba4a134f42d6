// Which servers offer WebSockets over HTTP/2, what else comes as a CONNECT, and how sessions end.
import { once } from 'node:events'
import {
  createSecureServer, createServer, type Http2ServerRequest, type Http2ServerResponse
} from 'node:http2'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { answerTo, ask, BOTH, H2, H2C, openSession, readUntil, serveHttp2 } from '../helpers/http2'
import { echo, say, serve } from '../helpers/plugin'
import { portOf, createFastify } from '../helpers/servers'
import { frame } from '../helpers/raw'
import { record, until } from '../helpers/streams'
import { CERTIFICATE } from '../helpers/tls'
import { createGate } from '../helpers/upgrades'

const TEXT = 0x81
const PING = 0x89
const PONG = 0x8a

/** Options of Fastify with a `serverFactory`; its types for them are those of its own servers. */
function madeBy (create: (listener: () => void) => object): object {
  // Fastify would ask the server for what only HTTP/1 servers have.
  return { forceCloseConnections: false, serverFactory: create }
}

const SECURE_FACTORY = madeBy((listener) => createSecureServer(CERTIFICATE, listener))

const OFFERS: ReadonlyArray<readonly [
  string, scheme: string, isOffered: boolean, server: object, extendedConnect?: boolean
]> = [
  ['HTTP/2 without TLS', 'http', true, H2C],
  ['HTTP/2 alone', 'https', true, H2],
  ['both versions', 'https', false, BOTH],
  ['both versions, with the option', 'https', true, BOTH, true],
  ['a serverFactory', 'http', true, madeBy((listener) => createServer(listener))],
  ['a serverFactory with TLS', 'https', false, SECURE_FACTORY],
  ['a serverFactory with TLS, with the option', 'https', true, SECURE_FACTORY, true]
]

for (const [name, scheme, isOffered, server, extendedConnect] of OFFERS) {
  test(`a server of ${name} ${isOffered ? 'offers it' : 'does not offer it'}`, async (t) => {
    const { fastify } = await serve(t, {
      server, plugin: { handle: echo, options: { extendedConnect } }
    })
    const session = await openSession(t, portOf(fastify.server), scheme)
    t.equal(session.remoteSettings.enableConnectProtocol, isOffered)
  })
}

test('settings of the server stay, and its own offer is enough', async (t) => {
  const settings = { enableConnectProtocol: true, maxConcurrentStreams: 7 }
  const { fastify } = await serve(t, {
    server: { http2: true, https: { ...CERTIFICATE, allowHTTP1: true, settings } } as object,
    plugin: { handle: say('hello') }
  })
  const session = await openSession(t, portOf(fastify.server), 'https')
  t.equal(session.remoteSettings.maxConcurrentStreams, 7)
  const stream = ask(session, '/')
  await readUntil(stream, Buffer.from('hello'))
})

test('beside HTTP/1 alone, the option does nothing', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo, options: { extendedConnect: true } }
  })
  const client = await connect(t, origin)
  client.socket.send('hello')
  t.equal(await client.nextText(), 'hello')
  const injected = await fastify.injectWS('/')
  injected.terminate()
})

test('the option server can be one of HTTP/2, and its sessions go on at the end', async (t) => {
  const server = createServer((_request, response) => { response.end() })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    handle: say('hello'), closeTimeout: 50, options: { server }
  })
  await fastify.ready()
  // The types of Node.js know no common type of the servers.
  const session = await openSession(t, portOf(server as never))
  await readUntil(ask(session, '/'), Buffer.from('hello'))
  const closed = once(session, 'close')
  await fastify.close()
  t.notOk(session.closed, 'the session is not that of the application')
  session.close()
  await closed
  server.close()
})

test('a CONNECT that asks for no WebSocket gets a 501', async (t) => {
  const { session } = await serveHttp2(t, { plugin: { handle: echo } })
  const requests = [
    () => session.request({ ':method': 'CONNECT', ':authority': 'example.com:443' }),
    () => ask(session, '/', { ':protocol': 'connect-udp' })
  ]
  for (const send of requests) {
    const stream = send()
    const closed = once(stream, 'close')
    t.equal((await answerTo(stream)).status, 501)
    // The client has not ended its side.
    await closed
  }
})

test('a protocol is the same in upper and in lower case', async (t) => {
  const { session } = await serveHttp2(t, { plugin: { handle: say('hello') } })
  await readUntil(ask(session, '/', { ':protocol': 'WebSocket' }), Buffer.from('hello'))
})

test('another listener of connect keeps what is not ours', async (t) => {
  const { fastify, session } = await serveHttp2(t, {
    declare (fastify) { fastify.get('/ours', { websocket: true }, say('hello')) }
  })
  fastify.server.on('connect', (
    { headers, url }: Http2ServerRequest, response: Http2ServerResponse
  ) => {
    if (headers[':protocol'] === undefined || url === '/theirs') response.writeHead(418).end()
  })
  const tunnel = session.request({ ':method': 'CONNECT', ':authority': 'example.com:443' })
  t.equal((await answerTo(tunnel)).status, 418)
  t.equal((await answerTo(ask(session, '/theirs'))).status, 418)
  await readUntil(ask(session, '/ours'), Buffer.from('hello'))
})

test('a CONNECT of HTTP/1 is cut off, or left to another listener', async (t) => {
  const { fastify } = await serve(t, { server: BOTH, plugin: { handle: echo } })
  const port = portOf(fastify.server)
  const tunnel = () => {
    const socket = connectTls({ port, host: '127.0.0.1', ca: CERTIFICATE.cert })
    socket.on('error', () => {})
    socket.write('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n')
    return socket
  }
  const cutOff = tunnel()
  await once(cutOff, 'close')
  t.equal(cutOff.bytesRead, 0)
  fastify.server.on('connect', (_request, socket) => { socket.end('mine') })
  const [answer] = await once(tunnel(), 'data')
  t.equal(String(answer), 'mine')
})

test('close() tells clients 1001, and ends sessions that carried them', async (t) => {
  const { fastify, session } = await serveHttp2(t, { plugin: { handle: echo } })
  const streams = [ask(session, '/'), ask(session, '/')]
  for (const stream of streams) await answerTo(stream)
  const goaway = once(session, 'goaway')
  const closed = fastify.close()
  for (const stream of streams) {
    await readUntil(stream, Buffer.from([0x88, 2, 0x03, 0xe9]))
    stream.write(frame(0x88, Buffer.from([0x03, 0xe9])))
  }
  await Promise.all([goaway, closed, once(session, 'close')])
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('close() cuts off a session that does not end in closeTimeout', async (t) => {
  const reached = createGate()
  const { fastify, session } = await serveHttp2(t, {
    plugin: { handle: echo, closeTimeout: 50 },
    declare: (fastify) => fastify.get('/slow', () => {
      reached.open()
      return new Promise(() => {})
    })
  })
  await answerTo(ask(session, '/'))
  session.request({ ':path': '/slow' }).on('error', () => {})
  await reached.opened
  await fastify.close()
  await until(() => session.destroyed)
  t.pass()
})

test('http2SessionTimeout ends a session for new requests, and WebSockets go on', async (t) => {
  const { session } = await serveHttp2(t, {
    // The types of Fastify have the option only for an application over HTTP/2.
    server: { http2SessionTimeout: 50 } as object,
    plugin: { handle: echo, heartbeat: false }
  })
  const stream = ask(session, '/')
  await answerTo(stream)
  await once(session, 'goaway')
  for (let i = 0; i < 3; i++) {
    stream.write(frame(TEXT, 'hello'))
    await readUntil(stream, Buffer.from('hello'))
  }
  const error = await new Promise((resolve) => {
    // Node.js 24 emits what earlier versions throw.
    try {
      ask(session, '/').on('error', resolve)
    } catch (error) {
      resolve(error)
    }
  })
  t.match(error, { code: 'ERR_HTTP2_GOAWAY_SESSION' })
})

test('the heartbeat keeps a session from its http2SessionTimeout', async (t) => {
  const { session } = await serveHttp2(t, {
    // As above.
    server: { http2SessionTimeout: 1000 } as object,
    plugin: { handle: echo, heartbeat: 100 }
  })
  const goaways = record(session, 'goaway')
  const stream = ask(session, '/')
  await answerTo(stream)
  const start = performance.now()
  while (performance.now() - start < 1500) {
    await readUntil(stream, Buffer.from([PING, 0]))
    stream.write(frame(PONG))
  }
  t.strictSame(goaways, [])
  t.equal((await answerTo(ask(session, '/'))).status, 200)
})

for (const [name, options] of Object.entries({ h2c: H2C, h2: H2 })) {
  test(`injectWS over ${name}: a connection in memory, and a refusal`, async (t) => {
    const fastify = Fastify(options) as unknown as FastifyInstance
    t.teardown(() => fastify.close())
    fastify.register(fastifyWebsocket)
    fastify.get('/', { websocket: true }, ({ socket }, req, request) => {
      socket.send(`${req.httpVersion} ${request.ip} ${request.protocol}`)
    })
    await fastify.ready()
    const client = await fastify.injectWS('/', { remoteAddress: '192.0.2.7' })
    const [message] = await once(client, 'message')
    t.equal(String(message), `2.0 192.0.2.7 ${name === 'h2' ? 'https' : 'http'}`)
    client.terminate()
    await once(client, 'close')
    const other = await fastify.injectWS('/', { remoteAddress: '2001:db8::7' })
    t.match(String((await once(other, 'message'))[0]), '2001:db8::7 ')
    other.terminate()
    await t.rejects(fastify.injectWS('/none'), {
      code: 'FST_WS_INJECT_REFUSED', statusCode: 404, body: /not found/
    })
  })
}

test('with extendedConnect, injectWS reaches a server of which nothing tells', async (t) => {
  const fastify = createFastify(t, SECURE_FACTORY)
  fastify.register(fastifyWebsocket, { options: { extendedConnect: true } })
  fastify.get('/', { websocket: true }, ({ socket }, req) => { socket.send(req.httpVersion) })
  await fastify.ready()
  const client = await fastify.injectWS('/')
  t.equal(String((await once(client, 'message'))[0]), '2.0')
  client.terminate()
})

test('injectWS over HTTP/2 rejects when the session is lost, or the time is over', async (t) => {
  const fastify = Fastify(H2C) as unknown as FastifyInstance
  t.teardown(() => fastify.close())
  fastify.register(fastifyWebsocket, { closeTimeout: 50 })
  fastify.addHook('preHandler', () => new Promise(() => {}))
  await fastify.ready()
  await t.rejects(fastify.injectWS('/', { handshakeTimeout: 20 }), { message: /timed out/ })
  fastify.server.once('session', (session) => { session.destroy() })
  await t.rejects(fastify.injectWS('/'), { code: 'ECONNRESET' })
})
