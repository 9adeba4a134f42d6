// Messages and their bytes are counted once each, whichever way they take.
import { test } from 'tap'
import { Traffic } from '../../src/observe/traffic'
import { inboxOf } from '../../src/stream/inbox'
import { sizeOf } from '../../src/stream/send-data'
import { kInbox } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { until } from '../helpers/streams'

const NOTHING = {
  messagesReceived: 0, bytesReceived: 0, messagesSent: 0, bytesSent: 0, messagesDropped: 0
}

test('a connection that is counted apart is part of the total, open and closed', async (t) => {
  const traffic = new Traffic()
  traffic.receive(5)
  const one = traffic.setApart()
  const other = traffic.setApart()
  one.receive(7)
  one.send(3)
  other.send(4, false)
  other.drop(2)
  const total = {
    messagesReceived: 2, bytesReceived: 12, messagesSent: 1, bytesSent: 7, messagesDropped: 2
  }
  t.same(traffic.total, total)
  traffic.join(one)
  traffic.join(other)
  t.same(traffic.total, total)
  t.match(one.total, { messagesReceived: 1, bytesReceived: 7, messagesSent: 1, bytesSent: 3 })
  const alone = new Traffic()
  alone.join(one)
  t.equal(alone.total.messagesReceived, 1)
})

test('messages that are read here, by ws, packed and sent by ws are counted', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => { fastify.get('/', { websocket: true }, echo) }
  })
  const client = await connect(t, `${origin}/`)
  const { traffic } = fastify.websocketServer.streamSettings
  const long = Buffer.alloc(5000, 'long')
  client.send('text')
  client.send('\u00e4')
  client.send(Buffer.from('bytes'))
  client.send(long)
  client.socket.send('in ', { fin: false })
  client.send('parts')
  for (let i = 0; i < 5; i++) await client.next()
  const bytes = 4 + 2 + 5 + 5000 + 8
  t.same(traffic.total, {
    ...NOTHING, messagesReceived: 5, bytesReceived: bytes, messagesSent: 5, bytesSent: bytes
  })
})

test('what the application sends as a Blob, in fragments or on a closed socket', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true }, ({ socket }) => {
        // The types of ws lack Blobs.
        socket.send(new Blob(['blob']) as unknown as Buffer, {}, () => {
          socket.send('two ', { fin: false })
          socket.send('parts')
          socket.close()
          socket.send('too late', () => {})
        })
      })
    }
  })
  const client = await connect(t, `${origin}/`)
  for (let i = 0; i < 2; i++) await client.next()
  const { traffic } = fastify.websocketServer.streamSettings
  t.same(traffic.total, { ...NOTHING, messagesSent: 2, bytesSent: 13 })
})

test('messages that are dropped are counted, those that waited before as well', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { highWaterMark: 100 } },
    declare: (fastify) => { fastify.get('/', { websocket: true }, () => {}) }
  })
  const client = await connect(t, `${origin}/`)
  const { traffic } = fastify.websocketServer.streamSettings
  const [socket] = fastify.websocketServer.clients
  t.equal(socket?.[kInbox], null)
  t.equal(socket && inboxOf(socket).waitingMessages, 0)
  client.send('one')
  await until(() => socket?.[kInbox]?.waitingMessages === 1)
  client.send('two')
  client.send('three')
  await until(() => traffic.total.messagesDropped === 3)
  t.equal(traffic.total.messagesReceived, 3)
})

test('a connection that is counted apart has the settings of the others', async (t) => {
  const plugin = { maxBackpressure: 5, options: { objectMode: true } }
  const { fastify } = await serve(t, { plugin })
  const { streamSettings } = fastify.websocketServer
  const apart = streamSettings.countedApart()
  t.not(apart.traffic, streamSettings.traffic)
  t.match(apart, { maxBackpressure: 5, objectMode: true, codec: streamSettings.codec })
  apart.traffic.receive(1)
  t.equal(streamSettings.traffic.total.messagesReceived, 1)
})

test('a message that is published is counted for each subscriber', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true }, ({ socket }) => {
        socket.subscribe('topic')
        socket.send('1')
      })
    }
  })
  const clients = [await connect(t, `${origin}/`), await connect(t, `${origin}/`)]
  for (const client of clients) await client.next()
  fastify.websocketServer.publish('topic', '\u00e4')
  for (const client of clients) await client.next()
  const { traffic } = fastify.websocketServer.streamSettings
  t.same(traffic.total, { ...NOTHING, messagesSent: 4, bytesSent: 6 })
})

test('a DataView that the application emits as a message counts its bytes', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true }, ({ socket }) => {
        socket.on('message', () => { socket.send('here') })
        socket.emit('message', new DataView(new ArrayBuffer(3)), true)
      })
    }
  })
  const client = await connect(t, `${origin}/`)
  await client.next()
  t.match(fastify.websocketServer.streamSettings.traffic.total, { bytesReceived: 3 })
})

test('the bytes of all that ws can send are known', async (t) => {
  const sizes: Array<[data: unknown, size: number]> = [
    ['\u00e4', 2], [Buffer.alloc(3), 3], [new Uint16Array(2), 4], [new ArrayBuffer(5), 5],
    [[1, 2, 3], 3], [new Blob(['four']), 4], [42, 2], [true, 4],
    [false, 0], [undefined, 0], [null, 0]
  ]
  for (const [data, size] of sizes) t.equal(sizeOf(data), size, String(data))
})
