// Attacks on a server that takes WebSockets over HTTP/2. After each, an innocent client is served
// on a session of its own, no connection is left, nothing was thrown, and `close()` ends.
import { once } from 'node:events'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { answerTo, ask, H2C, openSession, readUntil } from '../helpers/http2'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient } from '../helpers/raw'
import {
  askFrame, END_HEADERS, END_STREAM, http2Frame, http2FramesOf, OPENING, resetFrame
} from '../helpers/raw-http2'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

const TEXT = 0x81
const NO_ERROR = 0
const CANCEL = 8

const HELLO = frame(TEXT, 'hello')

/** Odd numbers: the streams of a client. */
function streams (count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, index) => first + 2 * index)
}

/** What is sent behind the opening of a session. */
const ATTACKS: Record<string, Buffer | Buffer[]> = {
  'a flood of streams that are opened and reset': streams(2000).flatMap((id) => {
    return [askFrame(id, '/echo'), resetFrame(id, CANCEL)]
  }),
  'a flood of resets without an error': streams(2000).flatMap((id) => {
    return [askFrame(id, '/slow'), resetFrame(id, NO_ERROR)]
  }),
  'a reset behind frames': streams(50).flatMap((id) => {
    return [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO), resetFrame(id, CANCEL)]
  }),
  'DATA behind a reset': [
    askFrame(1, '/echo'), resetFrame(1, CANCEL), http2Frame('DATA', 1, HELLO)
  ],
  'DATA behind the end': [
    askFrame(1, '/echo'), http2Frame('DATA', 1, HELLO, END_STREAM), http2Frame('DATA', 1, HELLO)
  ],
  'an end with the head': streams(50).map((id) => {
    return askFrame(id, '/echo', {}, END_HEADERS | END_STREAM)
  }),
  'an end at once': streams(50).flatMap((id) => {
    return [askFrame(id, '/echo'), http2Frame('DATA', id, Buffer.alloc(0), END_STREAM)]
  }),
  'an end in the middle of a frame': streams(50).flatMap((id) => {
    return [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO.subarray(0, 4), END_STREAM)]
  }),
  'frames of one byte': [
    askFrame(1, '/echo'),
    ...Array.from({ length: 500 }, () => HELLO).flatMap((bytes) => {
      return [...bytes].map((byte) => http2Frame('DATA', 1, Buffer.of(byte)))
    })
  ],
  'empty DATA frames': [
    askFrame(1, '/echo'), ...Array.from({ length: 5000 }, () => http2Frame('DATA', 1))
  ],
  'frames that are no WebSocket': streams(50).flatMap((id) => {
    return [askFrame(id, '/echo'), http2Frame('DATA', id, Buffer.from('GET / HTTP/1.1\r\n\r\n'))]
  }),
  'more DATA than the window': [
    askFrame(1, '/slow'), ...Array.from({ length: 5 }, () => {
      return http2Frame('DATA', 1, Buffer.alloc(16_000))
    })
  ],
  'a window of nothing': [
    http2Frame('SETTINGS', 0, Buffer.of(0, 4, 0, 0, 0, 0)),
    ...streams(50).flatMap((id) => [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO)])
  ],
  'a window that is too large': [
    askFrame(1, '/echo'), http2Frame('WINDOW_UPDATE', 1, Buffer.of(0x7f, 0xff, 0xff, 0xff))
  ],
  'another protocol': streams(50).map((id) => askFrame(id, '/echo', { ':protocol': 'x' })),
  'a GET with a protocol': askFrame(1, '/echo', { ':method': 'GET' }),
  'a protocol without a path': askFrame(1, ''),
  'a long header': askFrame(1, '/echo', { 'x-long': 'x'.repeat(16_000) }),
  'very many headers': askFrame(1, '/echo', Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [`x-${index}`, ''])
  )),
  'HTTP/1 headers': askFrame(1, '/echo', { connection: 'upgrade', upgrade: 'websocket' }),
  'a GOAWAY, and then a stream': [
    http2Frame('GOAWAY', 0, Buffer.alloc(8)), askFrame(1, '/echo'), http2Frame('DATA', 1, HELLO)
  ],
  'a stream that is used again': [
    askFrame(1, '/echo'), resetFrame(1, CANCEL), askFrame(1, '/echo')
  ],
  'half a head': askFrame(1, '/echo', {}, 0),
  'answers of hooks': streams(8).flatMap((id) => {
    return ['/hijack', '/throw', '/twice', '/destroy'].map((path, index) => {
      return askFrame(id * 8 + 2 * index + 1, path)
    })
  })
}

/**
 * When Node.js gives up a session because of what the client has sent, it tells nothing, and reads
 * no more. Then the heartbeat finds that the peer is dead.
 */
const PLUGIN = { closeTimeout: 50, heartbeat: 100 }

function declare (fastify: FastifyInstance): void {
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/slow', { websocket: true, preHandler: () => new Promise(() => {}) }, echo)
  fastify.get('/hijack', {
    websocket: true,
    preHandler: async (_request, reply) => {
      reply.hijack()
      await turn()
      reply.raw.end('mine')
    }
  }, echo)
  fastify.get('/throw', { websocket: true, onSend: async () => { throw new Error('no') } }, echo)
  fastify.get('/twice', {
    websocket: true,
    preHandler: async (_request, reply) => {
      reply.code(403).send('once')
      reply.raw.end('twice')
    }
  }, echo)
  fastify.get('/destroy', {
    websocket: true,
    preHandler: async ({ raw }, reply) => {
      reply.hijack().raw.destroy()
      raw.destroy()
    }
  }, echo)
}

/** The client that does nothing wrong is served, and nothing else is left. */
async function assertUnharmed (t: Test, fastify: FastifyInstance, thrown: unknown[]) {
  const { clients } = fastify.websocketServer
  await until(() => clients.size === 0)
  const session = await openSession(t, portOf(fastify.server))
  const stream = ask(session, '/echo')
  t.equal((await answerTo(stream)).status, 200)
  stream.write(HELLO)
  await readUntil(stream, Buffer.from('hello'))
  session.destroy()
  await fastify.close()
  t.strictSame(thrown, [])
}

for (const [name, attack] of Object.entries(ATTACKS)) {
  test(`${name} harms no other client`, async (t) => {
    const thrown = watchProcess(t)
    const { fastify } = await serve(t, { server: H2C, plugin: PLUGIN, declare })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([OPENING, ...[attack].flat()]))
    // The answer to its settings comes first, and then what the attack has brought about.
    await until(() => http2FramesOf(client.received).length > 1)
    for (let i = 0; i < 20; i++) await turn()
    client.socket.destroy()
    await assertUnharmed(t, fastify, thrown)
  })
}

test('close() cuts off a connection whose client never ends it', async (t) => {
  const { fastify } = await serve(t, { server: H2C, plugin: { closeTimeout: 50 }, declare })
  const socket = connect({ port: portOf(fastify.server), host: '127.0.0.1', allowHalfOpen: true })
  const client = new RawClient(t, portOf(fastify.server), socket)
  client.write(Buffer.concat([OPENING, askFrame(1, '/echo'), http2Frame('DATA', 1, HELLO)]))
  await client.until('hello')
  const ended = once(socket, 'end')
  const closed = fastify.close()
  // The closing handshake is done, so the session ends, and the server its side of the connection.
  await until(() => http2FramesOf(client.received).some(({ type }) => type === 'GOAWAY'))
  client.write(http2Frame('DATA', 1, frame(0x88, Buffer.from([0x03, 0xe9])), END_STREAM))
  await ended
  await closed
  t.equal(fastify.websocketServer.clients.size, 0)
})

for (const [name, first] of Object.entries({
  'a close frame': frame(0x88, Buffer.from([0x03, 0xe8])),
  'a message that is answered': HELLO,
  'half a frame': HELLO.subarray(0, 3)
})) {
  test(`a reset without an error ends a WebSocket at once, behind ${name}`, async (t) => {
    let isClosed = false
    const { fastify } = await serve(t, {
      server: H2C,
      plugin: {
        // Longer than the test may take.
        closeTimeout: 120_000,
        heartbeat: false,
        handle (...args) {
          args[0].socket.on('close', () => { isClosed = true })
          Reflect.apply(echo, undefined, args)
        }
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([OPENING, askFrame(1, '/')]))
    await until(() => http2FramesOf(client.received).some(({ type }) => type === 'HEADERS'))
    client.write(Buffer.concat([http2Frame('DATA', 1, first), resetFrame(1, NO_ERROR)]))
    await until(() => isClosed)
    t.equal(fastify.websocketServer.clients.size, 0)
  })
}
