// What peers and hooks do to the stream of an upgrade over HTTP/2 itself, past the request and the
// response. No connection, no undecided upgrade and no count may be left by it.
import { once } from 'node:events'
import { constants, type Http2ServerRequest, type ServerHttp2Stream } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { test } from 'tap'
import { answerTo, ask, H2C, serveHttp2 } from '../helpers/http2'
import { echo, say, serve } from '../helpers/plugin'
import { frame, RawClient } from '../helpers/raw'
import { askFrame, http2Frame, OPENING, resetFrame } from '../helpers/raw-http2'
import { portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'
import type { WebsocketHandler } from '../../src/index'

const TEXT = 0x81
const { NGHTTP2_NO_ERROR: NO_ERROR, NGHTTP2_CANCEL: CANCEL } = constants

/** Longer than a test may take: what waits for it never ends. */
const PLUGIN = { closeTimeout: 600_000 }

type Hook = (request: FastifyRequest, reply: FastifyReply) => unknown

/** The types of Fastify are those of HTTP/1. */
function streamOf ({ raw }: FastifyRequest): ServerHttp2Stream {
  return (raw as unknown as Http2ServerRequest).stream
}

/** Serves one route, whose upgrades run the hook. */
function serveHook (t: Parameters<typeof serveHttp2>[0], hook: Hook) {
  return serveHttp2(t, {
    plugin: PLUGIN,
    declare: (fastify) => fastify.get('/', {
      websocket: true, preHandler: async (request, reply) => await hook(request, reply)
    }, say('hello'))
  })
}

// --- A peer resets the stream of a connection ---

const HANDLERS: Record<string, WebsocketHandler> = {
  'that is read': echo,
  'that is paused': ({ socket }) => { socket.pause() }
}

for (const [name, handler] of Object.entries(HANDLERS)) {
  for (const code of [NO_ERROR, CANCEL]) {
    test(`a reset with the code ${code} ends a connection ${name}`, async (t) => {
      const closes: unknown[] = []
      const { fastify } = await serve(t, {
        server: H2C,
        plugin: PLUGIN,
        declare: (fastify) => fastify.get('/', { websocket: true }, function (connection, ...rest) {
          connection.socket.on('close', (closeCode) => { closes.push(closeCode) })
          return handler.call(this, connection, ...rest)
        })
      })
      const client = new RawClient(t, portOf(fastify.server))
      client.write(Buffer.concat([
        OPENING, askFrame(1, '/'), http2Frame('DATA', 1, frame(TEXT, 'hello')), resetFrame(1, code)
      ]))
      await until(() => closes.length === 1)
      t.strictSame(closes, [1006])
      t.equal(fastify.websocketServer.clients.size, 0)
      t.notOk(client.socket.destroyed, 'the session goes on')
      client.socket.destroy()
    })
  }
}

test('a reset ends an upgrade that waits, although a hook has begun to read', async (t) => {
  const ends: unknown[] = []
  const { fastify } = await serve(t, {
    server: H2C,
    plugin: { ...PLUGIN, handle: echo },
    declare: (fastify) => fastify.addHook('onRequest', async (request) => {
      const stream = streamOf(request)
      stream.on('data', () => {}).pause()
      await once(stream, 'close')
      ends.push('close')
    })
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(Buffer.concat([
    OPENING, askFrame(1, '/'), http2Frame('DATA', 1, frame(TEXT, 'hello')),
    resetFrame(1, NO_ERROR)
  ]))
  await until(() => ends.length === 1)
  client.socket.destroy()
  await fastify.close()
  t.strictSame(fastify.websocketServer.stats().refused, [])
})

// --- A hook ends the upgrade on the stream ---

const ENDS: Record<string, Hook> = {
  'closes the stream': (request) => { streamOf(request).close() },
  'closes the stream and answers': (request, reply) => {
    streamOf(request).close()
    return reply.send('yes')
  },
  'closes the stream and answers in parts': (request, reply) => {
    streamOf(request).close()
    reply.hijack().raw.write('yes')
    reply.raw.end()
  },
  'answers on the stream': (request) => { streamOf(request).respond({ ':status': 403 }) },
  'destroys the request': ({ raw }) => { raw.destroy() },
  'destroys the request with an error': ({ raw }) => { raw.destroy(new Error('no')) }
}

for (const [name, hook] of Object.entries(ENDS)) {
  test(`a hook that ${name} ends the upgrade, and nothing is left of it`, async (t) => {
    const uncaught = watchProcess(t)
    const { fastify, session } = await serveHook(t, hook)
    const stream = ask(session, '/')
    await once(stream.resume(), 'close')
    t.strictSame(fastify.websocketServer.stats().refused, [])
    t.equal(fastify.websocketServer.stats().open, 0)
    session.destroy()
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}

test('a hook that refuses and then destroys the response does not end the process', async (t) => {
  const { fastify, session } = await serveHook(t, (_request, reply) => {
    reply.code(403).send()
    reply.raw.destroy()
  })
  await once(ask(session, '/').resume(), 'close')
  t.equal(fastify.websocketServer.stats().accepted, 0)
})

test('a request that a hook has read and destroys is accepted', async (t) => {
  const { session } = await serveHook(t, async ({ raw }) => {
    t.strictSame(await raw.toArray(), [])
    raw.destroy()
  })
  t.equal((await answerTo(ask(session, '/'))).status, 200)
})

// --- Refusals ---

const REFUSALS: Record<string, [status: number, Hook]> = {
  'without a body': [304, (_request, reply) => reply.code(304).send()],
  'of a stream that is read': [403, (request, reply) => {
    streamOf(request).on('data', () => {})
    return reply.code(403).send('no')
  }]
}

for (const [name, [status, hook]] of Object.entries(REFUSALS)) {
  test(`a refusal ${name} closes the stream`, async (t) => {
    const { session } = await serveHook(t, hook)
    const stream = ask(session, '/')
    const closed = once(stream, 'close')
    t.equal((await answerTo(stream)).status, status)
    await closed
    t.equal(stream.rstCode, NO_ERROR)
  })
}

const HEADERS: Record<string, Hook> = {
  setHeader: (_request, { raw }) => { raw.setHeader('x-room', 'a\r\nset-cookie: b=c') },
  appendHeader: (_request, { raw }) => { raw.appendHeader('x-room', 'a\r\n\r\nb') },
  'a list': (_request, { raw }) => { raw.setHeader('x-room', ['a', 'b\nc: d']) }
}

for (const [name, hook] of Object.entries(HEADERS)) {
  test(`a line break in a header, by ${name}, is an error as over HTTP/1`, async (t) => {
    const { session } = await serveHook(t, hook)
    const { status, headers, body } = await answerTo(ask(session, '/'))
    t.equal(status, 500)
    t.equal(JSON.parse(body).code, 'ERR_INVALID_CHAR')
    t.notOk('set-cookie' in headers)
  })
}
