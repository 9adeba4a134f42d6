// WebSockets over HTTP/2 with a client that shares no code with the server. The servers are as
// Fastify makes them: only the option `extendedConnect` of the plugin turns WebSockets on.
import { constants as http2, type OutgoingHttpHeaders } from 'node:http2'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { WebsocketPluginOptions } from '../../src/types'
import { connect } from '../helpers/client'
import { answerTo, ask, BOTH, H2, H2C, openSession } from '../helpers/http2'
import { echo, say, serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import {
  BINARY, CLOSE, closeWith, COMPRESSED, CONTINUATION, DEFLATE_TAIL, FIN, maskedFrame, PING, PONG,
  StreamClient, TEXT
} from '../helpers/stream-client'
import { until } from '../helpers/streams'
import { CERTIFICATE } from '../helpers/tls'

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = http2

/** A message is no whole stream of deflate: it ends with a flush. */
const FLUSH = { finishFlush: constants.Z_SYNC_FLUSH }

const SERVERS: Record<string, readonly [scheme: string, options: object]> = {
  'HTTP/2 without TLS': ['http', H2C],
  'HTTP/2 alone': ['https', H2],
  'HTTP/2 beside HTTP/1': ['https', BOTH]
}

function declare (fastify: FastifyInstance): void {
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/rooms/:id', { websocket: true }, ({ socket }, _req, { params, query, headers }) => {
    socket.send(JSON.stringify({ params, query, cookie: headers.cookie }))
  })
  fastify.get('/bye', { websocket: true }, ({ socket }) => { socket.close(4001, 'bye') })
  fastify.get('/cut', { websocket: true }, ({ socket }) => { socket.terminate() })
  fastify.get('/flood', { websocket: true }, ({ socket }) => {
    for (let i = 0; i < 300; i++) socket.send(Buffer.alloc(10_000, i))
    socket.close()
  })
  fastify.get('/private', {
    websocket: true, preHandler: async (_request, reply) => reply.code(401).send({ no: 'ü' })
  }, say('no'))
}

for (const [name, [scheme, server]] of Object.entries(SERVERS)) {
  /** A server, and functions that ask for a WebSocket and that open one. */
  const start = async (t: Test, { options, ...plugin }: WebsocketPluginOptions = {}) => {
    const { fastify } = await serve(t, {
      server, declare, plugin: { ...plugin, options: { ...options, extendedConnect: true } }
    })
    const session = await openSession(t, portOf(fastify.server), scheme)
    const askFor = (path: string, headers: OutgoingHttpHeaders = {}) => {
      return ask(session, path, { ':scheme': scheme, ...headers })
    }
    const open = async (path: string, headers?: OutgoingHttpHeaders) => {
      const stream = askFor(path, headers)
      t.equal((await answerTo(stream)).status, 200)
      return new StreamClient(stream)
    }
    return { fastify, askFor, open }
  }

  test(`${name}: messages of each kind and size come back`, async (t) => {
    const { open } = await start(t)
    const client = await open('/echo')
    client.write(frame(FIN | TEXT, 'hällo'), frame(FIN | BINARY, Buffer.of(0, 255)))
    t.same(await client.next(), [FIN | TEXT, Buffer.from('hällo')])
    t.same(await client.next(), [FIN | BINARY, Buffer.of(0, 255)])
    client.write(frame(TEXT, 'hel'), frame(FIN | PING, 'x'), frame(FIN | CONTINUATION, 'lo'))
    t.same(await client.next(), [FIN | PONG, Buffer.from('x')])
    t.same(await client.next(), [FIN | TEXT, Buffer.from('hello')])
    for (const length of [126, 65_535, 65_536, 1_000_000]) {
      const payload = Buffer.alloc(length, 'abcdefg')
      client.write(maskedFrame(FIN | BINARY, payload))
      const [first, received] = await client.next()
      t.equal(first, FIN | BINARY)
      t.ok(received.equals(payload), `${length} bytes`)
    }
  })

  test(`${name}: the request has its path, its headers and its subprotocol`, async (t) => {
    const { askFor } = await start(t)
    const stream = askFor('/rooms/7?a=b', {
      cookie: 'c=d', 'sec-websocket-protocol': 'one, two', ':authority': 'example.com'
    })
    const { status, headers } = await answerTo(stream)
    t.equal(status, 200)
    t.equal(headers['sec-websocket-protocol'], 'one')
    const [, text] = await new StreamClient(stream).next()
    t.same(JSON.parse(String(text)), { params: { id: '7' }, query: { a: 'b' }, cookie: 'c=d' })
  })

  test(`${name}: messages are compressed, both ways`, async (t) => {
    const { askFor } = await start(t, { options: { perMessageDeflate: { threshold: 0 } } })
    const stream = askFor('/echo', {
      'sec-websocket-extensions': 'permessage-deflate; server_no_context_takeover'
    })
    const { headers } = await answerTo(stream)
    t.match(headers['sec-websocket-extensions'], /^permessage-deflate/)
    const client = new StreamClient(stream)
    const payload = Buffer.alloc(10_000, 'abc')
    const deflated = deflateRawSync(payload, FLUSH).subarray(0, -DEFLATE_TAIL.length)
    client.write(maskedFrame(FIN | COMPRESSED | TEXT, deflated))
    const [first, packed] = await client.next()
    t.equal(first, FIN | COMPRESSED | TEXT)
    t.ok(packed.length < 1000)
    t.ok(inflateRawSync(Buffer.concat([packed, DEFLATE_TAIL]), FLUSH).equals(payload))
  })

  test(`${name}: each side can close, and the stream ends without an error`, async (t) => {
    const { open } = await start(t)
    const told = await open('/bye')
    t.same(await told.next(), [FIN | CLOSE, closeWith(4001, 'bye')])
    told.write(frame(FIN | CLOSE, closeWith(4001)))
    t.equal(await told.end(), NGHTTP2_NO_ERROR)
    const client = await open('/echo')
    client.write(frame(FIN | CLOSE, closeWith(4000)))
    t.same(await client.next(), [FIN | CLOSE, closeWith(4000)])
    t.equal(await client.end(), NGHTTP2_NO_ERROR)
  })

  const BREACHES: Record<string, readonly [code: number, frames: Buffer]> = {
    'no mask': [1002, Buffer.of(FIN | TEXT, 1, 97)],
    'an unknown opcode': [1002, frame(FIN | 3)],
    'text that is no UTF-8': [1007, frame(FIN | TEXT, Buffer.of(255))],
    'a message that is too large': [1009, frame(FIN | TEXT, 'x'.repeat(101))]
  }

  for (const [breach, [code, frames]] of Object.entries(BREACHES)) {
    test(`${name}: ${breach} is closed with ${code}`, async (t) => {
      const { fastify, open } = await start(t, { options: { maxPayload: 100 } })
      const client = await open('/echo')
      client.write(frames)
      t.same(await client.next(), [FIN | CLOSE, closeWith(code)])
      await client.end()
      await until(() => fastify.websocketServer.clients.size === 0)
    })
  }

  test(`${name}: a client that answers no ping is cut off, another is not`, async (t) => {
    const { fastify, open } = await start(t, { heartbeat: 200 })
    const [silent, alive] = [await open('/echo'), await open('/echo')]
    const cutOff = silent.end()
    while (!silent.stream.closed) {
      const [first, payload] = await alive.next()
      t.equal(first, FIN | PING)
      alive.write(frame(FIN | PONG, payload))
    }
    t.equal(await cutOff, NGHTTP2_CANCEL)
    t.equal(fastify.websocketServer.clients.size, 1)
    t.equal(fastify.websocketServer.stats().unresponsive, 1)
  })

  test(`${name}: a client that reads late gets all, in order`, async (t) => {
    const { open } = await start(t)
    const client = await open('/flood')
    // It has read nothing, so what does not fit into its window waits.
    for (let i = 0; i < 300; i++) {
      t.same(await client.next(), [FIN | BINARY, Buffer.alloc(10_000, i)])
    }
    t.same((await client.next())[0], FIN | CLOSE)
  })

  test(`${name}: a refusal, terminate() and the end of the application`, async (t) => {
    const { fastify, askFor, open } = await start(t)
    const { status, body } = await answerTo(askFor('/private'))
    t.equal(status, 401)
    t.equal(body, '{"no":"ü"}')
    t.equal((await answerTo(askFor('/none'))).status, 404)
    t.equal(await (await open('/cut')).end(), NGHTTP2_CANCEL)
    const client = await open('/echo')
    const closed = fastify.close()
    t.same(await client.next(), [FIN | CLOSE, closeWith(1001)])
    client.write(frame(FIN | CLOSE, closeWith(1001)))
    t.equal(await client.end(), NGHTTP2_NO_ERROR)
    await closed
  })
}

test('clients of HTTP/1 are served beside them', async (t) => {
  const { fastify } = await serve(t, {
    server: BOTH, plugin: { options: { extendedConnect: true } }, declare
  })
  const client = await connect(t, `wss://127.0.0.1:${portOf(fastify.server)}/echo`, {
    ca: CERTIFICATE.cert
  })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})
