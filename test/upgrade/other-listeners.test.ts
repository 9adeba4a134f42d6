import { EventEmitter, once } from 'node:events'
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../src/index'
import { UpgradeListener } from '../../src/upgrade/listener'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, listen, portOf, type Teardown } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

type Listener = (request: IncomingMessage, transport: Duplex, head: Buffer) => void

const ORDERS = ['before', 'after'] as const

/** Serves `/echo` of ours beside `listener`, which is attached before or after our own. */
async function serveBeside (
  t: Teardown, order: typeof ORDERS[number], listener: Listener,
  plugin: fastifyWebsocket.WebsocketPluginOptions = {}
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t)
  if (order === 'before') fastify.server.on('upgrade', listener)
  fastify.register(fastifyWebsocket, plugin)
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/page', async () => 'page')
  const origin = await listen(fastify)
  if (order === 'after') fastify.server.on('upgrade', listener)
  return { fastify, origin }
}

/** A ws server of another library, which greets its clients. */
function createStranger (t: Teardown): WebSocketServer {
  const server = new WebSocketServer({ noServer: true })
  server.on('connection', (socket) => {
    socket.send('stranger')
    socket.on('message', (message) => { socket.send(`stranger ${message}`) })
  })
  t.teardown(() => { for (const socket of server.clients) socket.terminate() })
  return server
}

/** As Vite does for its hot updates. */
function createVite (t: Teardown): Listener {
  const stranger = createStranger(t)
  return (request, transport, head) => {
    if (request.headers['sec-websocket-protocol'] !== 'vite-hmr') return
    stranger.handleUpgrade(request, transport, head, (socket) => {
      stranger.emit('connection', socket, request)
    })
  }
}

for (const order of ORDERS) {
  test(`Vite's listener, attached ${order} ours, takes its subprotocol`, async (t) => {
    const { fastify, origin } = await serveBeside(t, order, createVite(t))
    for (const path of ['/', '/echo']) {
      const vite = await connect(t, origin + path, {}, ['vite-hmr'])
      t.equal(await vite.nextText(), 'stranger')
      vite.send(path)
      t.equal(await vite.nextText(), `stranger ${path}`)
      vite.close()
      await vite.closed
    }
    const ours = await connect(t, `${origin}/echo/`)
    ours.send('ours')
    t.equal(await ours.nextText(), 'ours')
    t.equal(fastify.websocketServer.clients.size, 1)
  })

  // The second is a route of Fastify for HTTP alone.
  for (const path of ['/proxy', '/page']) {
    test(`a listener attached ${order} ours may answer ${path} later`, async (t) => {
      const go = new EventEmitter()
      const { origin, fastify } = await serveBeside(t, order, (request, transport) => {
        if (request.url !== path) return
        go.once('go', () => { transport.end('HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n') })
        go.emit('asked')
      })
      const asked = once(go, 'asked')
      const answer = refused(t, origin + path)
      await asked
      const ours = await connect(t, `${origin}/echo`)
      ours.send('ours')
      t.equal(await ours.nextText(), 'ours')
      go.emit('go')
      t.equal((await answer).statusCode, 502)
      await fastify.close()
    })
  }

  test(`a listener attached ${order} ours may take a path of ours`, async (t) => {
    const { fastify } = await serveBeside(t, order, (request, transport) => {
      if (request.headers['x-do'] === 'write') transport.write('HTTP/1.1 403 No\r\n\r\n')
      if (request.headers['x-do'] === 'end') transport.end('HTTP/1.1 403 No\r\n\r\n')
      if (request.headers['x-do'] === 'read') transport.resume()
      if (request.headers['x-do'] === 'destroy') transport.destroy()
    })
    for (const what of ['write', 'end', 'read', 'destroy']) {
      const client = new RawClient(t, portOf(fastify.server))
      const upgraded = once(fastify.server, 'upgrade')
      client.write(upgradeHead('/echo', { 'X-Do': what }))
      const [, transport] = await upgraded
      // Absence of a second answer: ours would come on the next tick.
      await new Promise((resolve) => { setImmediate(resolve) })
      t.ok(transport.listenerCount('error') > 0, 'a reset is thrown by nobody')
      if (transport.writable) transport.end('.')
      await client.closed
      t.notMatch(client.received.toString(), /101|404/)
    }
  })

  test(`shouldHandle shares a server with a listener attached ${order} a handle`, async (t) => {
    const stranger = createStranger(t)
    const { fastify, origin } = await serveBeside(t, order, (request, transport, head) => {
      if (!request.url?.startsWith('/theirs')) return
      // Later, as a listener does that asks a database first.
      setImmediate(() => {
        stranger.handleUpgrade(request, transport, head, (socket) => {
          stranger.emit('connection', socket, request)
        })
      })
    }, { handle: echo })
    fastify.websocketServer.shouldHandle = ({ url }) => url?.startsWith('/theirs') !== true
    const theirs = await connect(t, `${origin}/theirs/1`)
    t.equal(await theirs.nextText(), 'stranger')
    for (const path of ['/any', '/page', '/echo']) {
      const ours = await connect(t, origin + path)
      ours.send('ours')
      t.equal(await ours.nextText(), 'ours', path)
    }
  })
}

test('others see the URL that came', async (t) => {
  const { fastify, origin } = await serveBeside(t, 'before', (request, transport) => {
    setImmediate(() => { transport.end(`HTTP/1.1 400 No\r\nX-Url: ${request.url}\r\n\r\n`) })
  })
  fastify.websocketServer.shouldHandle = () => false
  const { headers } = await refused(t, `${origin}/echo/?a=b`)
  t.equal(headers['x-url'], '/echo/?a=b')
})

test('a request for another protocol is plain HTTP beside other listeners, too', async (t) => {
  const { fastify } = await serveBeside(t, 'before', createVite(t))
  const client = new RawClient(t, portOf(fastify.server))
  client.write('GET /page HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
  await client.until('page')
  t.match(client.received.toString(), /^HTTP\/1.1 200 /)
})

test('an error that shouldHandle throws is a 500', async (t) => {
  const { fastify, origin } = await serveBeside(t, 'before', createVite(t))
  fastify.websocketServer.shouldHandle = () => { throw new Error('shouldHandle failed') }
  const { statusCode, body } = await refused(t, `${origin}/echo`)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: 'shouldHandle failed' })
})

test('two applications share one server', async (t) => {
  const { server, origin } = await createHttp(t)
  for (const name of ['one', 'two']) {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { server } })
    fastify.get(`/${name}`, { websocket: true }, ({ socket }) => { socket.send(name) })
    fastify.get('/both', { websocket: true }, ({ socket }) => { socket.send(name) })
    await fastify.ready()
  }
  t.equal(await (await connect(t, `${origin}/one`)).nextText(), 'one')
  t.equal(await (await connect(t, `${origin}/two`)).nextText(), 'two')
  const both = await connect(t, `${origin}/both`)
  t.match(await both.nextText(), /one|two/)
  t.strictSame(both.unread, [], 'one answer')
})

/** Milliseconds that other listeners have to answer. No other timer here has this delay. */
const PATIENCE = 44_444

/** A listener on a server that a stranger listens to, too, and what waits for the stranger. */
async function servePatiently (t: Teardown, stranger: Listener = () => {}) {
  const timers = holdTimers(t, PATIENCE)
  const fastify = createFastify(t)
  const { server } = fastify
  const listener = new UpgradeListener(server, PATIENCE)
  const upgrades = listener.upgradesOf(fastify)
  listener.attach(upgrades)
  const origin = await listen(fastify)
  // Node.js forgets the sockets of upgrades, and `close` waits for them.
  server.on('connection', (socket) => { t.teardown(() => { socket.destroy() }) })
  server.on('upgrade', stranger)
  return {
    server,
    origin,
    timers,
    close: () => { listener.close(upgrades, PATIENCE) },
    detach: () => { listener.detach(upgrades) }
  }
}

test('what nobody answers in time gets a 404', async (t) => {
  const { origin, detach, timers } = await servePatiently(t)
  const answer = refused(t, `${origin}/nobody`)
  await until(() => timers.size === 1)
  timers.run()
  const { statusCode, headers, body } = await answer
  t.equal(statusCode, 404)
  t.equal(headers.connection, 'close')
  t.match(JSON.parse(body), { message: 'Route GET:/nobody not found' })
  detach()
})

test('what no listener answers is cut off when the applications have gone', async (t) => {
  const { server, detach, timers } = await servePatiently(t)
  const client = new RawClient(t, portOf(server))
  client.write(upgradeHead('/nobody'))
  await until(() => timers.size === 1)
  detach()
  timers.run()
  await client.closed
  t.equal(client.received.length, 0)
})

test('what somebody answers in time is left alone', async (t) => {
  const { server, detach, timers } = await servePatiently(t, (_request, transport) => {
    setImmediate(() => { transport.write('HTTP/1.1 101 Mine\r\n\r\n') })
  })
  const client = new RawClient(t, portOf(server))
  const upgraded = once(server, 'upgrade')
  client.write(upgradeHead('/theirs'))
  const [, transport] = await upgraded
  await client.until('Mine')
  t.equal(timers.size, 1)
  timers.run()
  t.ok(transport.listenerCount('error') > 0, 'a reset is thrown by nobody')
  t.equal(transport.listenerCount('close'), 0)
  transport.end('.')
  await client.closed
  t.notMatch(client.received.toString(), /404/)
  detach()
})

test('a client that leaves before anybody has answered is forgotten', async (t) => {
  const { server, detach, timers } = await servePatiently(t)
  const client = new RawClient(t, portOf(server))
  const upgraded = once(server, 'upgrade')
  client.write(upgradeHead('/nobody'))
  const [, transport] = await upgraded
  await new Promise((resolve) => { setImmediate(resolve) })
  const closed = once(transport, 'close')
  // It is not read, so only an end on this side is seen.
  transport.destroy()
  await closed
  t.equal(transport.listenerCount('close'), 0)
  t.equal(timers.size, 0)
  detach()
})

test('closing refuses what nobody has answered and leaves the rest alone', async (t) => {
  const { server, close, detach } = await servePatiently(t, (request, transport) => {
    if (request.url === '/theirs') setImmediate(() => { transport.write('theirs') })
  })
  const clients = await Promise.all(['/nobody', '/theirs'].map(async (path) => {
    const client = new RawClient(t, portOf(server))
    const upgraded = once(server, 'upgrade')
    client.write(upgradeHead(path))
    await upgraded
    return client
  }))
  const [nobody, theirs] = clients
  await theirs?.until('theirs')
  close()
  await nobody?.closed
  t.match(nobody?.received.toString(), /^HTTP\/1.1 503 /)
  t.equal(theirs?.received.toString(), 'theirs')
  const late = new RawClient(t, portOf(server))
  late.write(upgradeHead('/late'))
  await late.closed
  t.match(late.received.toString(), /^HTTP\/1.1 503 /)
  detach()
})

test('an application that closes leaves a server that goes on to the others', async (t) => {
  const { server } = await createHttp(t)
  server.on('connection', (socket) => { t.teardown(() => { socket.destroy() }) })
  server.on('upgrade', (_request, transport) => {
    server.once('go', () => { transport.write('mine') })
  })
  const { fastify } = await serve(t, { plugin: { options: { server } } })
  const client = new RawClient(t, portOf(server))
  const upgraded = once(server, 'upgrade')
  client.write(upgradeHead('/theirs'))
  const [, transport] = await upgraded
  await new Promise((resolve) => { setImmediate(resolve) })
  await fastify.close()
  t.ok(transport.listenerCount('error') > 0, 'a reset is thrown by nobody')
  server.emit('go')
  await client.until('mine')
  t.equal(client.received.toString(), 'mine')
})

test('fastify.close() ends although nobody has answered an upgrade', async (t) => {
  const { fastify } = await serveBeside(t, 'after', () => {})
  const client = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/nobody'))
  await upgraded
  await new Promise((resolve) => { setImmediate(resolve) })
  await fastify.close()
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 503 /)
  t.equal(fastify.server.listenerCount('upgrade'), 1, 'that of the other one')
})

test('a response of somebody else on the socket is not written over', async (t) => {
  const { fastify, origin } = await serveBeside(t, 'before', () => {})
  fastify.websocketServer.shouldHandle = (request) => {
    // As @fastify/http-proxy does, which dispatches on a response of its own.
    new ServerResponse(request).assignSocket(request.socket)
    throw new Error('shouldHandle failed')
  }
  await t.rejects(connect(t, `${origin}/echo`), { code: 'ECONNRESET' })
})
