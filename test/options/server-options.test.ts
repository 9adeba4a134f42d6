// The option `options`: each option of websocket-stream and of ws does what its name says.
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { text } from 'node:stream/consumers'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { createFastify, createHttp, portOf } from '../helpers/servers'
import { CERTIFICATE } from '../helpers/tls'

type Options = fastifyWebsocket.WebsocketServerOptions
type VerifyClient = NonNullable<Options['verifyClient']>

async function serveHandle (t: Test, options: Options, handle = echo) {
  const { fastify, origin } = await serve(t, { plugin: { handle, options } })
  return { fastify, origin }
}

/** Writes three chunks at once. */
const writeThree: fastifyWebsocket.WebsocketHandler = (connection) => {
  connection.cork()
  for (const chunk of ['one', 'two', 'three']) connection.write(chunk)
  connection.uncork()
}

for (const options of [{ objectMode: true }, { binary: false }]) {
  test(`${Object.keys(options)}: each chunk is a text message of its own`, async (t) => {
    const { origin } = await serveHandle(t, options, writeThree)
    const client = await connect(t, origin)
    const messages = [await client.next(), await client.next(), await client.next()]
    t.strictSame(messages.map(({ text }) => text), ['one', 'two', 'three'])
    t.strictSame(messages.map(({ isBinary }) => isBinary), [false, false, false])
  })

  test(`${Object.keys(options)}: text messages are read as strings`, async (t) => {
    const { origin } = await serveHandle(t, options, (connection) => {
      connection.once('data', (chunk) => { connection.socket.send(typeof chunk) })
    })
    const client = await connect(t, origin)
    client.send('hello')
    t.equal(await client.nextText(), 'string')
  })
}

test('objectMode: false packs chunks into one binary message', async (t) => {
  const { origin } = await serveHandle(t, { objectMode: false }, writeThree)
  const client = await connect(t, origin)
  const message = await client.next()
  t.equal(message.text, 'onetwothree')
  t.equal(message.isBinary, true)
})

test('server: takes the upgrades of a given HTTP server and leaves it open', async (t) => {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { server } })
  fastify.get('/echo', { websocket: true }, echo)
  await fastify.ready()
  const client = await connect(t, `${origin}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')

  await fastify.close()
  t.equal((await client.closed).code, 1001)
  t.equal(server.listening, true)
  t.equal(server.listenerCount('upgrade'), 0)
})

test('server: takes the upgrades of a given HTTPS server', async (t) => {
  const server = createHttpsServer(CERTIFICATE).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const fastify = createFastify(t)
  const seen: boolean[] = []
  const verifyClient: VerifyClient = ({ secure }) => seen.push(secure) > 0
  fastify.register(fastifyWebsocket, { handle: echo, options: { server, verifyClient } })
  await fastify.ready()
  const client = await connect(t, `wss://127.0.0.1:${portOf(server)}`, { ca: CERTIFICATE.cert })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.strictSame(seen, [true])
  client.close()
  await client.closed
})

test('path: accepts only connections to this path', async (t) => {
  const { origin } = await serveHandle(t, { path: '/fastify' })
  const client = await connect(t, `${origin}/fastify?query=1`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  for (const path of ['/', '/fastify/deep', '/Fastify']) {
    t.equal((await refused(t, origin + path)).statusCode, 404, path)
  }
})

test('noServer: binds nothing, and handleUpgrade works for the user', async (t) => {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  const seen: unknown[] = []
  const verifyClient: VerifyClient = ({ req }) => req.url !== '/forbidden'
  fastify.register(fastifyWebsocket, { options: { noServer: true, verifyClient } })
  fastify.get('/', { websocket: true }, echo)
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  t.equal(fastify.server.listenerCount('upgrade'), 0)

  const { websocketServer } = fastify
  websocketServer.on('stream', (stream, request) => {
    seen.push(request.url)
    stream.pipe(stream)
  })
  server.on('upgrade', (request, socket, head) => {
    websocketServer.handleUpgrade(request, socket, head, (socket) => {
      websocketServer.emit('connection', socket, request)
    })
  })
  const client = await connect(t, `${origin}/mine`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.strictSame(seen, ['/mine'])
  t.equal((await refused(t, `${origin}/forbidden`)).statusCode, 401)
  t.throws(() => websocketServer.address(), { message: /noServer/ })
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

for (const [form, verifyClient] of Object.entries<VerifyClient>({
  'with a callback': ({ req }, next) => { next(req.url !== '/forbidden', 403) },
  'with a promise': async ({ req }) => req.url !== '/forbidden'
})) {
  test(`noServer: handleUpgrade asks a verifyClient ${form}`, async (t) => {
    const { server, origin } = await createHttp(t)
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { noServer: true, verifyClient } })
    await fastify.ready()
    server.on('upgrade', (request, socket, head) => {
      fastify.websocketServer.handleUpgrade(request, socket, head, (socket) => {
        socket.send('in')
      })
    })
    const client = await connect(t, `${origin}/allowed`)
    t.equal(await client.nextText(), 'in')
    const { statusCode } = await refused(t, `${origin}/forbidden`)
    t.equal(statusCode, form === 'with a promise' ? 401 : 403)
  })
}

test('clientTracking: the server knows its clients', async (t) => {
  const { fastify, origin } = await serveHandle(t, {})
  const client = await connect(t, origin)
  t.equal(fastify.websocketServer.clients.size, 1)
  client.close()
  await client.closed
})

test('clientTracking: undefined is the default', async (t) => {
  const { fastify, origin } = await serveHandle(t, { clientTracking: undefined })
  await connect(t, origin)
  t.equal(fastify.websocketServer.clients.size, 1)
})

test('clientTracking: false keeps no list, and closing still says 1001', async (t) => {
  const { fastify, origin } = await serveHandle(t, { clientTracking: false })
  const client = await connect(t, origin)
  t.equal(fastify.websocketServer.clients, undefined)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

test('perMessageDeflate: is negotiated when it is on', async (t) => {
  const { origin } = await serveHandle(t, { perMessageDeflate: { threshold: 0 } })
  const client = await connect(t, origin)
  t.match(client.socket.extensions, 'permessage-deflate')
  client.send('a'.repeat(1000))
  t.equal(await client.nextText(), 'a'.repeat(1000))
})

test('perMessageDeflate: is off by default', async (t) => {
  const { origin } = await serveHandle(t, {})
  const client = await connect(t, origin)
  t.equal(client.socket.extensions, '')
})

test('maxPayload: a larger message closes the connection with 1009', async (t) => {
  const { origin } = await serveHandle(t, { maxPayload: 10 })
  const client = await connect(t, origin)
  client.send('0123456789')
  t.equal(await client.nextText(), '0123456789')
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('maxPayload: is the bodyLimit of Fastify by default', async (t) => {
  const { origin } = await serve(t, { plugin: { handle: echo }, server: { bodyLimit: 10 } })
  const client = await connect(t, origin)
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('handleProtocols: chooses the subprotocol', async (t) => {
  const { origin } = await serveHandle(t, {
    handleProtocols: (protocols) => protocols.has('chat') && 'chat'
  }, (connection) => { connection.socket.send(connection.socket.protocol) })
  const client = await connect(t, origin, {}, ['other', 'chat'])
  t.equal(client.socket.protocol, 'chat')
  t.equal(await client.nextText(), 'chat')
})

test('handleProtocols: one that throws refuses the upgrade with 500', async (t) => {
  const { origin } = await serveHandle(t, {
    handleProtocols: () => { throw new Error('no protocols today') }
  })
  const { statusCode, body } = await refused(t, origin, {}, ['chat'])
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { statusCode: 500, message: 'no protocols today' })
})

const RAW_GET = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

test('an option that is null is not given', async (t) => {
  const fastify = createFastify(t)
  const names = [
    'objectMode', 'binary', 'host', 'port', 'backlog', 'server', 'verifyClient', 'handleProtocols',
    'path', 'noServer', 'clientTracking', 'perMessageDeflate', 'maxPayload'
  ]
  const options: object = Object.fromEntries(names.map((name) => [name, null]))
  fastify.register(fastifyWebsocket, { handle: echo, options })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const client = await connect(t, `ws://127.0.0.1:${portOf(fastify.server)}/anywhere`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.equal(fastify.websocketServer.clients.size, 1)
})

test('plain requests to Fastify are not disturbed', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo }, declare: (fastify) => fastify.get('/', async () => 'plain')
  })
  const socket = connectTcp(portOf(fastify.server), '127.0.0.1')
  socket.write(RAW_GET)
  t.match(await text(socket), 'plain')
})
