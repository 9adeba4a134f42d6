// The numbers of `fastify.websocketServer.stats()`: connections, and what was sent and received.
import { Blob } from 'node:buffer'
import { once } from 'node:events'
import { test, type Test } from 'tap'
import type { WebSocket } from 'ws'
import type fastifyWebsocket from '../../src/index'
import { connect, ping, type Client } from '../helpers/client'
import { echo, serve, type Served } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createHttp, portOf } from '../helpers/servers'
import { SocketStream } from '../../src/stream/duplex'
import { createPair, flood, until } from '../helpers/streams'
import { testOnce } from '../helpers/test-once'
import { holdIntervals } from '../helpers/timers'
import { DEAD, pass } from '../connection/silent-peer'

type Connection = Parameters<fastifyWebsocket.WebsocketHandler>[0]
type Stats = fastifyWebsocket.WebsocketStats

const NOTHING: Stats = {
  open: 0,
  accepted: 0,
  refused: [],
  closed: {},
  unresponsive: 0,
  tooSlow: 0,
  messagesReceived: 0,
  bytesReceived: 0,
  messagesSent: 0,
  bytesSent: 0,
  messagesDropped: 0,
  messagesWaiting: 0,
  published: 0,
  delivered: 0,
  skipped: 0,
  subscriptions: 0,
  gaps: 0
}

/** A served connection: the numbers, what its handler has got, and its client. */
async function open (
  t: Test, handle: fastifyWebsocket.WebsocketHandler = () => {}, served: Served = {}
): Promise<{ stats: () => Stats, connection: Connection, client: Client, origin: string }> {
  const { promise, resolve } = deferred<Connection>()
  const { fastify, origin } = await serve(t, {
    ...served,
    plugin: {
      ...served.plugin,
      handle (connection, ...rest) {
        resolve(connection)
        return handle.call(this, connection, ...rest)
      }
    }
  })
  const client = await connect(t, origin)
  const stats = (): Stats => fastify.websocketServer.stats()
  return { stats, connection: await promise, client, origin }
}

function deferred<T> (): { promise: Promise<T>, resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

// --- Connections ---

test('an application without connections has zeros', async (t) => {
  const { fastify } = await serve(t, {})
  t.strictSame(fastify.websocketServer.stats(), NOTHING)
})

test('connections are counted when they open and by the code with which they end', async (t) => {
  const { stats, client, origin } = await open(t)
  const others = [await connect(t, `${origin}/any`), await connect(t, origin)]
  const before = stats()
  t.strictSame(before, { ...NOTHING, open: 3, accepted: 3 })
  client.close(4321)
  await client.closed
  for (const other of others) other.close()
  await Promise.all(others.map(({ closed }) => closed))
  await until(() => stats().open === 0)
  t.strictSame(stats(), { ...NOTHING, accepted: 3, closed: { 1005: 2, 4321: 1 } })
  t.strictSame(before, { ...NOTHING, open: 3, accepted: 3 }, 'a snapshot does not change')
})

test('a connection that is lost ends with 1006', async (t) => {
  const { stats, client } = await open(t)
  client.socket.terminate()
  await until(() => stats().open === 0)
  t.strictSame(stats().closed, { 1006: 1 })
})

test('a connection ends once, though the application emits `close` again', async (t) => {
  const { stats, connection, client } = await open(t)
  client.close(1000)
  await once(connection.socket, 'close')
  connection.socket.emit('close', 1000, Buffer.alloc(0))
  t.strictSame(stats().closed, { 1000: 1 })
})

test('connections of routes with limits of their own are counted with the others', async (t) => {
  const { stats, origin } = await open(t, echo, {
    declare (fastify) {
      fastify.get('/small', { websocket: { maxPayload: 100 } }, echo)
    }
  })
  const client = await connect(t, `${origin}/small`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.match(stats(), { open: 2, accepted: 2, messagesReceived: 1, bytesSent: 5 })
  client.close()
  await client.closed
  await until(() => stats().open === 1)
  t.strictSame(stats().closed, { 1005: 1 })
})

for (const clientTracking of [true, false]) {
  testOnce(`with clientTracking ${clientTracking} own handleUpgrades are counted`, async (t) => {
    const { fastify } = await serve(t, { plugin: { options: { noServer: true, clientTracking } } })
    const { server, origin } = await createHttp(t)
    server.on('upgrade', (request, socket, head) => {
      fastify.websocketServer.handleUpgrade(request, socket, head, (socket) => {
        socket.on('message', (message) => { socket.send(message) })
      })
    })
    const client = await connect(t, origin)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    client.close()
    await client.closed
    await until(() => fastify.websocketServer.stats().open === 0)
    t.strictSame(fastify.websocketServer.stats(), {
      ...NOTHING,
      accepted: 1,
      closed: { 1005: 1 },
      messagesReceived: 1,
      bytesReceived: 5,
      messagesSent: 1,
      bytesSent: 5
    })
  })
}

test('a peer that answers no ping is counted', async (t) => {
  const beats = holdIntervals(t)
  const opened = deferred<boolean>()
  const { fastify } = await serve(t, { plugin: { handle: () => { opened.resolve(true) } } })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await Promise.all([opened.promise, client.until('\r\n\r\n')])
  t.equal(fastify.websocketServer.stats().unresponsive, 0)
  // The first beat finds that the handshake has come.
  await pass(beats, 1 + DEAD)
  await client.closed
  t.match(fastify.websocketServer.stats(), { open: 0, unresponsive: 1, closed: { 1006: 1 } })
})

test('a peer that takes too little is counted', async (t) => {
  const { stats, connection, client } = await open(t, undefined, {
    plugin: { maxBackpressure: 1000 }
  })
  client.socket.pause()
  await flood(connection.socket, Buffer.alloc(100_000))
  t.equal(stats().tooSlow, 1)
  client.socket.resume()
  t.equal((await client.closed).code, 1013)
  t.equal(stats().tooSlow, 1)
})

// --- Messages ---

/** What one side does with a connection, and how many messages and bytes it sends by that. */
type Act<T> = [act: (connection: T) => unknown, messages: number, bytes: number]

/** What a handler does. */
const SENT: Record<string, Act<Connection>> = {
  'a short text': [({ socket }) => { socket.send('hello') }, 1, 5],
  'a text whose letters have two bytes': [({ socket }) => { socket.send('да') }, 1, 4],
  'a long text': [({ socket }) => { socket.send('a'.repeat(10_000)) }, 1, 10_000],
  'a long text of such letters': [({ socket }) => { socket.send('ж'.repeat(5_000)) }, 1, 10_000],
  'short bytes': [({ socket }) => { socket.send(Buffer.from('hello')) }, 1, 5],
  'long bytes': [({ socket }) => { socket.send(Buffer.alloc(100_000)) }, 1, 100_000],
  'an ArrayBuffer': [({ socket }) => { socket.send(new ArrayBuffer(7)) }, 1, 7],
  'a view of numbers': [({ socket }) => { socket.send(new Uint32Array(2)) }, 1, 8],
  'a list of numbers': [({ socket }) => { socket.send([1, 2, 3]) }, 1, 3],
  'an object with a value': [({ socket }) => {
    // By the types of ws, the value is bytes.
    socket.send({ valueOf: () => 'да' } as never)
  }, 1, 4],
  'a number': [({ socket }) => { socket.send(0) }, 1, 1],
  'an empty text': [({ socket }) => { socket.send('') }, 1, 0],
  nothing: [({ socket }) => { socket.send(undefined as never) }, 1, 0],
  false: [({ socket }) => { socket.send(false as never) }, 1, 0],
  // The types of ws lack it.
  'a Blob': [({ socket }) => { socket.send(new Blob(['hello']) as never) }, 1, 5],
  'a message with a callback': [({ socket }) => { socket.send('hello', () => {}) }, 1, 5],
  'two fragments': [({ socket }) => {
    socket.send('one', { fin: false })
    socket.send('two', { fin: true })
  }, 1, 6],
  'chunks that share a message': [(connection) => {
    connection.cork()
    connection.write('one')
    connection.write('two')
    connection.uncork()
  }, 1, 6],
  'a ping and a pong': [({ socket }) => {
    socket.ping('hello')
    socket.pong('hello')
  }, 0, 0],
  'what ws refuses to send': [({ socket }) => {
    try {
      socket.send({} as never)
    } catch { /* It has no bytes. */ }
  }, 0, 0],
  'a message after the close frame': [({ socket }) => {
    socket.close()
    socket.send('hello', () => {})
  }, 0, 0]
}

for (const [what, [send, messagesSent, bytesSent]] of Object.entries(SENT)) {
  for (const perMessageDeflate of [false, true]) {
    const how = perMessageDeflate ? ', compressed' : ''
    test(`sent: ${what}${how}`, async (t) => {
      const { stats, connection, client } = await open(t, undefined, {
        plugin: { options: { perMessageDeflate } }
      })
      send(connection)
      connection.socket.close()
      await client.closed
      t.match(stats(), { messagesSent, bytesSent, messagesReceived: 0, bytesReceived: 0 })
      t.equal(client.unread.length, messagesSent, 'that is what the client has got')
      t.equal(client.unread.reduce((sum, { data }) => sum + data.length, 0), bytesSent)
    })
  }
}

/** What a client does. */
const RECEIVED: Record<string, Act<WebSocket>> = {
  'a short text': [(socket) => { socket.send('hello') }, 1, 5],
  'a text whose letters have two bytes': [(socket) => { socket.send('да') }, 1, 4],
  'short bytes': [(socket) => { socket.send(Buffer.from('hello')) }, 1, 5],
  'long bytes': [(socket) => { socket.send(Buffer.alloc(200_000)) }, 1, 200_000],
  'an empty message': [(socket) => { socket.send('') }, 1, 0],
  'three fragments': [(socket) => {
    socket.send('one', { fin: false })
    socket.pong()
    socket.send('two', { fin: false })
    socket.send('three', { fin: true })
  }, 1, 11],
  'a pong': [(socket) => {
    socket.pong('hello')
  }, 0, 0]
}

/** How it is read. */
const READERS: Record<string, fastifyWebsocket.WebsocketHandler> = {
  'by a listener': ({ socket }) => { socket.on('message', () => {}) },
  'by the stream': (connection) => { connection.resume() },
  'by both': (connection) => {
    connection.resume()
    connection.socket.on('message', () => {})
  }
}

for (const [what, [send, messagesReceived, bytesReceived]] of Object.entries(RECEIVED)) {
  for (const [reader, handle] of Object.entries(READERS)) {
    for (const perMessageDeflate of [false, true]) {
      const how = perMessageDeflate ? ', compressed' : ''
      test(`received ${reader}: ${what}${how}`, async (t) => {
        const { stats, client } = await open(t, handle, {
          plugin: { options: { perMessageDeflate } }
        })
        send(client.socket)
        await ping(client)
        t.strictSame(stats(), {
          ...NOTHING, open: 1, accepted: 1, messagesReceived, bytesReceived
        })
      })
    }
  }
}

test('a message that breaks a rule is not counted', async (t) => {
  const { stats, client } = await open(t, echo, { plugin: { options: { maxPayload: 10 } } })
  client.send('a'.repeat(11))
  t.equal((await client.closed).code, 1009)
  t.match(stats(), { messagesReceived: 0, bytesReceived: 0 })
})

test('a message that the application emits with an odd view is counted by its bytes', async (t) => {
  const { stats, connection } = await open(t, echo)
  connection.socket.emit('message', new DataView(new ArrayBuffer(3)), true)
  t.match(stats(), { messagesReceived: 1, bytesReceived: 3 })
})

test('messages of a stream with options of its own are counted', async (t) => {
  const { server, stream, client } = await createPair(t)
  const own = new SocketStream(stream.socket, { objectMode: true })
  own.on('data', (chunk: unknown) => { own.write(chunk) })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.match(server.streamSettings.traffic.numbers, {
    messagesReceived: 1, bytesReceived: 5, messagesSent: 1, bytesSent: 5
  })
})

// --- Messages that wait, and that are dropped ---

test('messages wait while a handler runs, and are dropped if it ends without them', async (t) => {
  const { promise, resolve } = deferred<boolean>()
  const { stats, client } = await open(t, async () => { await promise })
  client.send('one')
  client.send('two')
  await ping(client)
  t.match(stats(), { messagesReceived: 2, messagesWaiting: 2, messagesDropped: 0 })
  client.close()
  await client.closed
  await until(() => stats().open === 0)
  resolve(true)
  await until(() => stats().messagesDropped > 0)
  t.match(stats(), { messagesReceived: 2, messagesWaiting: 0, messagesDropped: 2 })
})

test('messages that waited and then got a reader are not dropped', async (t) => {
  const { stats, connection, client } = await open(t)
  client.send('one')
  client.send('two')
  await ping(client)
  t.match(stats(), { messagesWaiting: 2 })
  connection.socket.once('message', () => {})
  await until(() => stats().messagesWaiting < 2)
  t.match(stats(), { messagesWaiting: 1 })
  connection.socket.on('message', () => {})
  await until(() => stats().messagesWaiting === 0)
  client.close()
  await client.closed
  await until(() => stats().open === 0)
  t.match(stats(), { messagesReceived: 2, messagesDropped: 0 })
})

test('what nothing reads is dropped above the bound', async (t) => {
  const { stats, client } = await open(t, () => {}, {
    plugin: { options: { highWaterMark: 1000 } }
  })
  for (let count = 0; count < 10; count++) client.send('a'.repeat(400))
  await ping(client)
  t.match(stats(), { messagesReceived: 10, messagesWaiting: 0, messagesDropped: 10 })
})

test('what waits or arrives when the stream is destroyed is dropped', async (t) => {
  const { stats, connection, client } = await open(t)
  client.send('one')
  await ping(client)
  t.match(stats(), { messagesWaiting: 1 })
  connection.socket.pause()
  client.send('two')
  connection.destroy()
  await client.closed
  await until(() => stats().open === 0)
  t.match(stats(), { messagesReceived: 2, messagesWaiting: 0, messagesDropped: 2 })
})
