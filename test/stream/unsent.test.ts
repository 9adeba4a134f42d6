// A success that is told is one: `finish`, a resolved pipeline and a callback without an error mean
// that the bytes have left the process.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect as connectTls } from 'node:tls'
import { test } from 'tap'
import { WebSocket } from 'ws'
import fastifyWebsocket from '../../src/index'
import type { WebSocketStreamServerOptions } from '../../src/stream/server'
import type { SocketStream } from '../../src/stream/duplex'
import type { WebsocketPluginOptions } from '../../src/types'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { createFastify } from '../helpers/servers'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'
import { CERTIFICATE } from '../helpers/tls'

const MB = 1024 * 1024
/** More than a system takes for a peer that does not read. */
const BIG = Buffer.alloc(32 * MB, 'x')
const CLOSE = 0x88
const CLOSE_1000 = frame(CLOSE, Buffer.from([3, 232]))

/** An error that says: the bytes did not leave. */
const LOST = /^(FST_WS_UNSENT|ECANCELED|ECONNRESET|EPIPE|ERR_STREAM_DESTROYED)$/

type Answer = Error | null | undefined

/** What a callback gets. */
function answerOf (start: (callback: (error?: Error | null) => void) => void): Promise<Answer> {
  return new Promise((resolve) => { start(resolve) })
}

/** What a pipeline of a single chunk into the connection comes to. */
function pipe (chunk: Buffer, stream: SocketStream): Promise<unknown> {
  return pipeline(Readable.from([chunk]), stream).then(() => 'resolved', (error) => error.code)
}

for (const tls of [false, true]) {
  test(`a pipeline into a connection that is reset rejects, ${tls ? 'TLS' : 'TCP'}`, async (t) => {
    const errors: unknown[] = []
    let connection: SocketStream | undefined
    let result: Promise<unknown> | undefined
    let finished: unknown[][] = []
    const plugin: WebsocketPluginOptions = {
      errorHandler: (error) => { errors.push(error) },
      handle: (stream) => {
        connection = stream
        finished = record(stream, 'finish')
        result = pipe(BIG, stream)
      }
    }
    // Fastify has types of its own for an HTTPS server.
    const https = { https: CERTIFICATE } as object
    const { origin } = await serve(t, { plugin, ...(tls && { server: https }) })
    const port = Number(new URL(origin).port)
    const client = new RawClient(t, port, tls
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : undefined)
    client.write(upgradeHead('/'))
    await client.until('\r\n\r\n')
    client.socket.pause()
    await until(() => connection?.socket.readyState === connection?.socket.CLOSING)
    await turn()
    // Over TLS, too: what the client has not read makes a reset of it.
    client.socket.destroy()
    t.match(await result, 'FST_WS_UNSENT')
    t.match(errors, [{ code: 'FST_WS_UNSENT' }])
    t.equal(errors.length, 1)
    t.strictSame(finished, [])
  })
}

test('a pipeline into an injected connection that is cut off rejects', async (t) => {
  const errors: unknown[] = []
  let connection: SocketStream | undefined
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    errorHandler: (error) => { errors.push(error) },
    handle: (stream) => { connection = stream }
  })
  await fastify.ready()
  const client = await fastify.injectWS('/')
  await until(() => connection !== undefined)
  if (connection === undefined) return
  client.pause()
  // As much as the client takes for a reader that has paused, and less than the high-water mark.
  while (connection.socket.bufferedAmount === 0) {
    connection.socket.send(Buffer.alloc(60_000))
    await turn()
  }
  const result = pipe(BIG, connection)
  await until(() => connection?.socket.readyState === WebSocket.CLOSING)
  client.terminate()
  t.match(await result, 'FST_WS_UNSENT')
  t.match(errors, [{ code: 'FST_WS_UNSENT' }])
})

const unsentOptions: Array<[string, WebSocketStreamServerOptions]> = [
  ['in byte mode', {}],
  ['in object mode', { objectMode: true }],
  ['while compressing', { perMessageDeflate: { threshold: 0 } }]
]
for (const [name, options] of unsentOptions) {
  test(`end(chunk) calls back with an error when the peer resets, ${name}`, async (t) => {
    const { stream, client } = await createPair(t, options, { perMessageDeflate: true })
    const finishes = record(stream, 'finish')
    const errors = record(stream, 'error')
    client.socket.pause()
    const answer = answerOf((callback) => { stream.end(BIG, callback) })
    await turn()
    client.socket.terminate()
    t.ok(await answer instanceof Error)
    await until(() => stream.closed)
    t.strictSame(finishes, [])
    t.match(errors, [[{ code: 'FST_WS_UNSENT' }]])
  })
}

test('chunks that were written while corked do not finish when the peer resets', async (t) => {
  const { stream, client } = await createRawPair(t, { objectMode: true })
  const finishes = record(stream, 'finish')
  client.socket.pause()
  stream.cork()
  for (let i = 0; i < 4; i++) stream.write(BIG.subarray(0, 8 * MB))
  stream.uncork()
  stream.end()
  await turn()
  client.socket.resetAndDestroy()
  t.match(await once(stream, 'error'), [{ code: LOST }])
  t.strictSame(finishes, [])
})

type Send = (stream: SocketStream, callback: (error?: Error | null) => void) => void

const sends: Record<string, Send> = {
  'send of much': ({ socket }, callback) => { socket.send(BIG, callback) },
  'send of little behind it': ({ socket }, callback) => {
    socket.send(BIG)
    socket.send('little', { binary: false }, callback)
  },
  'ping(callback)': ({ socket }, callback) => {
    socket.send(BIG)
    // The types of ws do not know that the callback may come first.
    socket.ping(callback as never)
  },
  'pong(data, mask, callback)': ({ socket }, callback) => {
    socket.send(BIG)
    socket.pong('pong', false, callback)
  },
  'write beyond the high-water mark': (stream, callback) => {
    stream.on('error', () => {})
    stream.write(BIG)
    stream.write('little', callback)
  }
}
for (const [name, send] of Object.entries(sends)) {
  for (const end of ['resetAndDestroy', 'destroy'] as const) {
    test(`the callback of ${name} gets an error when the peer leaves: ${end}`, async (t) => {
      const { stream, client } = await createRawPair(t)
      client.socket.pause()
      const answer = answerOf((callback) => { send(stream, callback) })
      await turn()
      client.socket[end]()
      // A peer that does not read leaves with a reset in both ways.
      t.match(await answer, { code: LOST })
    })
  }
}

test('a send whose transport the application destroys calls back with an error', async (t) => {
  const { stream: { socket }, transport } = await createPair(t)
  const answer = answerOf((callback) => { socket.send('unsent', callback) })
  transport.destroy()
  t.match(await answer, { code: LOST })
})

test('terminate gives an error to the callbacks of what is cut off, and no other', async (t) => {
  const { stream: { socket }, client } = await createRawPair(t)
  client.socket.pause()
  const little = answerOf((callback) => { socket.send('little', callback) })
  t.notOk(await little)
  const much = answerOf((callback) => { socket.send(BIG, callback) })
  socket.terminate()
  t.match(await much, { code: LOST })
})

test('a callback of what terminate still sent has no error', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const answer = answerOf((callback) => { socket.send('last', callback) })
  socket.terminate()
  t.notOk(await answer)
  t.equal(await client.nextText(), 'last')
})

test('to terminate what is unsent is no error of the stream, and no finish', async (t) => {
  const { stream, client } = await createRawPair(t)
  const finishes = record(stream, 'finish')
  const errors = record(stream, 'error')
  client.socket.pause()
  stream.end(BIG)
  await turn()
  stream.socket.terminate()
  await once(stream, 'close')
  stream.socket.terminate()
  t.strictSame([...finishes, ...errors], [])
})

for (const isRead of [false, true]) {
  const who = isRead ? 'a reader' : 'nobody'
  test(`what is unsent when a clean close breaks is an error, with ${who} reading`, async (t) => {
    const { stream, client } = await createRawPair(t)
    const finishes = record(stream, 'finish')
    if (isRead) stream.resume()
    client.socket.pause()
    stream.write(BIG)
    await turn()
    // The answer of ws waits behind what is unsent.
    client.write(CLOSE_1000)
    await until(() => stream.socket.readyState === stream.socket.CLOSING)
    const failure = once(stream, 'error')
    client.socket.resetAndDestroy()
    t.match(await failure, [{ code: 'FST_WS_UNSENT' }])
    t.equal(stream.closeCode, 1000)
    t.strictSame(finishes, [])
  })
}

test('a message of the same tick and its close have left when the peer answers', async (t) => {
  const { stream, client } = await createPair(t)
  const errors = record(stream, 'error')
  stream.write(Buffer.alloc(100_000))
  stream.socket.send('last')
  stream.socket.close(1000)
  await once(stream, 'close')
  t.equal(client.unread.length, 2)
  t.strictSame(errors, [])
})

test('end() after a connection was lost fails, and what came is read before', async (t) => {
  const { stream, client } = await createRawPair(t)
  const finishes = record(stream, 'finish')
  stream.once('readable', () => {})
  client.write(frame(0x82, 'kept'))
  await until(() => stream.readableLength === 4)
  client.socket.resetAndDestroy()
  await once(stream.socket, 'close')
  stream.end()
  const failure = once(stream, 'error')
  t.equal(String(stream.read()), 'kept')
  t.match(await failure, [{ code: 'FST_WS_ABNORMAL_CLOSE' }])
  t.strictSame(finishes, [])
})

test('a peer that never reads has no finish, and an error after closeTimeout', async (t) => {
  const { stream, client } = await createRawPair(t, { closeTimeout: 20 })
  const finishes = record(stream, 'finish')
  client.socket.pause()
  const answer = answerOf((callback) => { stream.end(BIG, callback) })
  t.match(await once(stream, 'error'), [{ code: 'FST_WS_CLOSE_TIMEOUT' }])
  t.ok(await answer instanceof Error)
  t.strictSame(finishes, [])
})

test('a close frame that does not leave any more is an error of the stream', async (t) => {
  const { stream, transport } = await createPair(t)
  const finishes = record(stream, 'finish')
  stream.end()
  transport.destroy()
  t.match(await once(stream, 'error'), [{ code: 'FST_WS_UNSENT' }])
  t.strictSame(finishes, [])
})

test('a client that leaves after it has got all is no error', async (t) => {
  const { stream, client } = await createPair(t)
  const errors = record(stream, 'error')
  stream.end(Buffer.alloc(2 * MB))
  await once(stream, 'finish')
  t.equal((await client.next()).data.length, 2 * MB)
  client.socket.terminate()
  await once(stream, 'close')
  t.strictSame(errors, [])
})

test('a second connection does not learn of the fate of the first', async (t) => {
  const { server, stream, client } = await createPair(t)
  const [[other], second] = await Promise.all([
    once(server, 'stream'), connect(t, client.socket.url)
  ])
  client.socket.pause()
  stream.end(BIG)
  await turn()
  client.socket.terminate()
  await once(stream, 'error')
  await pipeline(Readable.from(['well']), other)
  t.equal(await second.nextText(), 'well')
})
