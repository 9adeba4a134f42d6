// An upgrade over HTTP/2: its request, its answer, and its end.
import { once } from 'node:events'
import { constants, type OutgoingHttpHeaders } from 'node:http2'
import { Duplex } from 'node:stream'
import { test } from 'tap'
import type { FastifyReply } from 'fastify'
import { answerTo, ask, readUntil, serveHttp2 } from '../helpers/http2'
import { Logs } from '../helpers/logs'
import { echo, say } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'
import { createGate } from '../helpers/upgrades'

const TEXT = 0x81
const CLOSE = 0x88
const NORMAL = Buffer.from([0x03, 0xe8])
const HELLO = Buffer.from([TEXT, 5, ...Buffer.from('hello')])

test('an upgrade runs the hooks and the handler of its route as one of HTTP/1', async (t) => {
  const seen: unknown[] = []
  const { session } = await serveHttp2(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (_request, reply) => {
        seen.push(reply.raw.statusCode)
        reply.header('set-cookie', ['a=1', 'b=2']).header('x-two', ['1', '2'])
        reply.header('connection', 'keep-alive').header('keep-alive', 'timeout=5')
        reply.raw.setHeader('upgrade', 'x')
        reply.raw.appendHeader('transfer-encoding', 'chunked')
        reply.raw.appendHeader('x-raw', 'yes')
        reply.raw.statusMessage = 'Switching'
      })
      fastify.addHook('onResponse', async () => { seen.push('onResponse') })
      fastify.get('/rooms/:id', { websocket: true }, ({ socket }, req, request) => {
        seen.push(req.httpVersion, req.method, request.params, request.ws, req.headers.upgrade)
        // Each of them does nothing any more.
        request.raw.resume()
        socket.send('hello')
      })
    }
  })
  const stream = ask(session, '/rooms/7/?x=1')
  const { status, headers } = await answerTo(stream)
  t.equal(status, 200)
  t.match(headers, { 'set-cookie': ['a=1', 'b=2'], 'x-two': '1, 2', 'x-raw': 'yes' })
  for (const name of ['connection', 'keep-alive', 'upgrade', 'transfer-encoding']) {
    t.notOk(name in headers, name)
  }
  t.notOk('sec-websocket-accept' in headers)
  await readUntil(stream, HELLO)
  await until(() => seen.length === 7)
  t.same(seen.slice(0, 1), [101])
  t.same(seen.filter((each) => each !== 101 && each !== 'onResponse'), [
    '2.0', 'GET', { id: '7' }, true, undefined
  ])
})

test('messages, and the closing handshake, after which the stream is closed', async (t) => {
  const closes: unknown[] = []
  const { session } = await serveHttp2(t, {
    plugin: {
      handle (connection, req) {
        echo.call(this as never, connection as never, req as never, undefined as never)
        req.on('close', () => { closes.push('request') })
        connection.socket.on('close', (code) => { closes.push(code) })
      }
    }
  })
  const stream = ask(session, '/')
  stream.write(frame(TEXT, 'hello'))
  t.equal((await answerTo(stream)).status, 200)
  await readUntil(stream, HELLO)
  stream.write(frame(CLOSE, NORMAL))
  await readUntil(stream, Buffer.from([CLOSE, 2, ...NORMAL]))
  // The client leaves its side open, as Firefox does.
  await once(stream, 'close')
  t.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
  await until(() => closes.length === 2)
  t.same(closes.sort(), [1000, 'request'])
})

const ENDS: Record<string, (stream: ReturnType<typeof ask>) => void> = {
  'a reset': (stream) => { stream.close(constants.NGHTTP2_CANCEL) },
  'an end without a close frame': (stream) => { stream.end() },
  'a lost session': (stream) => { stream.session?.destroy() }
}

for (const [name, end] of Object.entries(ENDS)) {
  test(`${name} is code 1006, and an error for the reader of the stream`, async (t) => {
    const uncaught = watchProcess(t)
    const ends: unknown[] = []
    const { session } = await serveHttp2(t, {
      plugin: {
        errorHandler: (error) => { ends.push(error) },
        handle (connection) {
          connection.resume()
          connection.socket.on('close', (code) => { ends.push(code) })
        }
      }
    })
    const stream = ask(session, '/')
    await answerTo(stream)
    end(stream)
    await until(() => ends.length === 2)
    t.match(ends.find((each) => each !== 1006), { code: 'FST_WS_ABNORMAL_CLOSE' })
    t.ok(ends.includes(1006))
    t.same(uncaught, [])
  })
}

test('terminate() resets the stream with CANCEL, behind what was sent', async (t) => {
  const { session } = await serveHttp2(t, {
    plugin: {
      handle ({ socket }) {
        socket.on('message', () => {
          socket.send('hello')
          socket.terminate()
        })
      }
    }
  })
  const stream = ask(session, '/')
  await answerTo(stream)
  stream.write(frame(TEXT, 'go'))
  await readUntil(stream, HELLO)
  await once(stream, 'close')
  t.equal(stream.rstCode, constants.NGHTTP2_CANCEL)
  t.notOk(session.destroyed)
})

// --- Refusals ---

const REFUSALS: Record<string, readonly [status: number, (reply: FastifyReply) => unknown]> = {
  'an error': [403, (reply) => reply.code(403).header('connection', 'close').send('no')],
  'a redirect': [302, (reply) => reply.redirect('/elsewhere')],
  'a success': [500, (reply) => reply.send('yes')],
  'a raw success': [500, (reply) => reply.hijack().raw.end('yes')],
  'a raw success in parts': [500, (reply) => {
    reply.hijack().raw.write('yes')
    reply.raw.end()
  }],
  'a raw error': [418, (reply) => {
    reply.hijack().raw.writeHead(418, { 'x-tea': 'yes', connection: 'close' })
    reply.raw.write('te')
    reply.raw.end('a')
  }],
  101: [500, (reply) => reply.code(101).send()],
  'a header that cannot be sent': [500, (reply) => {
    reply.raw.writeHead(403, { 'a b': 'c' })
  }]
}

for (const [name, [status, refuse]] of Object.entries(REFUSALS)) {
  test(`a hook that answers with ${name} refuses the upgrade with ${status}`, async (t) => {
    const uncaught = watchProcess(t)
    const { session } = await serveHttp2(t, {
      declare: (fastify) => {
        fastify.get('/', {
          websocket: true,
          preHandler: (_request, reply, done) => {
            try {
              refuse(reply)
            } catch (error) {
              done(error as Error)
            }
          }
        }, say('hello'))
      }
    })
    const stream = ask(session, '/')
    t.equal((await answerTo(stream)).status, status)
    if (!stream.closed) await once(stream, 'close')
    t.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
    t.same(uncaught, [])
  })
}

test('an answer in onSend, and a stream as the body, are a refusal as well', async (t) => {
  const body = Buffer.alloc(500_000, 'x')
  const { session } = await serveHttp2(t, {
    declare (fastify) {
      fastify.get('/late', {
        websocket: true, onSend: async (_request, reply) => { reply.code(204) }
      }, echo)
      fastify.get('/long', {
        websocket: true,
        preHandler: (_request, reply, _done) => {
          reply.code(403).send(Duplex.from([body.subarray(0, 1000), body.subarray(1000)]))
        }
      }, echo)
    }
  })
  t.equal((await answerTo(ask(session, '/late'))).status, 500)
  const long = await answerTo(ask(session, '/long'))
  t.equal(long.status, 403)
  t.equal(long.body.length, body.length)
})

const MALFORMED: ReadonlyArray<readonly [
  number, string, OutgoingHttpHeaders, { endStream?: boolean }?
]> = [
  [400, 'a Host beside another :authority', { ':authority': 'a.example', host: 'b.example' }],
  [400, 'a body', { 'content-length': '3' }],
  [400, 'an end with the head', {}, { endStream: true }],
  [426, 'another version', { 'sec-websocket-version': '7' }],
  [400, 'a malformed extension', { 'sec-websocket-extensions': 'a;;' }]
]

for (const [status, name, headers, options] of MALFORMED) {
  test(`an upgrade with ${name} is refused with ${status}`, async (t) => {
    const { session } = await serveHttp2(t, {
      plugin: { handle: echo, options: { perMessageDeflate: true } }
    })
    t.equal((await answerTo(ask(session, '/', headers, options))).status, status)
  })
}

test('Host and :authority may differ in upper and lower case', async (t) => {
  const { session } = await serveHttp2(t, { plugin: { handle: echo } })
  const headers = { ':authority': 'Example.com', host: 'example.COM' }
  t.equal((await answerTo(ask(session, '/', headers))).status, 200)
})

test('a wsClientError listener that answers on the Duplex is heard', async (t) => {
  const { fastify, session } = await serveHttp2(t, { plugin: { handle: echo } })
  const answers = [
    'HTTP/1.1 418 Tea\r\nX-Tea: yes\r\nConnection: close\r\n\r\nno coffee', 'HTTP/1.1 418', ''
  ]
  fastify.websocketServer.on('wsClientError', (_error, socket) => {
    const [answer = ''] = answers.splice(0, 1)
    if (answers.length === 2) socket.cork()
    socket.write(answer.slice(0, 5))
    socket.end(answer.slice(5))
    socket.uncork()
  })
  const headers = { 'sec-websocket-protocol': 'a,,' }
  const { status, headers: sent, body } = await answerTo(ask(session, '/', headers))
  t.equal(status, 418)
  t.equal(sent['x-tea'], 'yes')
  t.equal(body, 'no coffee')
  // Half a head, and no head.
  for (let i = 0; i < 2; i++) {
    const stream = ask(session, '/', headers)
    await once(stream, 'close')
    t.equal(stream.rstCode, constants.NGHTTP2_CANCEL)
  }
})

test('a header of the handshake that cannot be sent is refused with 500', async (t) => {
  const { fastify, session } = await serveHttp2(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('headers', (lines) => { lines.push('etag: 1', 'etag: 2') })
  const stream = ask(session, '/')
  t.equal((await answerTo(stream)).status, 500)
  if (!stream.closed) await once(stream, 'close')
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('a client that leaves while a hook waits is not accepted when the hook goes on', async (t) => {
  const uncaught = watchProcess(t)
  const { open, opened } = createGate()
  const seen: unknown[] = []
  const { fastify, session } = await serveHttp2(t, {
    plugin: { handle () { seen.push('handler') } },
    declare (fastify) {
      fastify.addHook('onRequest', async () => { stream.close(constants.NGHTTP2_CANCEL) })
      fastify.addHook('preHandler', async () => {
        await opened
        seen.push('preHandler')
      })
      fastify.addHook('onRequestAbort', async ({ url }) => { seen.push(url) })
    }
  })
  const stream = ask(session, '/gone')
  await until(() => seen.length === 1)
  open()
  await until(() => seen.length === 2)
  await fastify.close()
  t.strictSame(seen, ['/gone', 'preHandler'])
  const { accepted, refused } = fastify.websocketServer.stats()
  t.strictSame({ accepted, refused }, { accepted: 0, refused: [] })
  t.strictSame(uncaught, [])
})

test('an upgrade that hooks have not decided at closeTimeout is reset', async (t) => {
  const hooked = createGate()
  const { fastify, session } = await serveHttp2(t, {
    plugin: { handle: echo, closeTimeout: 30 },
    declare: (fastify) => fastify.addHook('onRequest', () => { hooked.open() })
  })
  const stream = ask(session, '/')
  await hooked.opened
  await fastify.close()
  if (!stream.closed) await once(stream, 'close')
  t.equal(stream.rstCode, constants.NGHTTP2_CANCEL)
})

test('after the handshake, the response does nothing', async (t) => {
  const logs = new Logs()
  const { session } = await serveHttp2(t, {
    server: { logger: logs.logger },
    declare (fastify) {
      let reply: FastifyReply
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, given) => {
          reply = given
          given.raw.cork()
        }
      }, ({ socket }, req) => {
        const { raw } = reply
        raw.write('x')
        raw.end('x')
        raw.destroy()
        socket.send(String(raw.writableEnded && raw.finished && raw.headersSent && !req.aborted))
      })
    }
  })
  const stream = ask(session, '/')
  t.equal((await answerTo(stream)).status, 200)
  await readUntil(stream, Buffer.from('true'))
})

test('before it, the response can destroy the stream', async (t) => {
  const { session } = await serveHttp2(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('onRequest', (_request, reply) => {
      reply.hijack().raw.destroy()
    })
  })
  const stream = ask(session, '/')
  await once(stream, 'close')
  t.ok(stream.destroyed)
})

test('a hook that destroys the stream of an upgrade ends it', async (t) => {
  const uncaught = watchProcess(t)
  let handled = 0
  const { fastify, session } = await serveHttp2(t, {
    plugin: { handle () { handled++ } },
    declare: (fastify) => fastify.addHook('onSend', (request, _reply, payload, done) => {
      // The types of Fastify are those of HTTP/1.
      const { stream } = request.raw as unknown as { stream: Duplex }
      stream.destroy()
      done(null, payload)
    })
  })
  const stream = ask(session, '/')
  await once(stream, 'close')
  await fastify.close()
  t.equal(handled, 0)
  t.same(uncaught, [])
})
