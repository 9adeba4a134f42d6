// What counts messages. `stats.test.ts` has the ways that messages take.
import { test } from 'tap'
import { Traffic } from '../../src/observe/traffic'
import { keep, sizeOf } from '../../src/stream/send-data'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'

const NOTHING = {
  messagesReceived: 0,
  bytesReceived: 0,
  messagesSent: 0,
  bytesSent: 0,
  messagesDropped: 0,
  delivered: 0
}

test('what is counted for one connection is counted in the sum', async (t) => {
  const sum = new Traffic()
  sum.receive(5)
  const one = new Traffic(sum)
  const other = new Traffic(sum)
  one.receive(7)
  one.send(3)
  other.send(4, false)
  other.drop(2)
  other.deliver()
  t.same(sum.numbers, {
    messagesReceived: 2,
    bytesReceived: 12,
    messagesSent: 1,
    bytesSent: 7,
    messagesDropped: 2,
    delivered: 1
  })
  t.same(one.numbers, {
    ...NOTHING, messagesReceived: 1, bytesReceived: 7, messagesSent: 1, bytesSent: 3
  })
})

test('a connection that is counted apart has the settings of the others', async (t) => {
  const plugin = { maxBackpressure: 5, options: { objectMode: true } }
  const { fastify } = await serve(t, { plugin })
  const { streamSettings } = fastify.websocketServer
  const apart = streamSettings.countedApart()
  t.not(apart.traffic, streamSettings.traffic)
  t.match(apart, { maxBackpressure: 5, objectMode: true, codec: streamSettings.codec })
  apart.traffic.receive(1)
  t.equal(streamSettings.traffic.numbers.messagesReceived, 1)
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
  t.same(traffic.numbers, { ...NOTHING, messagesSent: 4, bytesSent: 6, delivered: 2 })
})

test('the bytes of all that ws can send are known', async (t) => {
  const sizes: Array<[data: unknown, size: number]> = [
    ['\u00e4', 2], [Buffer.alloc(3), 3], [new Uint16Array(2), 4], [new ArrayBuffer(5), 5],
    [[1, 2, 3], 3], [new Blob(['four']), 4], [42, 2], [{ valueOf: () => '\u00e4' }, 2],
    [{ arrayBuffer: true, length: 2 }, 0],
    [false, 0], [undefined, 0], [null, 0]
  ]
  for (const [data, size] of sizes) t.equal(sizeOf(keep(data)), size, String(data))
})
