import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { test, type Test } from 'tap'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../src/index'
import { SERVER_PLACE } from '../../src/options/names'
import { resolveOptions } from '../../src/options/plugin-options'
import { connect, refused } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
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

type Invalid = [options: object, code: string, message: RegExp | string]

const INVALID: readonly Invalid[] = [
  [{ handle: 'no function' }, 'FST_WS_INVALID_HANDLE', 'invalid handle function'],
  [{ handle: null }, 'FST_WS_INVALID_HANDLE', 'invalid handle function'],
  [{ errorHandler: 1 }, 'FST_WS_INVALID_OPTION', /invalid option errorHandler: a function/],
  [{ closeTimeout: -1 }, 'FST_WS_INVALID_OPTION', /closeTimeout: an integer from 0 to 2147483647/],
  [{ closeTimeout: 2 ** 31 }, 'FST_WS_INVALID_OPTION', /closeTimeout/],
  [{ closeTimeout: '1' }, 'FST_WS_INVALID_OPTION', /closeTimeout/],
  [[], 'FST_WS_INVALID_OPTION', /object of the plugin: an object is expected, got \[/],
  [new Map(), 'FST_WS_INVALID_OPTION', /object of the plugin: an object is expected, got Map/],
  ...[new Map(), new Set(), new Date(), /a/, Promise.resolve(), Buffer.alloc(0)].map(
    (options): Invalid => [{ options }, 'FST_WS_INVALID_OPTION', /option options: an object/]),
  [{ options: [] }, 'FST_WS_INVALID_OPTION', /invalid option options: an object/],
  [{ options: 'path' }, 'FST_WS_INVALID_OPTION', /invalid option options: an object/],
  [{ options: { objectMode: 1 } }, 'FST_WS_INVALID_OPTION', /objectMode: a boolean/],
  [{ options: { binary: 'no' } }, 'FST_WS_INVALID_OPTION', /binary: a boolean/],
  [{ options: { host: 1, port: 0 } }, 'FST_WS_INVALID_OPTION', /host: a string/],
  [{ options: { port: 65536 } }, 'FST_WS_INVALID_OPTION', /port: an integer from 0 to 65535/],
  [{ options: { port: '80' } }, 'FST_WS_INVALID_OPTION', /port/],
  [{ options: { port: 0, backlog: 1.5 } }, 'FST_WS_INVALID_OPTION', /backlog: an integer from 0/],
  [{ options: { server: {} } }, 'FST_WS_INVALID_OPTION', /server: an HTTP or HTTPS server/],
  [{ options: { server: 80 } }, 'FST_WS_INVALID_OPTION', /server: an HTTP or HTTPS server/],
  [{ options: { verifyClient: true } }, 'FST_WS_INVALID_OPTION', /verifyClient: a function/],
  [{ options: { handleProtocols: 'a' } }, 'FST_WS_INVALID_OPTION', /handleProtocols: a function/],
  ...[/a/, '', 'ws', 'ws/', 'http://127.0.0.1/ws', '/ws?key=1'].map((path): Invalid => [
    { options: { path } }, 'FST_WS_INVALID_OPTION', /path: a path that begins with '\/'/
  ]),
  [{ options: { noServer: 1 } }, 'FST_WS_INVALID_OPTION', /noServer: a boolean/],
  [{ options: { clientTracking: 0 } }, 'FST_WS_INVALID_OPTION', /clientTracking: a boolean/],
  [
    { options: { perMessageDeflate: 9 } },
    'FST_WS_INVALID_OPTION', /perMessageDeflate: a boolean or an object/
  ],
  [{ options: { perMessageDeflate: new Map() } }, 'FST_WS_INVALID_OPTION', /perMessageDeflate/],
  [{ options: { maxPayload: -1 } }, 'FST_WS_INVALID_OPTION', /maxPayload: an integer from 0/],
  [{ options: { maxPayload: 2 ** 31 } }, 'FST_WS_INVALID_OPTION', /maxPayload: .* to 2147483647/],
  ...['maxFragments', 'maxBufferedChunks', 'maxPendingAutoPongs'].flatMap((name): Invalid[] => {
    const message = new RegExp(`invalid option ${name}: an integer from 0 to 2147483647`)
    return [-1, 1.5, NaN, Infinity, '1', false, 2 ** 31].map((value) => {
      return [{ options: { [name]: value } }, 'FST_WS_INVALID_OPTION', message]
    })
  }),
  ...['autoPong', 'allowSynchronousEvents', 'skipUTF8Validation'].flatMap((name): Invalid[] => {
    const message = new RegExp(`invalid option ${name}: a boolean`)
    return [0, 'false'].map((value) => {
      return [{ options: { [name]: value } }, 'FST_WS_INVALID_OPTION', message]
    })
  }),
  [{ options: { highWaterMark: -1 } }, 'FST_WS_INVALID_OPTION', /highWaterMark/],
  [
    { options: { port: 1, noServer: true } },
    'FST_WS_CONFLICTING_OPTIONS', 'options port and noServer exclude each other'
  ],
  [{ options: { host: 'localhost' } }, 'FST_WS_MISSING_OPTION', /option host does nothing without/],
  [{ options: { backlog: 1 } }, 'FST_WS_MISSING_OPTION', /option backlog does nothing without/]
]

for (const [options, code, message] of INVALID) {
  const title = inspect(options)
  test(`${title} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    await t.rejects(settled(fastify.register(fastifyWebsocket, options)), { code, message })
  })
  test(`${title} fails ready() with ${code}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, options)
    await t.rejects(settled(fastify.ready()), { code, message })
  })
}

for (const other of [{ port: 0 }, { noServer: true }]) {
  test(`server and ${Object.keys(other)} exclude each other`, async (t) => {
    const { server } = await createHttp(t)
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { server, ...other } })
    await t.rejects(settled(fastify.listen({ port: 0 })), { code: 'FST_WS_CONFLICTING_OPTIONS' })
  })
}

test('the options that were passed in are not changed', async (t) => {
  const options = Object.freeze({ maxPayload: 10, path: '/a' })
  const plugin = Object.freeze({ handle: echo, options })
  const { origin } = await serve(t, { plugin })
  await connect(t, `${origin}/a`)
  t.strictSame(options, { maxPayload: 10, path: '/a' })
})

const SHUTDOWN_TIMEOUTS = [
  { pluginTimeout: undefined, closeTimeout: undefined, expected: 9_000 },
  { pluginTimeout: 60_000, closeTimeout: undefined, expected: 10_000 },
  { pluginTimeout: 1_000, closeTimeout: 5_000, expected: 900 },
  { pluginTimeout: 1_000, closeTimeout: 0, expected: 0 },
  { pluginTimeout: 0, closeTimeout: 20_000, expected: 20_000 }
]

for (const { pluginTimeout, closeTimeout, expected } of SHUTDOWN_TIMEOUTS) {
  const given = `closeTimeout ${closeTimeout} and Fastify's pluginTimeout ${pluginTimeout}`
  test(`${given} leave clients ${expected} ms when Fastify closes`, async (t) => {
    const fastify = createFastify(t, pluginTimeout === undefined ? {} : { pluginTimeout })
    t.equal(resolveOptions({ closeTimeout }, fastify).shutdownTimeout, expected)
  })
}

test('options of a class and inherited ones are options, in options too', async (t) => {
  class Options {
    get maxConnections () { return 1 }
    get handle () { return echo }
    get options () { return Object.create({ maxPayload: 10, path: '/a' }) }
  }
  const { origin } = await serve(t, { plugin: Object.freeze(new Options()) })
  t.match(await refused(t, `${origin}/b`), { statusCode: 404 })
  const client = await connect(t, `${origin}/a`)
  t.match(await refused(t, `${origin}/a`), { statusCode: 503 })
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('options can be a module', async (t) => {
  const path = './fixtures/options.mjs'
  const module: object = await import(path)
  t.equal(Object.prototype.toString.call(module), '[object Module]')
  const { origin } = await serve(t, { plugin: module })
  t.match(await refused(t, origin, { origin: 'https://evil.example' }), { statusCode: 403 })
})

test('an option that a getter gives is read once', async (t) => {
  const reads: string[] = []
  const options: object = {
    get maxPayload () { return reads.push('maxPayload') === 1 ? 10 : 'other' },
    get WebSocket () { return undefined }
  }
  const { websocket } = resolveOptions({ options }, createFastify(t))
  t.equal(websocket.maxPayload, 10)
  t.strictSame(reads, ['maxPayload'])
})

test('an option that a newer ws adds would be passed on to it', async (t) => {
  const known = Object.keys(new WebSocketServer({ noServer: true }).options)
  for (const name of known) {
    if (name === 'WebSocket' || name === 'closeTimeout') continue
    t.ok(SERVER_PLACE.names.includes(name), name)
  }
})
