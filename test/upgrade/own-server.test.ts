import { once } from 'node:events'
import { createServer as createTcpServer, Server, type AddressInfo } from 'node:net'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { RawClient } from '../helpers/raw'
import { createFastify, ownOrigin } from '../helpers/servers'

test('host and port: a server of its own leads to the same routes', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { host: '127.0.0.1', port: 0 } },
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  const own = ownOrigin(fastify.websocketServer)
  t.not(own, origin)
  const client = await connect(t, `${own}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.equal((await refused(t, `${own}/nothing`)).statusCode, 404)
})

test('port: the server of Fastify itself takes no upgrades', async (t) => {
  const { origin } = await serve(t, {
    plugin: { options: { host: '127.0.0.1', port: 0 } },
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  // Without a listener of `upgrade`, Node.js serves the request as plain HTTP.
  t.equal((await refused(t, `${origin}/echo`)).statusCode, 404)
})

test('port: the server opens when Fastify is ready and closes with it', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, { options: { host: '127.0.0.1', port: 0 } })
  t.equal(fastify.websocketServer.address(), null)
  await fastify.ready()
  const own = ownOrigin(fastify.websocketServer)
  await fastify.close()
  t.equal(fastify.websocketServer.address(), null)
  await t.rejects(connect(t, own), { code: 'ECONNREFUSED' })
})

test('port: clients are let in when all onReady hooks have run', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, {
    handle: echo, options: { host: '127.0.0.1', port: 0 }
  })
  fastify.addHook('onReady', async () => {
    const { statusCode, headers } = await refused(t, ownOrigin(fastify.websocketServer))
    t.equal(statusCode, 503)
    t.equal(headers['retry-after'], '1')
  })
  await fastify.ready()
  const client = await connect(t, ownOrigin(fastify.websocketServer))
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

for (const when of ['while', 'after']) {
  test(`port: closed ${when} an onReady hook fails, it lets no client in`, async (t) => {
    const fastify = createFastify(t)
    await fastify.register(fastifyWebsocket, {
      handle: echo, options: { host: '127.0.0.1', port: 0 }
    })
    fastify.addHook('onReady', async () => {
      if (when === 'while') fastify.close()
      throw new Error('no database')
    })
    await t.rejects(settled(fastify.ready()), { message: 'no database' })
    await fastify.close()
    t.equal(fastify.websocketServer.address(), null)
  })
}

test('port: closing does not wait for connections that say nothing', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, { options: { host: '127.0.0.1', port: 0 } })
  await fastify.ready()
  const client = new RawClient(t, Number(new URL(ownOrigin(fastify.websocketServer)).port))
  client.write('GET /unfinished HTTP/1.1\r\n')
  await once(client.socket, 'connect')
  await fastify.close()
  await client.closed
  t.equal(client.socket.destroyed, true)
})

test('port: a plain request is answered with 426', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, { options: { host: '127.0.0.1', port: 0 } })
  await fastify.ready()
  const response = await fetch(ownOrigin(fastify.websocketServer).replace('ws', 'http'))
  t.equal(response.status, 426)
  t.equal(response.headers.get('upgrade'), 'websocket')
  t.equal(await response.text(), 'Upgrade Required')
})

test('port: a taken one fails ready() with the address in the message', async (t) => {
  const taken = createTcpServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  // A TCP server has an address of this shape.
  const { port } = taken.address() as AddressInfo
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { host: '127.0.0.1', port } })
  await t.rejects(settled(fastify.ready()), {
    code: 'FST_WS_LISTEN',
    message: new RegExp(`cannot listen on 127.0.0.1:${port}: .*EADDRINUSE`),
    cause: { code: 'EADDRINUSE' }
  })
})

test('port: without a host the address in the message is that of all interfaces', async (t) => {
  const taken = createTcpServer().listen(0)
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  // As above.
  const { port } = taken.address() as AddressInfo
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { port } })
  await t.rejects(settled(fastify.listen({ port: 0 })), {
    code: 'FST_WS_LISTEN', message: new RegExp(`listen on \\*:${port}: `)
  })
})

test('backlog: reaches the listening server', async (t) => {
  const listen = t.capture(Server.prototype, 'listen', Server.prototype.listen)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { port: 0, host: '127.0.0.1', backlog: 7 } })
  await fastify.ready()
  t.match(listen.args(), [[{ host: '127.0.0.1', port: 0, backlog: 7 }]])
})

test('an application that is closed before it is ready takes no upgrades', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo, options: { port: 0, host: '127.0.0.1' } })
  const closed = fastify.close()
  await Promise.allSettled([fastify.ready(), closed])
  t.equal(fastify.websocketServer.address(), null)
})

test('an application that closes while it becomes ready takes no upgrades', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo, options: { port: 0, host: '127.0.0.1' } })
  let closed: PromiseLike<unknown> | undefined
  fastify.addHook('onReady', async () => { closed = fastify.close() })
  await Promise.allSettled([fastify.ready()])
  await closed
  t.equal(fastify.websocketServer.address(), null)
})
