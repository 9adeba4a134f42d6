import { EventEmitter, once } from 'node:events'
import Fastify, { type FastifyInstance } from 'fastify'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import fastifyWebsocket from '../../src/index'
import { echo } from '../helpers/plugin'
import { createFastify, createHttp, type Teardown } from '../helpers/servers'
import { until } from '../helpers/streams'
import { CERTIFICATE } from '../helpers/tls'
import { isHttp2 } from '../helpers/transports'
import { watchProcess } from '../helpers/uncaught'

/** An application with the plugin that is not even ready. */
function create (
  t: Teardown, plugin: fastifyWebsocket.WebsocketPluginOptions = {}
): FastifyInstance {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, plugin)
  fastify.get('/', { websocket: true }, echo)
  return fastify
}

async function inject (
  fastify: FastifyInstance, ...args: Parameters<FastifyInstance['injectWS']>
): Promise<WebSocket> {
  // The decorator is there when the plugin has been loaded.
  await fastify.after()
  return await fastify.injectWS(...args)
}

async function nextText (socket: WebSocket): Promise<string> {
  const [data] = await once(socket, 'message')
  return String(data)
}

/** Waits until the answers to all that the client has sent are there. */
async function answer (socket: WebSocket): Promise<void> {
  socket.ping()
  await once(socket, 'pong')
}

test('connects a client without listening, and makes the application ready', async (t) => {
  const fastify = create(t)
  let isReady = false
  fastify.addHook('onReady', async () => { isReady = true })
  const client = await inject(fastify)
  t.ok(isReady)
  t.notOk(fastify.server.listening)
  t.equal(client.readyState, client.OPEN)
  client.send('hi')
  t.equal(await nextText(client), 'hi')
  client.send(Buffer.from('bytes'))
  const [data, isBinary] = await once(client, 'message')
  t.same(data, Buffer.from('bytes'))
  t.equal(isBinary, true)
  client.close(4000, 'bye')
  const [code, reason] = await once(client, 'close')
  t.equal(code, 4000)
  t.equal(String(reason), 'bye')
})

for (const when of ['before', 'after']) {
  test(`a scope with the plugin injects, ${when} the application is ready`, async (t) => {
    const fastify = createFastify(t)
    const scopes: FastifyInstance[] = []
    fastify.register(async (scope) => {
      scopes.push(scope)
      await scope.register(fastifyWebsocket)
      scope.get('/', { websocket: true }, echo)
    })
    if (when === 'after') await fastify.ready()
    else await fastify.after()
    for (const scope of scopes) {
      const client = await inject(scope)
      client.send('hi')
      t.equal(await nextText(client), 'hi')
    }
    t.equal(scopes.length, 1)
  })
}

test('path, headers, protocols and address are those of the request', async (t) => {
  const fastify = create(t)
  fastify.get('/at/:name', { websocket: true }, ({ socket }, req, request) => {
    const { params, query, headers, ip, host } = request
    const { remoteFamily } = req.socket
    socket.send(JSON.stringify({ params, query, x: headers['x-a'], ip, host, remoteFamily }))
  })
  const client = await inject(fastify, 'at/here?b=c', {
    headers: { 'x-a': '1', host: 'example.com' }, protocols: ['one', 'two'], remoteAddress: '::2'
  })
  t.equal(client.protocol, 'one')
  t.same(JSON.parse(await nextText(client)), {
    params: { name: 'here' },
    query: { b: 'c' },
    x: '1',
    ip: '::2',
    host: 'example.com',
    remoteFamily: 'IPv6'
  })
  const other = await inject(fastify, '/at/there')
  t.match(JSON.parse(await nextText(other)), {
    ip: '127.0.0.1', host: 'localhost', remoteFamily: 'IPv4'
  })
})

test('messages are compressed if both sides ask for it', async (t) => {
  const perMessageDeflate = { threshold: 0 }
  const fastify = create(t, { options: { perMessageDeflate } })
  for (const extensions of ['', 'permessage-deflate']) {
    const client = await inject(fastify, '/', {
      perMessageDeflate: extensions === '' ? false : perMessageDeflate
    })
    t.equal(client.extensions, extensions)
    client.send('abc'.repeat(1000))
    t.equal(await nextText(client), 'abc'.repeat(1000))
  }
})

test('messages that the server sends at once wait for a listener', async (t) => {
  const fastify = create(t)
  fastify.get('/greet', { websocket: true }, ({ socket }) => {
    for (let i = 0; i < 1000; i++) socket.send(String(i))
    socket.close(4001)
  })
  const client = await inject(fastify, '/greet')
  const [code] = await once(client, 'close')
  t.equal(code, 4001)
  t.equal(await nextText(client), '0')
  t.equal(await nextText(client), '1')
  const rest: string[] = []
  client.on('message', (data) => { rest.push(String(data)) })
  t.strictSame(rest, [], 'not inside its own registration')
  await new Promise((resolve) => { process.nextTick(resolve) })
  t.equal(rest.length, 998)
  t.equal(rest[0], '2')
  t.equal(rest[997], '999')
})

test('a message that comes while others wait is delivered behind them', async (t) => {
  const fastify = create(t)
  const handled: WebSocket[] = []
  fastify.get('/greet', { websocket: true }, ({ socket }) => {
    handled.push(socket)
  })
  const client = await inject(fastify, '/greet')
  const received: string[] = []
  client.emit('message', Buffer.from('1'), false)
  client.addEventListener('message', ({ data }) => { received.push(String(data)) })
  client.emit('message', Buffer.from('2'), false)
  handled[0]?.send('3')
  while (received.length < 3) await once(client, 'message')
  t.strictSame(received, ['1', '2', '3'])
})

for (const method of ['on', 'addListener', 'prependListener', 'once'] as const) {
  test(`after removeAllListeners, ${method} gets messages again`, async (t) => {
    const client = await inject(create(t))
    const emitter: EventEmitter = client
    client.on('message', () => { t.fail('the listener was removed') })
    client.removeAllListeners()
    client.send('early')
    await answer(client)
    const received: string[] = []
    emitter[method]('message', (data: unknown) => { received.push(String(data)) })
    await until(() => received.length === 1)
    emitter[method]('message', (data: unknown) => { received.push(String(data)) })
    client.send('late')
    await until(() => received.length > 1)
    t.strictSame(received.slice(0, 2), ['early', 'late'])
  })
}

test('after removeAllListeners, handlers of events get messages again', async (t) => {
  const client = await inject(create(t))
  const received: unknown[] = []
  client.removeAllListeners()
  client.send('1')
  await answer(client)
  client.onmessage = ({ data }) => { received.push(data) }
  await until(() => received.length === 1)
  client.removeAllListeners()
  client.send('2')
  await answer(client)
  client.addEventListener('message', ({ data }) => { received.push(data) })
  await until(() => received.length === 2)
  t.strictSame(received, ['1', '2'])
})

test('onInit and onOpen get the client on the way', async (t) => {
  const fastify = create(t)
  const seen: unknown[] = []
  const client = await inject(fastify, '/', {}, {
    onInit (socket) {
      seen.push(socket.readyState, socket)
      socket.on('upgrade', (response) => { seen.push(response.statusCode) })
    },
    onOpen (socket) { seen.push(socket.readyState) }
  })
  t.strictSame(seen, [client.CONNECTING, client, 101, client.OPEN])
})

test('a refusal rejects with status, headers and body', async (t) => {
  const fastify = create(t)
  fastify.get('/private', {
    websocket: true,
    preHandler: async (_request, reply) => reply.code(401).header('x-why', 'b').send({ no: 'ü' })
  }, echo)
  await t.rejects(inject(fastify, '/private'), {
    code: 'FST_WS_INJECT_REFUSED',
    statusCode: 401,
    headers: { 'x-why': 'b', connection: 'close' },
    body: '{"no":"ü"}'
  })
  await t.rejects(inject(fastify, '/missing'), { statusCode: 404, message: /404/ })
})

test('a refusal of 10 MB arrives whole', async (t) => {
  const fastify = create(t)
  fastify.addHook('preHandler', async (_request, reply) => {
    return reply.code(403).send('x'.repeat(10_000_000))
  })
  const error = await inject(fastify).catch((error) => error)
  t.equal(error.statusCode, 403)
  t.equal(error.body.length, 10_000_000)
})

test('a connection that breaks before the answer rejects', async (t) => {
  const fastify = create(t)
  fastify.addHook('preHandler', async ({ raw }) => {
    raw.socket.destroy()
    await new Promise(() => {})
  })
  await t.rejects(inject(fastify), { code: 'ECONNRESET' })
})

test('what ws refuses to ask for rejects', async (t) => {
  const fastify = create(t)
  await t.rejects(inject(fastify, '/', { protocols: ['a b'] }), { name: 'SyntaxError' })
  await t.rejects(inject(fastify, '/#fragment'), { name: 'SyntaxError' })
})

test('the timeout of a handshake is kept', async (t) => {
  const fastify = create(t)
  const gate = new EventEmitter()
  fastify.addHook('preHandler', async () => { await once(gate, 'open') })
  await t.rejects(
    inject(fastify, '/', { handshakeTimeout: 20 }), { message: /timed out/ })
  gate.emit('open')
})

test('cookies and sessions work', async (t) => {
  const fastify = createFastify(t)
  fastify.register(cookie)
  fastify.register(session, {
    secret: 'a secret of at least thirty-two characters', cookie: { secure: false }
  })
  fastify.register(fastifyWebsocket)
  fastify.get('/login', async (request) => {
    Object.assign(request.session, { user: 'somebody' })
    return 'welcome'
  })
  fastify.get('/', { websocket: true }, ({ socket }, _req, request) => {
    socket.send(JSON.stringify(request.session))
  })
  const login = await fastify.inject('/login')
  const [sessionCookie] = login.cookies
  const client = await fastify.injectWS('/', {
    headers: { cookie: `${sessionCookie?.name}=${encodeURIComponent(sessionCookie?.value ?? '')}` }
  })
  t.match(JSON.parse(await nextText(client)), { user: 'somebody' })
})

test('a client is closed with the application', async (t) => {
  const fastify = create(t)
  const client = await inject(fastify)
  const closed = once(client, 'close')
  await fastify.close()
  const [code] = await closed
  t.equal(code, 1001)
})

test('a cut on either side is seen by the other', async (t) => {
  const fastify = create(t)
  const gone = new EventEmitter()
  fastify.get('/cut', { websocket: true }, ({ socket }) => {
    socket.send('last words')
    socket.terminate()
  })
  fastify.get('/watch', { websocket: true }, ({ socket }) => {
    socket.on('close', (code) => { gone.emit('gone', code) })
  })
  const cut = await inject(fastify, '/cut')
  const [code] = await once(cut, 'close')
  t.equal(code, 1006)
  t.equal(await nextText(cut), 'last words')
  const watched = await inject(fastify, '/watch')
  const left = once(gone, 'gone')
  watched.terminate()
  t.strictSame(await left, [1006])
})

test('over https the connection counts as secure', async (t) => {
  const servers = {
    https: () => Fastify({ https: CERTIFICATE }),
    http2: () => Fastify({ http2: true, https: { ...CERTIFICATE, allowHTTP1: true } })
  }
  for (const create of Object.values(servers)) {
    // For Fastify's types, an application over TLS is of another type. The plugin takes both.
    const fastify = create() as unknown as FastifyInstance
    t.teardown(() => fastify.close())
    fastify.register(fastifyWebsocket)
    fastify.get('/', { websocket: true }, ({ socket }, _req, request) => {
      socket.send(request.protocol)
    })
    t.equal(await nextText(await inject(fastify)), 'https')
  }
})

test('the server of the options is the one that is asked', async (t) => {
  const { server } = await createHttp(t)
  for (const options of [{ server }, { port: 0, host: '127.0.0.1' }]) {
    const client = await inject(create(t, { options }))
    client.send('hi')
    t.equal(await nextText(client), 'hi')
  }
})

test('with noServer nobody upgrades', async (t) => {
  const fastify = create(t, { options: { noServer: true } })
  // Over HTTP/2, a client cannot even ask a server that does not offer WebSockets.
  await t.rejects(inject(fastify), isHttp2()
    ? { code: 'ECONNRESET' }
    : { code: 'FST_WS_INJECT_REFUSED', statusCode: 404 })
})

test('a thousand clients and large messages come through', async (t) => {
  const fastify = create(t, { options: { maxPayload: 20_000_000 } })
  await fastify.ready()
  const clients = await Promise.all(Array.from({ length: 1000 }, () => fastify.injectWS()))
  for (const client of clients) client.send('hi')
  for (const client of clients) t.equal(await nextText(client), 'hi')
  const [client] = clients
  const large = Buffer.alloc(10_000_000, 'abc')
  client?.send(large)
  if (client !== undefined) t.ok((await once(client, 'message'))[0].equals(large))
})

test('after close it rejects', async (t) => {
  const fastify = create(t)
  await fastify.ready()
  await fastify.close()
  await t.rejects(fastify.injectWS(), { code: /./ })
})

/** Timers that never fire, as those of vitest and jest do unless a test moves them on. */
function fakeTimers (t: Teardown): void {
  const { setTimeout, setInterval, setImmediate } = globalThis
  const timer = { ref: () => timer, unref: () => timer, refresh: () => timer }
  const never = (): object => timer
  Object.assign(globalThis, { setTimeout: never, setInterval: never, setImmediate: never })
  t.teardown(() => { Object.assign(globalThis, { setTimeout, setInterval, setImmediate }) })
}

test('under fake timers a client connects, talks and closes', async (t) => {
  const fastify = create(t)
  await fastify.ready()
  fakeTimers(t)
  const client = await fastify.injectWS('/')
  client.send('hi')
  t.equal(await nextText(client), 'hi')
  await t.rejects(fastify.injectWS('/missing'), { code: 'FST_WS_INJECT_REFUSED' })
  const closed = once(client, 'close')
  client.close(4000)
  t.match(await closed, [4000])
})

test('under fake timers the application closes its clients', async (t) => {
  const fastify = create(t)
  await fastify.ready()
  fakeTimers(t)
  const closed = once(await fastify.injectWS('/'), 'close')
  await fastify.close()
  t.match(await closed, [1001])
})

const FAILING: Record<string, () => unknown> = {
  throws: () => { throw new Error('of the test') },
  rejects: async () => { throw new Error('of the test') }
}

for (const [verb, fail] of Object.entries(FAILING)) {
  for (const name of ['onInit', 'onOpen'] as const) {
    test(`it rejects if ${name} ${verb}, and the client is closed`, async (t) => {
      const uncaught = watchProcess(t)
      const clients: WebSocket[] = []
      const fastify = create(t)
      await t.rejects(inject(fastify, '/', {}, {
        [name]: (client: WebSocket) => {
          clients.push(client)
          return fail()
        }
      }), { message: 'of the test' })
      await until(() => clients[0]?.readyState === clients[0]?.CLOSED)
      await until(() => fastify.websocketServer.clients.size === 0)
      t.strictSame(uncaught, [])
    })
  }
}

test('it waits for an onOpen that is asynchronous', async (t) => {
  const fastify = create(t)
  const texts: string[] = []
  await inject(fastify, '/', {}, {
    async onOpen (client) {
      client.send('hi')
      texts.push(await nextText(client))
    }
  })
  t.strictSame(texts, ['hi'])
})
