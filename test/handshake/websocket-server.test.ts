import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { createServer, SocketStream } from '../../src/index'
import { connect, refused, type Client } from '../helpers/client'
import { Logs, INFO } from '../helpers/logs'
import { echo, serve, type Served } from '../helpers/plugin'
import { until, record, turn } from '../helpers/streams'
import { serveOnce } from '../helpers/upgrades'

const LIMIT = 100

/** Routes whose longest messages are shorter, longer and no other than those of the plugin. */
function declareLimits (fastify: FastifyInstance): void {
  fastify.get('/low', { websocket: { maxPayload: LIMIT / 2 } }, echo)
  fastify.get('/high', { websocket: { maxPayload: LIMIT * 2 } }, echo)
  fastify.get('/same', { websocket: { maxPayload: LIMIT } }, echo)
  fastify.get('/other', { websocket: { heartbeat: false } }, echo)
  fastify.get('/default', { websocket: true }, echo)
  fastify.route({
    method: 'GET',
    url: '/both',
    websocket: { maxPayload: LIMIT / 2 },
    handler: async () => 'plain',
    wsHandler: echo
  })
  fastify.register(async (scope) => {
    scope.get('/low', { websocket: { maxPayload: LIMIT / 2 } }, echo)
  }, { prefix: '/prefix' })
}

const LIMITS = {
  '/low': LIMIT / 2,
  '/high': LIMIT * 2,
  '/same': LIMIT,
  '/other': LIMIT,
  '/default': LIMIT,
  '/both': LIMIT / 2,
  '/prefix/low': LIMIT / 2,
  '/handle': LIMIT
}

function serveLimits (t: Test, options: fastifyWebsocket.WebsocketServerOptions = {}) {
  return serve(t, {
    plugin: { handle: echo, options: { maxPayload: LIMIT, ...options } }, declare: declareLimits
  })
}

async function assertEcho (t: Test, client: Client, text: string): Promise<void> {
  client.send(text)
  t.equal(await client.nextText(), text)
}

/** Where the limit of all routes comes from. */
const SOURCES: Record<string, Served> = {
  'options.maxPayload': { plugin: { handle: echo, options: { maxPayload: LIMIT } } },
  bodyLimit: { plugin: { handle: echo }, server: { bodyLimit: LIMIT } },
  'options.maxPayload, not bodyLimit,': {
    plugin: { handle: echo, options: { maxPayload: LIMIT } }, server: { bodyLimit: LIMIT * 4 }
  }
}

for (const [source, served] of Object.entries(SOURCES)) {
  test(`${source} is the longest message of routes that say nothing else`, async (t) => {
    const logs = new Logs()
    const { origin } = await serve(t, {
      ...served, server: { ...served.server, logger: logs.logger }, declare: declareLimits
    })
    const bystander = await connect(t, `${origin}/default`)
    for (const [path, limit] of Object.entries(LIMITS)) {
      logs.lines.length = 0
      const client = await connect(t, origin + path)
      await assertEcho(t, client, 'a'.repeat(limit))
      client.send('a'.repeat(limit + 1))
      t.equal((await client.closed).code, 1009, path)
      const line = await logs.find('websocket peer broke a rule')
      t.match(line, {
        level: INFO, maxPayload: limit, err: { code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }
      }, path)
      await assertEcho(t, bystander, 'a'.repeat(LIMIT))
      const noise = logs.lines.filter(({ level, err }) => level >= INFO && err !== undefined)
      t.equal(noise.length, 1, path)
    }
  })
}

test('a compressed message is measured as it was before', async (t) => {
  const { origin } = await serveLimits(t, { perMessageDeflate: { threshold: 0 } })
  for (const [path, limit] of Object.entries({ '/low': LIMIT / 2, '/high': LIMIT * 2 })) {
    const client = await connect(t, origin + path)
    t.match(client.socket.extensions, 'permessage-deflate')
    await assertEcho(t, client, 'a'.repeat(limit))
    client.send('a'.repeat(limit + 1))
    t.equal((await client.closed).code, 1009, path)
  }
})

test('a bodyLimit above what ws counts is no error, and long messages come through', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo }, server: { bodyLimit: 2 ** 40 }
  })
  t.equal(fastify.websocketServer.options.maxPayload, 2 ** 31 - 1)
  const text = 'a'.repeat(2 ** 21)
  await assertEcho(t, await connect(t, origin), text)
})

test('maxPayload: 0 of a route is no limit, as in ws', async (t) => {
  const { origin } = await serve(t, {
    server: { bodyLimit: LIMIT },
    declare: (fastify) => fastify.get('/', { websocket: { maxPayload: 0 } }, echo)
  })
  await assertEcho(t, await connect(t, origin), 'a'.repeat(2 ** 21))
})

test('clients of all routes are those of websocketServer, until they leave', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const { clients } = fastify.websocketServer
  const connected = await Promise.all(Object.keys(LIMITS).map((path) => connect(t, origin + path)))
  t.equal(clients.size, connected.length)
  for (const client of connected) client.close()
  await until(() => clients.size === 0)
})

test('a stream with the settings of another server leaves the clients of its own', async (t) => {
  const other = createServer({ noServer: true, objectMode: true })
  t.teardown(() => { other.close() })
  const { fastify, origin } = await serveLimits(t)
  const { websocketServer } = fastify
  const made: SocketStream[] = []
  websocketServer.on('connection', (socket) => {
    made.push(new SocketStream(socket, other.streamSettings))
  })
  const client = await connect(t, `${origin}/default`)
  t.equal(made[0]?.readableObjectMode, true)
  client.close()
  await until(() => websocketServer.clients.size === 0)
  t.match(websocketServer.stats(), { open: 0, accepted: 1, closed: { 1005: 1 } })
})

test('an application may wrap handleUpgrade, and replace the options', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const { websocketServer } = fastify
  const { handleUpgrade } = websocketServer
  const urls: unknown[] = []
  websocketServer.handleUpgrade = function (request, ...args) {
    urls.push(request.url)
    handleUpgrade.call(this, request, ...args)
  }
  await assertEcho(t, await connect(t, `${origin}/default`), 'a'.repeat(LIMIT))
  t.strictSame(urls, ['/default'])
  websocketServer.options = { ...websocketServer.options, maxPayload: LIMIT - 1 }
  const client = await connect(t, `${origin}/default`)
  client.send('a'.repeat(LIMIT))
  t.match(await client.closed, { code: 1009 })
})

test('websocketServer emits connection, stream and headers for all routes', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const { websocketServer } = fastify
  const events = ['connection', 'stream', 'headers'] as const
  const calls = events.map((event) => record(websocketServer, event))
  websocketServer.on('headers', (lines) => { lines.push('x-mine: yes') })
  const paths = Object.keys(LIMITS)
  for (const path of paths) {
    const client = await connect(t, origin + path)
    t.equal(client.headers['x-mine'], 'yes')
  }
  for (const [i, event] of events.entries()) {
    const requests = calls[i]?.map((args) => args.at(-1))
    t.match(requests, paths.map((url) => ({ url })), event)
    t.equal(requests?.length, paths.length, event)
  }
})

const MALFORMED = { 'sec-websocket-protocol': 'a, a' }

test('wsClientError listeners answer malformed handshakes of all routes', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const { websocketServer } = fastify
  const seen: unknown[] = []
  for (const path of ['/default', '/low']) {
    t.equal((await refused(t, origin + path, { headers: MALFORMED })).statusCode, 400, path)
  }
  websocketServer.on('wsClientError', (error, socket, { url }) => {
    seen.push([error.message, url])
    socket.end('HTTP/1.1 499 Mine\r\nContent-Length: 0\r\n\r\n')
  })
  for (const path of ['/default', '/low']) {
    t.equal((await refused(t, origin + path, { headers: MALFORMED })).statusCode, 499, path)
  }
  const message = 'Invalid Sec-WebSocket-Protocol header'
  t.strictSame(seen, [[message, '/default'], [message, '/low']])
})

test('shouldHandle of websocketServer decides for all routes', async (t) => {
  // What is overridden also overrides the option that it looks at in ws.
  const { fastify, origin } = await serveLimits(t, { path: '/elsewhere' })
  fastify.websocketServer.shouldHandle = ({ headers }) => headers['x-mine'] === 'yes'
  for (const path of Object.keys(LIMITS)) {
    await connect(t, origin + path, { headers: { 'x-mine': 'yes' } })
    t.equal((await refused(t, origin + path)).statusCode, 404, path)
  }
})

test('handleProtocols and verifyClient of the plugin decide for all routes', async (t) => {
  const asked: unknown[] = []
  const { origin } = await serveLimits(t, {
    handleProtocols: (protocols) => protocols.has('chat') && 'chat',
    verifyClient: ({ req }) => asked.push(req.url) > 0 && req.headers['x-key'] === 'open'
  })
  const paths = Object.keys(LIMITS)
  for (const path of paths) {
    const client = await connect(t, origin + path, { headers: { 'x-key': 'open' } }, ['b', 'chat'])
    t.equal(client.socket.protocol, 'chat', path)
    t.equal((await refused(t, origin + path)).statusCode, 401, path)
  }
  t.strictSame(asked, paths.flatMap((path) => [path, path]))
})

test('a later handleProtocols decides for all routes, once for each upgrade', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const { options } = fastify.websocketServer
  const asked: unknown[] = []
  const paths = Object.keys(LIMITS)
  for (const path of paths) {
    // What graphql-ws does in its handler, for each connection.
    options.handleProtocols = chooseChat
    const client = await connect(t, origin + path, {}, ['b', 'chat'])
    t.equal(client.socket.protocol, 'chat', path)
  }
  t.strictSame(asked, paths)
  Reflect.set(options, 'handleProtocols', null)
  for (const path of paths) {
    const client = await connect(t, origin + path, {}, ['b', 'chat'])
    t.equal(client.socket.protocol, 'b', path)
  }

  function chooseChat (protocols: Set<string>, { url }: IncomingMessage): string | false {
    asked.push(url)
    return protocols.has('chat') && 'chat'
  }
})

for (const isShared of [false, true]) {
  const where = isShared ? ' beside another listener' : ''
  test(`a promise of shouldHandle is no yes${where}`, async (t) => {
    for (const answer of [async () => false, async () => { throw new Error('odd') }]) {
      const { origin, fastify, finish } = await serveOnce(t, {})
      if (isShared) fastify.server.on('upgrade', () => {})
      fastify.websocketServer.shouldHandle = answer
      t.equal((await refused(t, `${origin}/ws`)).statusCode, 500)
      await finish(0)
    }
  })
}

for (const event of ['connection', 'stream'] as const) {
  test(`a ${event} listener of the server that rejects fails the connection`, async (t) => {
    const { origin, fastify, logs, finish } = await serveOnce(t, {})
    fastify.websocketServer.on(event, async () => { throw new Error('odd') })
    const client = await connect(t, `${origin}/ws`)
    t.equal((await client.closed).code, 1011)
    await logs.find('websocket connection failed')
    await finish(1)
  })
}

test('another listener of the server that rejects is a warning', async (t) => {
  const warning = once(process, 'warning')
  const { origin, fastify, finish } = await serveOnce(t, {})
  fastify.websocketServer.on('headers', async () => { throw new Error('odd headers') })
  const client = await connect(t, `${origin}/ws`)
  t.match(await warning, [{ message: 'odd headers' }])
  client.close()
  await finish(1)
})

for (const clientTracking of [true, false]) {
  test(`closing ends clients of all routes, with clientTracking: ${clientTracking}`, async (t) => {
    const { fastify, origin } = await serveLimits(t, { clientTracking })
    const clients = await Promise.all(Object.keys(LIMITS).map((path) => connect(t, origin + path)))
    const closed = once(fastify.websocketServer, 'close')
    await fastify.close()
    for (const client of clients) t.equal((await client.closed).code, 1001)
    await closed
  })
}

test('closing the server closes it for routes with limits of their own, too', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const client = await connect(t, `${origin}/low`)
  const closes = record(fastify.websocketServer, 'close')
  fastify.websocketServer.close()
  // The limits of `/high` had no connection yet.
  for (const path of ['/default', '/low', '/high']) {
    t.equal((await refused(t, origin + path)).statusCode, 503, path)
  }
  t.strictSame(closes, [], 'while there is a client')
  client.close()
  await client.closed
  await until(() => closes.length > 0)
  t.equal(closes.length, 1)
})

test('a server that tracks no clients waits for none, as in ws', async (t) => {
  const { fastify, origin } = await serveLimits(t, { clientTracking: false })
  const client = await connect(t, `${origin}/default`)
  await new Promise((resolve) => { fastify.websocketServer.close(resolve) })
  t.equal(client.socket.readyState, client.socket.OPEN)
  t.equal((await refused(t, `${origin}/default`)).statusCode, 503)
})

test('a server without clients says once that it is closed', async (t) => {
  const { fastify, origin } = await serveLimits(t)
  const client = await connect(t, `${origin}/low`)
  client.close()
  await client.closed
  const closes = record(fastify.websocketServer, 'close')
  await until(() => fastify.websocketServer.clients.size === 0)
  await new Promise((resolve) => { fastify.websocketServer.close(resolve) })
  await turn()
  t.equal(closes.length, 1)
})
