// Topics of one process, over real connections.
import { once } from 'node:events'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, ping } from '../helpers/client'
import { serve, settled } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'
import { createRoom, textsUntil } from '../helpers/topics'

test('a message reaches each subscriber of its topic, and no other connection', async (t) => {
  const { server, members: [a, b, c] } = await createRoom(t, 3)
  await a?.socket.subscribe('news')
  b?.socket.subscribe('news')
  c?.socket.subscribe('sports')
  server.publish('news', 'hello')
  server.publish('sports', Buffer.from('goal'))
  server.publish('nobody', 'is here')
  t.match(await a?.client.next(), { text: 'hello', isBinary: false })
  t.match(await b?.client.next(), { text: 'hello', isBinary: false })
  t.match(await c?.client.next(), { text: 'goal', isBinary: true })
  for (const { client } of [a, b, c].filter((member) => member !== undefined)) {
    await ping(client)
    t.equal(client.unread.length, 0)
  }
})

test('what a socket publishes reaches the others and not itself', async (t) => {
  const { members: [a, b, c] } = await createRoom(t, 3)
  for (const member of [a, b]) member?.socket.subscribe('room')
  a?.socket.publish('room', 'from a')
  c?.socket.publish('room', 'from a stranger')
  t.equal(await a?.client.nextText(), 'from a stranger')
  t.equal(await b?.client.nextText(), 'from a')
  t.equal(await b?.client.nextText(), 'from a stranger')
  a?.socket.subscribe('alone')
  a?.socket.publish('alone', 'to no one')
  a?.socket.send('end')
  t.equal(await a?.client.nextText(), 'end')
})

test('a socket lists its subscriptions, and the server counts those of a topic', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  t.strictSame(a?.socket.subscriptions, [])
  for (const topic of ['one', 'two', 'three', 'two']) a?.socket.subscribe(topic)
  b?.socket.subscribe('two')
  t.strictSame(a?.socket.subscriptions, ['one', 'two', 'three'])
  t.equal(a?.socket.isSubscribed('two'), true)
  t.equal(b?.socket.isSubscribed('one'), false)
  t.equal(b?.socket.isSubscribed('four'), false)
  t.equal(server.subscriberCount('two'), 2)
  t.equal(a?.socket.unsubscribe('two'), true)
  t.equal(a?.socket.unsubscribe('two'), false)
  t.equal(a?.socket.unsubscribe('unknown'), false)
  t.strictSame(a?.socket.subscriptions, ['one', 'three'])
  t.equal(server.subscriberCount('two'), 1)
  t.equal(b?.socket.unsubscribe('two'), true)
  t.equal(server.subscriberCount('two'), 0)
})

test('whoever leaves, the others stay subscribed', async (t) => {
  const { server, members } = await createRoom(t, 6)
  for (const { socket } of members) for (const topic of ['x', 'y', 'z']) socket.subscribe(topic)
  // From the front, from the back and from the middle of the list.
  const order = [0, 5, 2, 1, 4]
  let left = 6
  for (const index of order) {
    const { socket } = members[index] ?? {}
    t.equal(socket?.unsubscribe('y'), true)
    t.strictSame(socket?.subscriptions, ['x', 'z'])
    t.equal(server.subscriberCount('y'), --left)
  }
  server.publish('y', 'for the last')
  server.publish('x', 'for all')
  t.equal(await members[3]?.client.nextText(), 'for the last')
  for (const { client } of members) t.equal(await client.nextText(), 'for all')
})

test('a closed connection is subscribed to nothing', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  for (const topic of ['one', 'two']) {
    a?.socket.subscribe(topic)
    b?.socket.subscribe(topic)
  }
  const closed = once(a?.socket ?? server, 'close')
  a?.client.close()
  await closed
  t.strictSame(a?.socket.subscriptions, [])
  t.equal(server.subscriberCount('one'), 1)
  await t.rejects(settled(a?.socket.subscribe('one')), { code: 'FST_WS_NOT_OPEN' })
  t.equal(server.subscriberCount('one'), 1)
  a?.socket.publish('two', 'I am gone')
  t.equal(await b?.client.nextText(), 'I am gone')
})

test('a socket that is closing cannot subscribe, and keeps what it has', async (t) => {
  const { members: [a] } = await createRoom(t, 1)
  await a?.socket.subscribe('mine')
  a?.socket.close()
  await t.rejects(settled(a?.socket.subscribe('other')), { code: 'FST_WS_NOT_OPEN' })
  await t.resolves(settled(a?.socket.subscribe('mine')))
  t.strictSame(a?.socket.subscriptions, ['mine'])
})

test('without a broker the promises are one, and resolved', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  const promise = a?.socket.subscribe('topic')
  t.equal(b?.socket.subscribe('topic'), promise)
  t.equal(a?.socket.publish('topic', 'x'), promise)
  t.equal(server.publish('topic', 'x'), promise)
  t.equal(server.publish('without subscribers', 'x'), promise)
  t.equal(await promise, undefined)
})

const NAMES = [
  '>', '*', 'a.b', 'constructor', '__proto__', 'toString', ' ', '\0', '\u{1f600}'.repeat(128),
  'x'.repeat(256)
]

test('any well-formed string of 1 to 256 characters is a topic', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  for (const name of NAMES) t.equal(server.subscriberCount(name), 0)
  for (const name of NAMES) await a?.socket.subscribe(name)
  b?.socket.subscribe('a')
  for (const name of NAMES) server.publish(name, name)
  for (const name of NAMES) t.equal(await a?.client.nextText(), name)
  t.strictSame(a?.socket.subscriptions, NAMES)
  server.publish('a', 'own')
  t.equal(await b?.client.nextText(), 'own')
})

const NO_NAMES: unknown[] = [
  '', 'x'.repeat(257), 'lone \ud800', '\udc00', undefined, null, 7, {}, ['news'], Symbol('news')
]

test('a name that no topic can have throws', async (t) => {
  const { server, members: [a] } = await createRoom(t, 1)
  const { socket } = a ?? {}
  for (const name of NO_NAMES) {
    const topic = name as string
    for (const call of [
      () => socket?.subscribe(topic), () => socket?.unsubscribe(topic),
      () => socket?.isSubscribed(topic), () => socket?.publish(topic, 'x'),
      () => server.publish(topic, 'x'), () => server.subscriberCount(topic)
    ]) t.throws(call, { code: 'FST_WS_INVALID_TOPIC', name: 'FastifyError' })
  }
  t.strictSame(socket?.subscriptions, [])
})

test('only strings and bytes can be published', async (t) => {
  const { server, members: [a] } = await createRoom(t, 1)
  a?.socket.subscribe('topic')
  for (const data of [undefined, null, 7, {}, ['x'], new ArrayBuffer(2)]) {
    const wrong = data as string
    t.throws(() => server.publish('topic', wrong), {
      code: 'FST_WS_INVALID_CHUNK', message: /must be a string or a Uint8Array, got /
    })
    t.throws(() => a?.socket.publish('topic', wrong), { code: 'FST_WS_INVALID_CHUNK' })
  }
  server.publish('topic', new Uint8Array([1, 2]))
  t.strictSame([...(await a?.client.next())?.data ?? []], [1, 2])
})

test('bytes may be changed when they are published', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  for (const member of [a, b]) member?.socket.subscribe('topic')
  for (const length of [3, 5000]) {
    const data = Buffer.alloc(length, 'x')
    server.publish('topic', data)
    data.fill('y')
    for (const member of [a, b]) {
      t.ok((await member?.client.next())?.data.equals(Buffer.alloc(length, 'x')))
    }
  }
})

test('a socket has maxSubscriptions at most', async (t) => {
  const { members: [a] } = await createRoom(t, 1, { maxSubscriptions: 2 })
  await a?.socket.subscribe('one')
  await a?.socket.subscribe('two')
  await t.rejects(settled(a?.socket.subscribe('three')), { code: 'FST_WS_TOO_MANY_SUBSCRIPTIONS' })
  await t.resolves(settled(a?.socket.subscribe('two')), 'one of those that it has')
  t.strictSame(a?.socket.subscriptions, ['one', 'two'])
  a?.socket.unsubscribe('one')
  await t.resolves(settled(a?.socket.subscribe('three')))
})

test('of 1000 topics by default, and the failure needs no catch', async (t) => {
  const { members: [a] } = await createRoom(t, 1)
  for (let i = 0; i < 1000; i++) await a?.socket.subscribe(`topic ${i}`)
  a?.socket.subscribe('one more')
  await t.rejects(settled(a?.socket.subscribe('one more')), {
    code: 'FST_WS_TOO_MANY_SUBSCRIPTIONS', message: /1000/
  })
})

test('the limit is an option of the plugin, and 0 forbids subscriptions', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { maxSubscriptions: 0 },
    declare: (fastify) => {
      fastify.get('/', { websocket: true }, async ({ socket }) => {
        await socket.subscribe('topic').catch(({ code }) => { socket.send(code) })
      })
    }
  })
  const client = await connect(t, origin)
  t.equal(await client.nextText(), 'FST_WS_TOO_MANY_SUBSCRIPTIONS')
  t.equal(fastify.websocketServer.subscriberCount('topic'), 0)
})

test('a large message arrives whole', async (t) => {
  const { server, members: [a, b] } = await createRoom(t, 2)
  for (const member of [a, b]) member?.socket.subscribe('topic')
  for (const length of [125, 126, 65_535, 65_536, 1_000_000]) {
    const data = 'x'.repeat(length)
    server.publish('topic', data)
    for (const member of [a, b]) t.ok(await member?.client.nextText() === data)
  }
})

test('routes with options of their own share the topics of the registration', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/a', { websocket: true }, ({ socket }) => { socket.subscribe('room') })
      fastify.get('/b', { websocket: { maxPayload: 10 } }, ({ socket }) => {
        socket.subscribe('room')
        socket.publish('room', 'b is here')
      })
    }
  })
  const a = await connect(t, `${origin}/a`)
  const b = await connect(t, `${origin}/b`)
  t.equal(await a.nextText(), 'b is here')
  t.equal(fastify.websocketServer.subscriberCount('room'), 2)
  fastify.websocketServer.publish('room', 'all')
  t.equal(await b.nextText(), 'all')
})

test('each registration has topics of its own', async (t) => {
  const fastify = createFastify(t)
  for (const prefix of ['/one', '/two']) {
    fastify.register(async (scope) => {
      await scope.register(fastifyWebsocket)
      scope.get('/', { websocket: true }, ({ socket }) => { socket.subscribe('room') })
      scope.get('/publish', async () => { await scope.websocketServer.publish('room', prefix) })
    }, { prefix })
  }
  const origin = await listen(fastify)
  const one = await connect(t, `${origin}/one`)
  const two = await connect(t, `${origin}/two`)
  await fastify.inject('/one/publish')
  await fastify.inject('/two/publish')
  t.equal(await one.nextText(), '/one')
  t.equal(await two.nextText(), '/two')
  await ping(one)
  t.equal(one.unread.length, 0)
})

test('topics work with injectWS', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.get('/', { websocket: true }, ({ socket }) => {
    socket.subscribe('room')
    socket.on('message', (message) => { socket.publish('room', message) })
  })
  await fastify.ready()
  const [a, b] = await Promise.all([fastify.injectWS('/'), fastify.injectWS('/')])
  const received = once(b, 'message')
  a.send('hello')
  const [data, isBinary] = await received
  t.equal(String(data), 'hello')
  t.equal(isBinary, false)
  const bytes = once(a, 'message')
  b.send(Buffer.of(1))
  t.strictSame(await bytes, [Buffer.of(1), true])
})

test('a stream in object mode reads and writes beside topics', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { objectMode: true } },
    declare: (fastify) => {
      fastify.get('/', { websocket: true }, (connection) => {
        connection.socket.subscribe('room')
        connection.write('first')
        fastify.websocketServer.publish('room', 'second')
        connection.write('third')
      })
    }
  })
  const client = await connect(t, origin)
  t.strictSame(await textsUntil(client, 'third'), ['first', 'second', 'third'])
  t.equal(fastify.websocketServer.subscriberCount('room'), 1)
})
