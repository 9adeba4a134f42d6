// fastify.close() ends, whenever it is called and whatever handlers and clients do.
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, listen, portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { holdTimers, type HeldTimers } from '../helpers/timers'
import { isHttp2 } from '../helpers/transports'

/** Longer than a test may take. */
const A_MINUTE = 60_000

test('close() twice resolves twice', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const client = await connect(t, origin)
  await Promise.all([fastify.close(), fastify.close()])
  await fastify.close()
  t.equal((await client.closed).code, 1001)
})

for (const options of [{}, { port: 0 }, { noServer: true }]) {
  test(`close() before ready() resolves with ${JSON.stringify(options)}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options })
    await fastify.close()
    t.equal(fastify.server.listenerCount('upgrade'), 0)
  })
}

test('close() after ready() failed resolves', async (t) => {
  const { server } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { options: { port: portOf(server), host: '127.0.0.1' } })
  await t.rejects(listen(fastify), { code: 'FST_WS_LISTEN' })
  await fastify.close()
  t.equal(server.listening, true)
})

test('the listener of upgrade is gone afterwards, from a given server too', async (t) => {
  const { server } = await createHttp(t)
  for (let n = 0; n < 3; n++) {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { server } })
    await fastify.ready()
    t.equal(server.listenerCount('upgrade'), 1)
    await fastify.close()
    t.equal(server.listenerCount('upgrade'), 0)
  }
})

test('silent connections and refused clients do not hold up close()', async (t) => {
  const { fastify, origin } = await serve(t, { declare: (fastify) => fastify.get('/', () => '') })
  const lingering = new RawClient(t, portOf(fastify.server))
  lingering.socket.allowHalfOpen = true
  lingering.write(upgradeHead('/'))
  await lingering.until('404')
  t.equal((await refused(t, origin)).statusCode, 404)
  await fastify.close()
  t.equal(fastify.server.listening, false)
})

test('close() ends although a handler has taken all listeners off the raw socket', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: (_connection, { socket }) => {
        // Those of ws clear its timer, for which this process would wait.
        for (const listener of socket.listeners('close')) {
          t.teardown(() => { listener.call(socket) })
        }
        socket.removeAllListeners()
      },
      closeTimeout: 30
    }
  })
  const client = await connect(t, origin)
  await fastify.close()
  await client.closed
})

/** Handlers, and whether what comes from the client is read while they run. */
const HANDLERS: Record<string, readonly [isRead: boolean, fastifyWebsocket.WebsocketHandler]> = {
  'a paused socket': [false, ({ socket }) => { socket.pause() }],
  'a paused raw socket': [false, (_connection, { socket }) => { socket.pause() }],
  'a handler that never ends': [true, () => new Promise(() => {})],
  'a stream that nobody reads': [true, (connection) => { connection.on('readable', () => {}) }],
  'a stream that has ended': [true, (connection) => { connection.end() }]
}

/** An application whose timers of `closeTimeout` are held, with a client that never answers. */
async function serveSilent (
  t: Test, handle: fastifyWebsocket.WebsocketHandler
): Promise<{ fastify: FastifyInstance, timers: HeldTimers, client: RawClient }> {
  const timers = holdTimers(t, A_MINUTE)
  const { fastify } = await serve(t, { plugin: { handle, closeTimeout: A_MINUTE } })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.allowHalfOpen = true
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  return { fastify, timers, client }
}

/** A client that ends its side in the middle of something wrong, and leaves the other side open. */
function endHalf ({ socket }: RawClient): void {
  socket.end(Buffer.alloc(200_000))
}

for (const [what, [isRead, handle]] of Object.entries(HANDLERS)) {
  // Over HTTP/2 a client cannot end its side and leave the other one open: the server closes both.
  for (const end of isRead || isHttp2() ? ['silent'] : ['silent', 'half-open']) {
    test(`close() ends at closeTimeout with ${what} and a ${end} client`, async (t) => {
      const { fastify, timers, client } = await serveSilent(t, handle)
      if (end === 'half-open') endHalf(client)
      const order: string[] = []
      const closed = fastify.close().then(() => { order.push('closed') })
      await until(() => timers.size > 0)
      for (let turns = 0; turns < 100; turns++) await turn()
      order.push('closeTimeout')
      timers.run()
      await closed
      t.strictSame(order, ['closeTimeout', 'closed'])
      t.equal(fastify.websocketServer.clients.size, 0)
      client.socket.destroy()
    })
  }

  if (!isRead) continue

  test(`close() ends without closeTimeout with ${what} and a half-open client`, async (t) => {
    const { fastify, client } = await serveSilent(t, handle)
    endHalf(client)
    await fastify.close()
    t.equal(fastify.websocketServer.clients.size, 0)
    client.socket.destroy()
  })
}
