import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createSecureServer, createServer as createHttp2Server } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { lookup } from 'node:dns/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused, type Client } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, listen, portOf, type Teardown } from '../helpers/servers'
import { CERTIFICATE } from '../helpers/tls'

/** The part of a tap test that the helpers here use. */
type Test = Teardown & {
  equal (found: unknown, wanted: unknown): boolean
  match (found: unknown, wanted: RegExp): boolean
}

function declareEcho (fastify: FastifyInstance): void {
  fastify.register(fastifyWebsocket)
  fastify.get('/echo', { websocket: true }, echo)
}

async function assertEcho (t: Test, client: Client): Promise<void> {
  client.send('hi')
  t.equal(await client.nextText(), 'hi')
}

// --- Listening ---

test('localhost is served on all its addresses', async (t) => {
  const fastify = createFastify(t)
  declareEcho(fastify)
  await fastify.listen({ port: 0, host: 'localhost' })
  const port = portOf(fastify.server)
  for (const { address, family } of await lookup('localhost', { all: true })) {
    const host = family === 6 ? `[${address}]` : address
    await assertEcho(t, await connect(t, `ws://${host}:${port}/echo`))
    const { statusCode } = await refused(t, `ws://${host}:${port}/missing`)
    t.equal(statusCode, 404)
    const answer = await fetch(`http://${host}:${port}/missing`)
    t.equal(answer.status, 404)
  }
})

test('a Unix socket is served', async (t) => {
  const fastify = createFastify(t)
  declareEcho(fastify)
  const path = join(tmpdir(), `fastify-websocket-${process.pid}.sock`)
  await fastify.listen({ path })
  await assertEcho(t, await connect(t, `ws+unix:${path}:/echo`))
})

test('https is served', async (t) => {
  // For Fastify's types, an application over https is of another type. The plugin takes both.
  const fastify: unknown = Fastify({ https: CERTIFICATE })
  await assertSecure(t, fastify as FastifyInstance)
})

test('http2 with allowHTTP1 is served on its HTTP/1 side', async (t) => {
  const fastify: unknown = Fastify({ http2: true, https: { ...CERTIFICATE, allowHTTP1: true } })
  await assertSecure(t, fastify as FastifyInstance)
})

test('an http2 server of a serverFactory that allows HTTP/1 is served', async (t) => {
  const fastify: unknown = Fastify({
    serverFactory: (handler: never) =>
      createSecureServer({ ...CERTIFICATE, allowHTTP1: true }, handler) as never
  })
  await assertSecure(t, fastify as FastifyInstance)
})

async function assertSecure (t: Test, fastify: FastifyInstance): Promise<void> {
  t.teardown(() => fastify.close())
  declareEcho(fastify)
  fastify.get('/page', async () => 'page')
  await listen(fastify)
  const origin = `wss://127.0.0.1:${portOf(fastify.server)}`
  const tls = { ca: CERTIFICATE.cert }
  await assertEcho(t, await connect(t, `${origin}/echo`, tls))
  t.equal((await refused(t, `${origin}/missing`, tls)).statusCode, 404)

  const socket = connectTls(portOf(fastify.server), '127.0.0.1', tls)
  t.teardown(() => { socket.destroy() })
  socket.write('GET /page HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  const [chunk] = await once(socket, 'data')
  t.match(chunk.toString(), /^HTTP\/1.1 200 /)
}

test('a server of a serverFactory is served', async (t) => {
  const servers: Server[] = []
  const fastify = createFastify(t, {
    serverFactory (handler) {
      const server = createServer(handler)
      servers.push(server)
      return server
    }
  })
  declareEcho(fastify)
  const origin = await listen(fastify)
  t.strictSame(servers, [fastify.server])
  await assertEcho(t, await connect(t, `${origin}/echo`))
})

const HTTP2_ALONE = {
  'h2c, HTTP/2 without TLS': () => Fastify({ http2: true }),
  'http2 without allowHTTP1': () => Fastify({ http2: true, https: CERTIFICATE }),
  'http2 with allowHTTP1 false': () =>
    Fastify({ http2: true, https: { ...CERTIFICATE, allowHTTP1: false } }),
  'an http2 server of a serverFactory': () =>
    Fastify({ serverFactory: (handler) => createHttp2Server(handler as never) as never })
}

for (const [name, create] of Object.entries(HTTP2_ALONE)) {
  test(`${name} with extendedConnect: false is a clear error at start`, async (t) => {
    // For Fastify's types, an application over HTTP/2 is of another type.
    const fastify = create() as unknown as FastifyInstance
    t.teardown(() => fastify.close())
    fastify.register(fastifyWebsocket, { options: { extendedConnect: false } })
    await t.rejects(async () => { await fastify.ready() }, { code: 'FST_WS_HTTP2_UNSUPPORTED' })
  })

  test(`${name} can have its upgrades on another server`, async (t) => {
    const { server, origin } = await createHttp(t)
    // As above.
    const fastify = create() as unknown as FastifyInstance
    t.teardown(() => fastify.close())
    fastify.register(fastifyWebsocket, { options: { server } })
    fastify.get('/echo', { websocket: true }, echo)
    await fastify.ready()
    await assertEcho(t, await connect(t, `${origin}/echo`))
  })
}

test('clients learn what nothing public tells of an http2 server over TLS', async (t) => {
  const made: unknown = Fastify({
    // Fastify would ask the server for what only HTTP/1 servers have.
    forceCloseConnections: false,
    serverFactory: (handler: never) => createSecureServer(CERTIFICATE, handler) as never
  })
  // As above.
  const fastify = made as FastifyInstance
  t.teardown(() => fastify.close())
  // Node.js would keep them for ten seconds.
  fastify.server.on('connection', (socket) => { t.teardown(() => { socket.destroy() }) })
  declareEcho(fastify)
  await listen(fastify)
  const url = `wss://127.0.0.1:${portOf(fastify.server)}/echo`
  const { statusCode, body } = await refused(t, url, { ca: CERTIFICATE.cert })
  t.equal(statusCode, 403)
  t.match(body, /not configured with the `allowHTTP1` option/)
  await t.rejects(fastify.injectWS('/echo'), {
    code: 'FST_WS_INJECT_REFUSED', message: /403/
  })
})

// --- What no router should see ---

const PROBLEMS = [
  ['HTTP/0.9', 400, upgradeHead('/echo').replace('HTTP/1.1', 'HTTP/0.9')],
  ['HTTP/1.0', 400, upgradeHead('/echo').replace('HTTP/1.1', 'HTTP/1.0')],
  ['HTTP/2.0 in lines', 400, upgradeHead('/echo').replace('HTTP/1.1', 'HTTP/2.0')],
  ['no Host', 400, upgradeHead('/echo').replace('Host: localhost\r\n', '')],
  ['two Hosts', 400, upgradeHead('/echo', { HOST: 'other' })],
  ['1000 headers', 431, upgradeHead('/echo', manyHeaders(995))],
  ['a Content-Length', 400, upgradeHead('/echo', { 'Content-Length': '5' }) + 'GET /'],
  ['chunks', 400, upgradeHead('/echo', { 'Transfer-Encoding': 'chunked' }) + '0\r\n\r\n'],
  ['a method other than GET', 405, upgradeHead('/echo').replace('GET', 'POST')]
] as const

for (const [name, statusCode, head] of PROBLEMS) {
  test(`a handshake with ${name} is ${statusCode}`, async (t) => {
    let requests = 0
    const { fastify } = await serve(t, {
      declare (fastify) {
        fastify.addHook('onRequest', async () => { requests++ })
        fastify.get('/echo', { websocket: true }, echo)
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(head)
    await client.closed
    t.match(client.received.toString(), new RegExp(`^HTTP/1.1 ${statusCode} [^]*connection: close`))
    t.equal(requests, 0)
  })
}

test('a handshake with 999 headers is accepted', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) { fastify.get('/echo', { websocket: true }, echo) }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/echo', manyHeaders(994)))
  await client.until('HTTP/1.1 101 ')
  t.pass('upgraded')
})

function manyHeaders (count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, '']))
}

test('an empty body is no body', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) { fastify.get('/echo', { websocket: true }, echo) }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/echo', { 'Content-Length': '0' }))
  await client.until('HTTP/1.1 101 ')
  t.pass('upgraded')
})

test('a socket that is gone already is left alone', async (t) => {
  let requests = 0
  const { fastify } = await serve(t, {
    declare: (fastify) => { fastify.addHook('onRequest', async () => { requests++ }) }
  })
  fastify.server.prependListener('upgrade', (_request, transport) => { transport.destroy() })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.closed
  t.equal(requests, 0)
  t.equal(client.received.length, 0)
})

// Node.js 24 has another notion of when a response is finished than versions before.
test('an upgrade that is accepted at once has no listeners but those of ws', async (t) => {
  const fastify = createFastify(t)
  declareEcho(fastify)
  const origin = await listen(fastify)
  const [[, transport], client] = await Promise.all([
    once(fastify.server, 'upgrade'), connect(t, `${origin}/echo`)
  ])
  t.equal(transport.listenerCount('data'), 1)
  const message = 'x'.repeat(1_000_000)
  client.send(message)
  t.equal(await client.nextText(), message)
})

test('a reset in the middle of everything is survived', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => new Promise(() => {}) }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  const [, transport] = await upgraded
  const closed = new Promise((resolve) => { transport.once('close', resolve) })
  client.socket.resetAndDestroy()
  await closed
  t.match(transport.errored, { code: 'ECONNRESET' })
})

test('the listener is attached once for several scopes and leaves with them', async (t) => {
  const fastify = createFastify(t)
  for (const name of ['one', 'two']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket)
      scope.get(`/${name}`, { websocket: true }, ({ socket }) => { socket.send(name) })
    })
  }
  const origin = await listen(fastify)
  t.equal(fastify.server.listenerCount('upgrade'), 1)
  for (const name of ['one', 'two']) {
    t.equal(await (await connect(t, `${origin}/${name}`)).nextText(), name)
  }
  await fastify.close()
  t.equal(fastify.server.listenerCount('upgrade'), 0)
})

test('an upgrade that a hook never decides is cut off with the server', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { closeTimeout: 20 },
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => new Promise(() => {}) }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  await upgraded
  await fastify.close()
  await client.closed
  t.equal(client.received.length, 0)
})

test('an upgrade during close() waits for no hook, whatever return503OnClosing', async (t) => {
  for (const return503OnClosing of [true, false]) {
    const { fastify, origin } = await serve(t, {
      server: { return503OnClosing },
      declare: (fastify) => {
        fastify.get('/echo', { websocket: true }, echo)
        fastify.get('/hang', { websocket: true, preHandler: () => {} }, echo)
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/echo'))
    await client.until('\r\n\r\n')
    const closing = fastify.close()
    // It says nothing to the close frame, so the server is closing until it has gone.
    await client.until('\x88\x02')
    t.equal((await refused(t, `${origin}/hang`)).statusCode, 503)
    client.socket.destroy()
    await closing
  }
})
