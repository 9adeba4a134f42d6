import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'tap'
import { SocketStream } from '../../src/stream/duplex'
import { connect } from '../helpers/client'
import { createPair, flood, record, serveStreams, turn, until } from '../helpers/streams'
import { serve } from '../helpers/plugin'
import { holdTimers } from '../helpers/timers'
import { CERTIFICATE } from '../helpers/tls'
import { isUsual } from '../helpers/transports'

const LIMIT = 256 * 1024
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const CLOSE_TIMEOUT = 54_321
const TRY_AGAIN_LATER = 1013

const TOO_FAR_BEHIND = {
  code: 'FST_WS_BACKPRESSURE',
  message: `more than ${LIMIT} bytes are still unsent to the peer`
}

test('a peer that never reads is cut off, within the limit and after closeTimeout', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const { stream, client } = await createPair(t, {
    maxBackpressure: LIMIT, closeTimeout: CLOSE_TIMEOUT
  })
  const { socket } = stream
  const errors = record(socket, 'error')
  const closes = record(socket, 'close')
  client.socket.pause()
  await flood(socket, CHUNK)
  t.ok(socket.bufferedAmount > LIMIT)
  t.ok(socket.bufferedAmount < LIMIT + 2 * CHUNK.length)
  t.match(errors, [[TOO_FAR_BEHIND]])
  t.equal(errors.length, 1)
  t.ok(stream.destroyed)
  t.same(closes, [])

  const failed = once(stream, 'error')
  timers.run()
  t.match(await failed, [TOO_FAR_BEHIND])
  t.match(closes, [[1006]])
})

test('without a listener for the error nothing is thrown', async (t) => {
  const { stream, client } = await createPair(t, { maxBackpressure: LIMIT })
  client.socket.pause()
  await flood(stream.socket, CHUNK)
  await until(() => stream.destroyed)
  t.match(stream.errored, TOO_FAR_BEHIND)
})

test('the limit holds although fake timers replace setImmediate', async (t) => {
  const { stream, client } = await createPair(t, { maxBackpressure: LIMIT })
  client.socket.pause()
  const { setImmediate } = globalThis
  Object.assign(globalThis, { setImmediate: () => {} })
  // More than the buffers of the system take.
  for (let sent = 0; sent < 256; sent++) stream.socket.send(CHUNK)
  Object.assign(globalThis, { setImmediate })
  await until(() => stream.destroyed)
  t.match(stream.errored, TOO_FAR_BEHIND)
})

test('a peer that reads again in time gets all that was sent before, then 1013', async (t) => {
  const { stream, client } = await createPair(t, { maxBackpressure: LIMIT })
  client.socket.pause()
  const sent = await flood(stream.socket, CHUNK)
  client.socket.resume()
  t.same(await client.closed, { code: TRY_AGAIN_LATER, reason: '' })
  t.equal(client.unread.length, sent)
  t.ok(client.unread.every(({ data }) => data.equals(CHUNK)))
})

test('the callbacks of what is unsent get an error when the peer is cut off', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const { stream: { socket }, client } = await createPair(t, {
    maxBackpressure: LIMIT, closeTimeout: CLOSE_TIMEOUT
  })
  client.socket.pause()
  const results: unknown[] = []
  const sent = await flood(socket, CHUNK, (error) => { results.push(error) })
  timers.run()
  await until(() => results.length === sent)
  t.ok(results.some((result) => result instanceof Error))
  t.notOk(results[0] instanceof Error, 'the first was sent')
})

test('to send after the end throws nothing and reports nothing again', async (t) => {
  const { stream, client } = await createPair(t, { maxBackpressure: LIMIT })
  const { socket } = stream
  const errors = record(socket, 'error')
  client.socket.pause()
  await flood(socket, CHUNK)
  const results: unknown[] = []
  for (let i = 0; i < 100; i++) {
    socket.send(CHUNK)
    socket.send('short')
    socket.send('short', (error) => { results.push(error?.message) })
    await turn()
  }
  t.equal(errors.length, 1)
  t.equal(results.length, 100)
  t.match(results[0], 'WebSocket is not open')
})

/** Fastify has types of its own for an HTTPS server; what tests do with it is the same. */
const HTTPS = { https: CERTIFICATE } as object

for (const [name, data, count] of [
  ['short messages', Buffer.alloc(100, 'x'), 2500], ['long messages', CHUNK, 4]
] as const) {
  for (const scheme of isUsual() ? ['ws', 'wss'] : ['ws']) {
    test(`${scheme}: a burst of ${name} in one tick is not the peer's fault`, async (t) => {
      const { origin } = await serve(t, {
        plugin: {
          maxBackpressure: 1000,
          handle: async ({ socket }) => {
            for (let i = 0; i < count; i++) socket.send(data)
            // It would be judged by now.
            await turn()
            await turn()
            socket.close(4000)
          }
        },
        ...(scheme === 'wss' && { server: HTTPS })
      })
      const client = await connect(t, origin, { rejectUnauthorized: false })
      t.equal((await client.closed).code, 4000)
      t.equal(client.unread.length, count)
    })
  }
}

test('what is written to the stream waits there, whatever the limit', async (t) => {
  const { stream, client } = await createPair(t, { maxBackpressure: 0 })
  client.socket.pause()
  const count = 200
  const chunks = Array.from({ length: count }, () => CHUNK)
  stream.write(CHUNK)
  for (let i = 0; i < 100; i++) {
    stream.write(CHUNK)
    await turn()
  }
  t.equal(stream.socket.readyState, stream.socket.OPEN)
  t.ok(stream.socket.bufferedAmount > 0)
  client.socket.resume()
  await pipeline(Readable.from(chunks), stream)
  t.equal((await client.closed).code, 1000)
  const bytes = client.unread.reduce((sum, { data }) => sum + data.length, 0)
  t.equal(bytes, (1 + 100 + count) * CHUNK.length)
})

for (const maxBackpressure of [undefined, false] as const) {
  test(`without a limit nobody is cut off: ${maxBackpressure}`, async (t) => {
    const { stream: { socket }, client } = await createPair(t, { maxBackpressure })
    client.socket.pause()
    while (socket.bufferedAmount < 16 * 1024 * 1024) {
      socket.send(CHUNK)
      await turn()
    }
    t.equal(socket.readyState, socket.OPEN)
  })
}

test('compressed messages that wait for the peer count', async (t) => {
  const perMessageDeflate = { threshold: 0 }
  const { stream: { socket }, transport, client } = await createPair(
    t, { maxBackpressure: LIMIT, perMessageDeflate }, { perMessageDeflate: true })
  t.match(socket.extensions, 'permessage-deflate')
  client.socket.pause()
  const data = randomBytes(CHUNK.length)
  let sent = 0
  while (socket.readyState === socket.OPEN) {
    socket.send(data)
    sent++
    await turn()
    // Then all of it is compressed, and waits for the peer.
    await until(() => socket.bufferedAmount === transport.writableLength)
  }
  client.socket.resume()
  t.equal((await client.closed).code, TRY_AGAIN_LATER)
  t.equal(client.unread.length, sent)
})

test('what waits for its own compression does not count', async (t) => {
  const perMessageDeflate = { threshold: 0 }
  const { stream: { socket }, client } = await createPair(
    t, { maxBackpressure: 100_000, perMessageDeflate }, { perMessageDeflate: true })
  for (let i = 0; i < 10; i++) socket.send(Buffer.alloc(50_000))
  t.ok(socket.bufferedAmount > 100_000)
  await turn()
  socket.send('last')
  await turn()
  socket.close(4000)
  t.equal((await client.closed).code, 4000)
  t.equal(client.unread.length, 11)
})

test('Blobs that wait to be read do not count', async (t) => {
  const { stream: { socket }, client } = await createPair(t, { maxBackpressure: 1000 })
  const blob = new Blob([Buffer.alloc(2000)])
  // The types of ws lack Blob.
  for (let i = 0; i < 10; i++) socket.send(blob as never)
  t.ok(socket.bufferedAmount > 1000)
  await turn()
  socket.send('last')
  await turn()
  socket.close(4000)
  t.equal((await client.closed).code, 4000)
  t.equal(client.unread.length, 11)
})

test('the others of a broadcast are not disturbed', async (t) => {
  const { server, origin } = await serveStreams(t, { maxBackpressure: LIMIT })
  const clients = []
  for (let i = 0; i < 3; i++) {
    const [client] = await Promise.all([connect(t, origin), once(server, 'stream')])
    clients.push(client)
  }
  const [slow, ...others] = clients
  const [slowSocket] = server.clients
  slow?.socket.pause()
  let sent = 0
  // Those that read set the pace.
  while (slowSocket?.readyState === slowSocket?.OPEN) {
    for (const socket of server.clients) socket.send(CHUNK)
    sent++
    await until(() => others.every(({ unread }) => unread.length === sent))
    await turn()
  }
  slow?.socket.resume()
  t.equal((await slow?.closed)?.code, TRY_AGAIN_LATER)
  t.equal(slow?.unread.length, sent)
  t.same(others.map(({ socket }) => socket.readyState), [1, 1])
})

test('the limit may be that of a stream which the user makes of a socket', async (t) => {
  const { server, origin } = await serveStreams(t)
  server.removeAllListeners('connection')
  const [[socket], client] = await Promise.all([once(server, 'connection'), connect(t, origin)])
  const stream = new SocketStream(socket, { maxBackpressure: LIMIT })
  client.socket.pause()
  await flood(stream.socket, CHUNK)
  t.match(stream.errored, TOO_FAR_BEHIND)
})
