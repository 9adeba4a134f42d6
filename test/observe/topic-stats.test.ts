// The numbers of topics in `stats()`, and the channel `fastify-websocket.gap`.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { connect, ping, type Client } from '../helpers/client'
import { Logs } from '../helpers/logs'
import { MemoryBus, type MemoryBroker } from '../helpers/memory-broker'
import { serve } from '../helpers/plugin'
import { until } from '../helpers/streams'

/** Subscribes to the topics that the path names, as in "/red+blue". */
function subscribing (fastify: FastifyInstance): void {
  fastify.get<{ Params: { topics: string } }>(
    '/:topics', { websocket: true }, ({ socket }, _raw, { params }) => {
      for (const topic of params.topics.split('+')) socket.subscribe(topic)
      socket.on('message', (message) => { socket.publish('red', message) })
    })
}

/** A served application with topics, and clients that are subscribed to those of their paths. */
async function open (
  t: Test, paths: string[], broker?: MemoryBroker
): Promise<{ fastify: FastifyInstance, clients: Client[] }> {
  const { fastify, origin } = await serve(t, { plugin: { broker }, declare: subscribing })
  const clients: Client[] = []
  for (const path of paths) clients.push(await connect(t, `${origin}/${path}`))
  for (const client of clients) await ping(client)
  return { fastify, clients }
}

test('subscriptions are those of now, and end with their connections', async (t) => {
  const { fastify, clients } = await open(t, ['red', 'red+blue', 'blue+green', 'blue+blue'])
  const { websocketServer } = fastify
  t.equal(websocketServer.stats().subscriptions, 6)
  const [first] = websocketServer.clients
  t.equal(first?.unsubscribe('red'), true)
  t.equal(first?.unsubscribe('red'), false)
  t.equal(websocketServer.stats().subscriptions, 5)
  clients[1]?.socket.terminate()
  await until(() => websocketServer.stats().open === 3)
  t.equal(websocketServer.stats().subscriptions, 3)
  for (const client of clients) client.close()
  await until(() => websocketServer.stats().open === 0)
  t.equal(websocketServer.stats().subscriptions, 0)
})

test('a subscription that is refused does not count', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { maxSubscriptions: 1 }, declare: subscribing
  })
  await ping(await connect(t, `${origin}/red+blue`))
  t.equal(fastify.websocketServer.stats().subscriptions, 1)
})

test('a publish counts once, and each message to a subscriber as delivered', async (t) => {
  const { fastify, clients: [red, both] } = await open(t, ['red', 'red+blue', 'green'])
  const { websocketServer } = fastify
  websocketServer.publish('red', 'one')
  websocketServer.publish('blue', 'two')
  websocketServer.publish('none', 'three')
  red?.send('four')
  for (let i = 0; i < 3; i++) await both?.next()
  t.match(websocketServer.stats(), {
    published: 4,
    delivered: 4,
    messagesSent: 4,
    bytesSent: 3 + 3 + 3 + 4
  })
  t.throws(() => websocketServer.publish('', 'no topic'), { code: 'FST_WS_INVALID_TOPIC' })
  // The types ask for text or bytes.
  t.throws(() => websocketServer.publish('red', 5 as never), { code: 'FST_WS_INVALID_CHUNK' })
  t.equal(websocketServer.stats().published, 4)
})

test('a message that no subscriber is sent is not delivered', async (t) => {
  const { fastify } = await open(t, ['red'])
  const { websocketServer } = fastify
  const [socket] = websocketServer.clients
  // The last fragment does not come, so what is published waits, and then the connection ends.
  socket?.send('part', { fin: false })
  websocketServer.publish('red', 'waits')
  socket?.terminate()
  websocketServer.publish('red', 'is too late')
  await until(() => websocketServer.stats().open === 0)
  t.match(websocketServer.stats(), { published: 2, delivered: 0, messagesSent: 0 })
})

test('a message that waits for the last fragment is delivered behind it', async (t) => {
  const { fastify, clients: [client] } = await open(t, ['red'])
  const { websocketServer } = fastify
  const [socket] = websocketServer.clients
  socket?.send('first ', { fin: false })
  websocketServer.publish('red', 'published')
  t.equal(websocketServer.stats().delivered, 0)
  socket?.send('last')
  t.equal(await client?.nextText(), 'first last')
  t.equal(await client?.nextText(), 'published')
  t.match(websocketServer.stats(), { delivered: 1, messagesSent: 2, bytesSent: 10 + 9 })
})

test('a volatile message counts as skipped for each subscriber that misses it', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { highWaterMark: 1000 } },
    declare (fastify) {
      subscribing(fastify)
      // Its server is another one, with limits of its own.
      fastify.get('/limited', { websocket: { maxPayload: 100 } }, ({ socket }) => {
        socket.subscribe('red')
      })
    }
  })
  const { websocketServer } = fastify
  const fast = await connect(t, `${origin}/red`)
  for (const path of ['red', 'limited']) await ping(await connect(t, `${origin}/${path}`))
  const [, ...slow] = websocketServer.clients
  t.equal(slow.length, 2)
  // The last fragment does not come, so that what is published then waits for it.
  for (const socket of slow) socket.send('part', { fin: false })
  websocketServer.publish('red', 'x'.repeat(1001))
  t.match(websocketServer.stats(), { published: 1, delivered: 1, skipped: 0 })
  t.equal((await fast.nextText()).length, 1001)
  websocketServer.publish('red', 'y', { volatile: true })
  t.match(websocketServer.stats(), { published: 2, delivered: 2, skipped: 2 })
  websocketServer.publish('red', 'z')
  t.match(websocketServer.stats(), { published: 3, delivered: 3, skipped: 2 })
  for (const socket of slow) socket.terminate()
  websocketServer.publish('red', 'y', { volatile: true })
  t.match(websocketServer.stats(), { published: 4, delivered: 4, skipped: 2 }, 'they are closing')
})

test('a message of a topic behind one that is compressed is delivered', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { perMessageDeflate: true } }, declare: subscribing
  })
  const client = await connect(t, `${origin}/red`)
  await ping(client)
  const { websocketServer } = fastify
  const [socket] = websocketServer.clients
  const long = 'a'.repeat(10_000)
  socket?.send(long)
  websocketServer.publish('red', long)
  t.equal(await client.nextText(), long)
  t.equal(await client.nextText(), long)
  t.match(websocketServer.stats(), { delivered: 1, messagesSent: 2, bytesSent: 20_000 })
})

test('processes count what they publish and what they deliver', async (t) => {
  const bus = new MemoryBus()
  const here = await open(t, ['red'], bus.connect())
  const there = await open(t, ['red', 'red'], bus.connect())
  here.clients[0]?.send('hello')
  for (const client of there.clients) t.equal(await client.nextText(), 'hello')
  t.match(here.fastify.websocketServer.stats(), { published: 1, delivered: 0, messagesSent: 0 })
  t.match(there.fastify.websocketServer.stats(), { published: 0, delivered: 2, messagesSent: 2 })
})

/** What the channel of gaps tells while the test runs. */
function listen (t: Test): fastifyWebsocket.GapMessage[] {
  const messages: fastifyWebsocket.GapMessage[] = []
  // The types of the channel do not know its messages.
  const onMessage = (message: unknown): void => { messages.push(message as never) }
  subscribe('fastify-websocket.gap', onMessage)
  t.teardown(() => unsubscribe('fastify-websocket.gap', onMessage))
  return messages
}

test('a gap is counted and told, with the server of the registration', async (t) => {
  const broker = new MemoryBus().connect()
  const { fastify } = await open(t, [], broker)
  broker.gap()
  const messages = listen(t)
  broker.gap()
  t.equal(fastify.websocketServer.stats().gaps, 2)
  t.equal(messages.length, 1)
  t.equal(messages[0]?.server, fastify.websocketServer)
})

test('a gap listener that throws takes no gap from the count or the channel', async (t) => {
  const broker = new MemoryBus().connect()
  const logs = new Logs()
  const { fastify } = await serve(t, { plugin: { broker }, server: { logger: logs.logger } })
  const messages = listen(t)
  fastify.websocketServer.on('gap', () => { throw new Error('listener') })
  broker.gap()
  await logs.find('websocket topics: a gap listener has failed')
  t.equal(messages.length, 1)
  t.equal(fastify.websocketServer.stats().gaps, 1)
})
