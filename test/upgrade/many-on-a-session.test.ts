// Many WebSockets on one session of HTTP/2: how they share it, and what a server holds of them.
import { once } from 'node:events'
import {
  constants, type ClientHttp2Session, type ClientHttp2Stream, type ServerHttp2Stream
} from 'node:http2'
import { getDefaultHighWaterMark } from 'node:stream'
import { test } from 'tap'
import { kOutbox } from '../../src/stream/symbols'
import { answerTo, ask, H2C, openSession, readUntil, serveHttp2 } from '../helpers/http2'
import { echo, serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

const TEXT = 0x81
const BINARY = 0x82

/** Bytes that may arrive on a stream before it is read: the default of Node.js. */
const WINDOW = 65_535

/** Opens WebSockets, one for each path. */
async function askAll (session: ClientHttp2Session, paths: readonly string[]) {
  const streams = paths.map((path) => ask(session, path))
  for (const stream of streams) await answerTo(stream)
  return streams
}

const HUNDRED = Array.from({ length: 100 }, (_, index) => `/${index}`)

test('of 100 on a session, one that is not read holds up no other', async (t) => {
  const counts = new Map<string, number>()
  let held = (): number => 0
  const { fastify, session } = await serveHttp2(t, {
    plugin: { heartbeat: false },
    declare (fastify) {
      fastify.get('/:id', { websocket: true }, ({ socket }, req, { url }) => {
        if (url === '/0') {
          socket.pause()
          // The types of Fastify are those of HTTP/1.
          const { stream } = req as unknown as { stream: ServerHttp2Stream }
          const { transport } = socket[kOutbox]
          held = () => Number(Object(transport).bytesRead) + stream.readableLength
        }
        socket.on('message', (message) => {
          counts.set(url, (counts.get(url) ?? 0) + 1)
          socket.send(message)
        })
      })
    }
  })
  const streams = await askAll(session, HUNDRED)
  t.equal(fastify.websocketServer.clients.size, HUNDRED.length)
  const [unread, ...others] = streams
  for (let i = 0; i < 5000; i++) unread?.write(frame(BINARY, Buffer.alloc(100)))
  await Promise.all(others.map(async (stream) => {
    for (let i = 0; i < 10; i++) {
      stream.write(frame(TEXT, 'hello'))
      await readUntil(stream, Buffer.from('hello'))
    }
  }))
  t.equal(counts.size, 99)
  t.ok([...counts.values()].every((count) => count === 10))
  t.equal(counts.get('/0'), undefined)
  // The stream and its transport read as much as they hold before the window counts.
  const bound = WINDOW + 2 * getDefaultHighWaterMark(false)
  await until(() => held() >= WINDOW)
  for (let turns = 0; turns < 20; turns++) await turn()
  t.ok(held() <= bound, `${held()} of half a megabyte`)
})

test('one that does not read holds up no other, and is cut off as over HTTP/1', async (t) => {
  const closes: unknown[] = []
  const { session } = await serveHttp2(t, {
    plugin: { maxBackpressure: 100_000 },
    declare (fastify) {
      fastify.get('/echo', { websocket: true }, echo)
      fastify.get('/flood', { websocket: true }, async ({ socket }) => {
        socket.on('close', (code) => { closes.push(code) })
        while (socket.readyState === socket.OPEN) {
          socket.send(Buffer.alloc(10_000))
          await turn()
        }
        // The close frame waits behind what is not read.
        socket.terminate()
      })
    }
  })
  const [deaf, other] = await askAll(session, ['/flood', '/echo'])
  await until(() => closes.length === 1)
  other?.write(frame(TEXT, 'hello'))
  if (other !== undefined) await readUntil(other, Buffer.from('hello'))
  deaf?.resume()
  if (deaf?.closed === false) await once(deaf, 'close')
  t.equal(deaf?.rstCode, constants.NGHTTP2_CANCEL)
  t.same(closes, [1006])
})

test('a thousand that come and go, in each way, leave the session as it was', async (t) => {
  const { fastify, session } = await serveHttp2(t, { plugin: { handle: echo } })
  const closeFrame = frame(0x88, Buffer.from([0x03, 0xe8]))
  const ends: ReadonlyArray<(stream: ClientHttp2Stream) => unknown> = [
    (stream) => stream.end(), (stream) => stream.write(closeFrame), (stream) => stream.close()
  ]
  let count = 0
  const visit = async (): Promise<void> => {
    while (count < 1000) {
      const end = ends[count++ % ends.length]
      const [stream] = await askAll(session, ['/'])
      if (stream === undefined) return
      stream.write(frame(TEXT, 'hello'))
      await readUntil(stream, Buffer.from('hello'))
      end?.(stream)
      stream.resume()
      if (!stream.closed) await once(stream, 'close')
    }
  }
  await Promise.all(HUNDRED.slice(50).map(visit))
  await until(() => fastify.websocketServer.clients.size === 0)
  t.notOk(session.closed)
  t.equal((await answerTo(ask(session, '/'))).status, 200)
})

test('maxConnections counts each of a session', async (t) => {
  const { fastify, session } = await serveHttp2(t, {
    plugin: { handle: echo, maxConnections: 2 }
  })
  const [first] = await askAll(session, ['/', '/'])
  const { status, headers, body } = await answerTo(ask(session, '/'))
  t.equal(status, 503)
  t.match(headers['retry-after'], /^[1-9]/)
  t.match(JSON.parse(body), { code: 'FST_WS_TOO_MANY_CONNECTIONS' })
  first?.close(constants.NGHTTP2_CANCEL)
  await until(() => fastify.websocketServer.clients.size === 1)
  t.equal((await answerTo(ask(session, '/'))).status, 200)
})

test('maxConcurrentStreams of the server limits those of a session', async (t) => {
  const { fastify } = await serve(t, { server: H2C, plugin: { handle: echo } })
  // Fastify has an option for the settings of a server only over TLS.
  fastify.server.once('session', (session) => { session.settings({ maxConcurrentStreams: 1 }) })
  const session = await openSession(t, portOf(fastify.server))
  await until(() => session.remoteSettings.maxConcurrentStreams === 1)
  const [first] = await askAll(session, ['/'])
  const second = ask(session, '/')
  let isAnswered = false
  second.once('response', () => { isAnswered = true })
  first?.write(frame(TEXT, 'hello'))
  if (first !== undefined) await readUntil(first, Buffer.from('hello'))
  t.notOk(isAnswered)
  // Closed by the server: it counts a stream that the client has closed for a moment longer.
  for (const client of fastify.websocketServer.clients) client.terminate()
  await once(second, 'response')
})

const ENDS: Record<string, (server: ClientHttp2Session, client: ClientHttp2Session) => void> = {
  'the server destroys': (server) => { server.destroy() },
  'the server refuses with a GOAWAY': (server) => {
    server.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    server.destroy()
  },
  'the client destroys': (_server, client) => { client.destroy() },
  'the client ends with an error': (_server, client) => {
    client.destroy(new Error('enough'), constants.NGHTTP2_INTERNAL_ERROR)
  }
}

for (const [name, end] of Object.entries(ENDS)) {
  test(`50 on a session that ${name} are all closed with 1006`, async (t) => {
    const uncaught = watchProcess(t)
    const closes: unknown[] = []
    const sessions: ClientHttp2Session[] = []
    const { fastify } = await serve(t, {
      server: H2C,
      plugin: { handle ({ socket }) { socket.on('close', (code) => { closes.push(code) }) } }
    })
    fastify.server.on('session', (session) => { sessions.push(session) })
    const session = await openSession(t, portOf(fastify.server))
    await askAll(session, HUNDRED.slice(50))
    for (const each of sessions) end(each, session)
    await until(() => closes.length === 50)
    t.ok(closes.every((code) => code === 1006))
    t.equal(fastify.websocketServer.clients.size, 0)
    await turn()
    t.same(uncaught, [])
  })
}

test('a GOAWAY of the client lets those that are open go on', async (t) => {
  const { session } = await serveHttp2(t, { plugin: { handle: echo } })
  const [stream] = await askAll(session, ['/'])
  session.goaway()
  for (let i = 0; i < 3; i++) {
    stream?.write(frame(TEXT, 'hello'))
    if (stream !== undefined) await readUntil(stream, Buffer.from('hello'))
  }
  t.notOk(stream?.closed)
})
