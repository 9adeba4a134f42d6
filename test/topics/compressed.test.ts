// Messages that are compressed once for all subscribers that can read them, and for no others.
import { test } from 'tap'
import type { ClientOptions } from 'ws'
import type { WebSocketStreamServerOptions } from '../../src/stream/server'
import { serve } from '../helpers/plugin'
import { connect } from '../helpers/client'
import { serveStreams } from '../helpers/streams'
import { createRoom, join, textsUntil } from '../helpers/topics'

/** Long enough to be compressed, and much shorter then. */
const LONG = 'compress me '.repeat(500)

/** How a server and a client agree, and whether they share what is compressed. */
const AGREEMENTS: Array<{
  title: string,
  server: WebSocketStreamServerOptions['perMessageDeflate']
  client: ClientOptions['perMessageDeflate'],
  isShared: boolean
}> = [
  {
    title: 'no takeover asked by the client',
    server: true,
    client: { serverNoContextTakeover: true },
    isShared: true
  },
  {
    title: 'no takeover and the window that the server has itself',
    server: { serverNoContextTakeover: true, serverMaxWindowBits: 10 },
    client: { serverMaxWindowBits: 10 },
    isShared: true
  },
  {
    title: 'no takeover and options of zlib',
    server: {
      serverNoContextTakeover: true, zlibDeflateOptions: { level: 9, memLevel: 9, strategy: 0 }
    },
    client: true,
    isShared: true
  },
  { title: 'context takeover', server: true, client: true, isShared: false },
  {
    title: 'a smaller window than that of the server',
    server: { serverNoContextTakeover: true },
    client: { serverMaxWindowBits: 10 },
    isShared: false
  },
  {
    title: 'a window of 8 bits, which zlib does not have',
    server: { serverNoContextTakeover: true, serverMaxWindowBits: 8 },
    client: true,
    isShared: false
  },
  {
    title: 'a client without compression',
    server: { serverNoContextTakeover: true },
    client: false,
    isShared: false
  }
]

for (const { title, server: perMessageDeflate, client: clientDeflate, isShared } of AGREEMENTS) {
  test(`${title}: ${isShared ? 'compressed once' : 'sent as it is'}`, async (t) => {
    const { server, members } = await createRoom(
      t, 2, { perMessageDeflate }, { perMessageDeflate: clientDeflate })
    for (const { socket } of members) socket.subscribe('room')
    const sizes: number[] = []
    for (const { client } of members) {
      const { _socket: transport } = client.socket as unknown as { _socket: NodeJS.ReadableStream }
      transport.prependListener('data', (chunk: Buffer) => { sizes.push(chunk.length) })
    }
    server.publish('room', LONG)
    for (const { client } of members) t.equal(await client.nextText(), LONG)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    if (isShared) t.ok(bytes < LONG.length / 10, `${bytes} bytes`)
    else t.ok(bytes > 2 * LONG.length, `${bytes} bytes`)
    // Short ones, empty ones, binary ones, and those of `send`, which ws compresses.
    for (let round = 0; round < 3; round++) {
      for (const { socket } of members) socket.send(LONG + round)
      server.publish('room', 'short')
      server.publish('room', '')
      server.publish('room', Buffer.from(LONG))
      for (const { socket } of members) socket.send('end')
      for (const { client } of members) {
        const texts = await textsUntil(client, 'end')
        t.ok(texts.join() === [LONG + round, 'short', '', LONG, 'end'].join())
      }
    }
  })
}

test('a threshold counts, and nothing that is empty is compressed', async (t) => {
  const perMessageDeflate = { threshold: 0, serverNoContextTakeover: true }
  const { server, members: [a] } = await createRoom(t, 1, { perMessageDeflate }, {})
  a?.socket.subscribe('room')
  server.publish('room', '')
  server.publish('room', 'x')
  server.publish('room', 'end')
  t.strictSame(a && await textsUntil(a.client, 'end'), ['', 'x', 'end'])
})

test('subscribers with and without compression get the same message', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { options: { perMessageDeflate: true } },
    declare: (fastify) => {
      fastify.get('/', { websocket: { maxPayload: 100 } }, ({ socket }) => {
        socket.subscribe('room')
        socket.send('subscribed')
      })
    }
  })
  const clients = await Promise.all([
    connect(t, origin, { perMessageDeflate: false }),
    connect(t, origin, { perMessageDeflate: true }),
    connect(t, origin, { perMessageDeflate: { serverNoContextTakeover: true } })
  ])
  for (const client of clients) t.equal(await client.nextText(), 'subscribed')
  fastify.websocketServer.publish('room', LONG)
  for (const client of clients) t.equal(await client.nextText(), LONG)
})

test('only a server with compression listens for `headers`', async (t) => {
  const room = await createRoom(t, 0, { perMessageDeflate: true })
  t.equal(room.server.listenerCount('headers'), 1)
  const plain = await createRoom(t, 0)
  t.equal(plain.server.listenerCount('headers'), 0)
})

test('where an application has removed the listener, nothing is shared', async (t) => {
  const { server, origin } = await serveStreams(t, { perMessageDeflate: true })
  const perMessageDeflate = { serverNoContextTakeover: true }
  await join(t, server, origin, { perMessageDeflate })
  server.removeAllListeners('headers')
  const { socket, client } = await join(t, server, origin, { perMessageDeflate: true })
  socket.subscribe('room')
  server.publish('room', LONG)
  t.equal(await client.nextText(), LONG)
})
