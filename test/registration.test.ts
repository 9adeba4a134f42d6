import { createServer as createHttpServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'tap'
import fastifyWebsocket from '../src/index'
import { connect, refused } from './helpers/client'
import { Logs } from './helpers/logs'
import { echo, serve } from './helpers/plugin'
import { RawClient, upgradeHead } from './helpers/raw'
import { createFastify, listen, portOf } from './helpers/servers'

// --- The server ---

test('websocketServer emits connection and stream for every connection', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const seen: unknown[] = []
  fastify.websocketServer.on('connection', (socket, request) => {
    seen.push(['connection', request.url, fastify.websocketServer.clients.has(socket)])
  })
  fastify.websocketServer.on('stream', (stream, request) => {
    seen.push(['stream', request.url, fastify.websocketServer.clients.has(stream.socket)])
  })
  await connect(t, `${origin}/a`)
  t.strictSame(seen.sort(), [['connection', '/a', true], ['stream', '/a', true]])
})

test('a throw in a connection listener closes that connection with 1011', async (t) => {
  const logs = new Logs()
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo }, server: { logger: logs.logger }
  })
  fastify.websocketServer.on('connection', () => { throw new Error('listener') })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1011)
  t.equal((await logs.find('websocket connection failed')).err?.message, 'listener')
})

test('shouldHandle of the server decides which requests it takes', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.get('/route', { websocket: true }, echo)
  })
  fastify.websocketServer.shouldHandle = (request) => request.headers['x-key'] === 'open'
  const headers = { 'x-key': 'open' }
  for (const path of ['/any', '/route']) {
    await connect(t, origin + path, { headers })
    t.equal((await refused(t, origin + path)).statusCode, 404)
  }
})

test('websocketServer has the address of the Fastify server', async (t) => {
  const { fastify } = await serve(t, { plugin: { options: { port: 0, host: '127.0.0.1' } } })
  t.match(fastify.websocketServer.address(), { address: '127.0.0.1', family: 'IPv4' })
})

test('headers listeners of the user see and add to the 101', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('headers', (lines) => { lines.push('x-mine: yes') })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  t.match(await client.until('\r\n\r\n'), 'x-mine: yes\r\n')
})

// --- Listening ---

test('a Unix socket, as Fastify listens on it', async (t) => {
  const path = join(t.testdir(), 'socket')
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.listen({ path })
  const client = await connect(t, `ws+unix://${path}:/any`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('a server of the serverFactory takes upgrades', async (t) => {
  const server = createHttpServer()
  const fastify = createFastify(t, {
    serverFactory: (handler) => server.on('request', handler)
  })
  fastify.register(fastifyWebsocket, { handle: echo })
  const origin = await listen(fastify)
  const client = await connect(t, origin)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('upgrades work after ready() on a server that the user makes listen', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.ready()
  await new Promise<void>((resolve) => { fastify.server.listen(0, '127.0.0.1', resolve) })
  await connect(t, `ws://127.0.0.1:${portOf(fastify.server)}`)
  t.equal(fastify.websocketServer.clients.size, 1)
})
