// Attacks on a server that takes WebSockets over HTTP/2. Each has one outcome. After it, an
// innocent client is served on a session of its own, no connection is left, nothing was thrown, and
// `close()` ends.
import { once } from 'node:events'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { answerTo, ask, H2C, openSession, readUntil } from '../helpers/http2'
import { echo, say, serve } from '../helpers/plugin'
import { frame, RawClient } from '../helpers/raw'
import {
  askFrame, END_HEADERS, END_STREAM, errorIn, http2Frame, http2FramesOf, OPENING, resetFrame,
  type ErrorName
} from '../helpers/raw-http2'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'
import { watchProcess } from '../helpers/uncaught'

const TEXT = 0x81
const NO_ERROR = 0
const CANCEL = 8

/** Milliseconds: less than Fastify gives a plugin to close, which limits `closeTimeout`. */
const A_WHILE = 5_000

const HELLO = frame(TEXT, 'hello')

/** Odd numbers: the streams of a client. */
function streams (count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, index) => first + 2 * index)
}

/** An attack, and its outcome. A number that is not given is 0. */
interface Attack {
  /** What is sent behind the opening of a session. */
  readonly sends: Buffer | readonly Buffer[]
  readonly accepted?: number
  /** How many upgrades are refused, by status. */
  readonly refused?: Readonly<Record<string, number>>
  /** Answers that the client gets. Default: as many as were accepted and refused. */
  readonly answers?: number
  /** The code of the error by which a stream or the session ends. */
  readonly error?: ErrorName
}

const ATTACKS: Record<string, Attack> = {
  'a reset behind frames': {
    sends: streams(50).flatMap((id) => {
      return [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO), resetFrame(id, CANCEL)]
    }),
    accepted: 50,
    answers: 0
  },
  'DATA behind a reset': {
    sends: [askFrame(1, '/echo'), resetFrame(1, CANCEL), http2Frame('DATA', 1, HELLO)],
    accepted: 1,
    answers: 0
  },
  'DATA behind the end': {
    sends: [
      askFrame(1, '/echo'), http2Frame('DATA', 1, HELLO, END_STREAM), http2Frame('DATA', 1, HELLO)
    ],
    accepted: 1,
    answers: 0,
    error: 'STREAM_CLOSED'
  },
  'an end with the head': {
    sends: streams(50).map((id) => askFrame(id, '/echo', {}, END_HEADERS | END_STREAM)),
    refused: { 400: 50 }
  },
  'an end at once': {
    sends: streams(50).flatMap((id) => {
      return [askFrame(id, '/echo'), http2Frame('DATA', id, Buffer.alloc(0), END_STREAM)]
    }),
    accepted: 50
  },
  'an end in the middle of a frame': {
    sends: streams(50).flatMap((id) => {
      return [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO.subarray(0, 4), END_STREAM)]
    }),
    accepted: 50
  },
  'frames of one byte': {
    sends: [
      askFrame(1, '/echo'),
      ...Array.from({ length: 500 }, () => HELLO).flatMap((bytes) => {
        return [...bytes].map((byte) => http2Frame('DATA', 1, Buffer.of(byte)))
      })
    ],
    accepted: 1
  },
  'empty DATA frames': {
    sends: [askFrame(1, '/echo'), ...Array.from({ length: 5000 }, () => http2Frame('DATA', 1))],
    accepted: 1,
    error: 'INTERNAL_ERROR'
  },
  'frames that are no WebSocket': {
    sends: streams(50).flatMap((id) => {
      return [askFrame(id, '/echo'), http2Frame('DATA', id, Buffer.from('GET / HTTP/1.1\r\n\r\n'))]
    }),
    accepted: 50
  },
  'more DATA than the window': {
    sends: [
      askFrame(1, '/slow'),
      ...Array.from({ length: 5 }, () => http2Frame('DATA', 1, Buffer.alloc(16_000)))
    ],
    error: 'FLOW_CONTROL_ERROR'
  },
  'a window of nothing': {
    sends: [
      http2Frame('SETTINGS', 0, Buffer.of(0, 4, 0, 0, 0, 0)),
      ...streams(50).flatMap((id) => [askFrame(id, '/echo'), http2Frame('DATA', id, HELLO)])
    ],
    accepted: 50
  },
  'a window that is too large': {
    sends: [
      askFrame(1, '/echo'), http2Frame('WINDOW_UPDATE', 1, Buffer.of(0x7f, 0xff, 0xff, 0xff))
    ],
    accepted: 1,
    answers: 0,
    error: 'FLOW_CONTROL_ERROR'
  },
  'another protocol': {
    sends: streams(50).map((id) => askFrame(id, '/echo', { ':protocol': 'x' })),
    // With a 501, which refuses no upgrade.
    answers: 50
  },
  'a GET with a protocol': {
    sends: askFrame(1, '/echo', { ':method': 'GET' }), error: 'PROTOCOL_ERROR'
  },
  'a protocol without a path': { sends: askFrame(1, ''), error: 'PROTOCOL_ERROR' },
  'a long header': { sends: askFrame(1, '/echo', { 'x-long': 'x'.repeat(16_000) }), accepted: 1 },
  'very many headers': {
    sends: askFrame(1, '/echo', Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`x-${index}`, ''])
    )),
    error: 'ENHANCE_YOUR_CALM'
  },
  'HTTP/1 headers': {
    sends: askFrame(1, '/echo', { connection: 'upgrade', upgrade: 'websocket' }),
    error: 'PROTOCOL_ERROR'
  },
  // The server ends the session, without an error.
  'a GOAWAY, and then a stream': {
    sends: [
      http2Frame('GOAWAY', 0, Buffer.alloc(8)), askFrame(1, '/echo'), http2Frame('DATA', 1, HELLO)
    ]
  },
  'a stream that is used again': {
    sends: [askFrame(1, '/echo'), resetFrame(1, CANCEL), askFrame(1, '/echo')],
    accepted: 1,
    answers: 0
  },
  // The server waits for the rest.
  'half a head': { sends: askFrame(1, '/echo', {}, 0) },
  'half a head, and then DATA': {
    sends: [askFrame(1, '/echo'), askFrame(3, '/echo', {}, 0), http2Frame('DATA', 3, HELLO)],
    accepted: 1,
    answers: 0,
    error: 'PROTOCOL_ERROR'
  },
  'answers of hooks': {
    sends: streams(8).flatMap((id) => {
      return ['/hijack', '/throw', '/twice', '/destroy'].map((path, index) => {
        return askFrame(id * 8 + 2 * index + 1, path)
      })
    }),
    refused: { 500: 16, 403: 8 },
    error: 'CANCEL'
  }
}

/** What has come of an attack. */
function outcomeOf ({ websocketServer }: FastifyInstance, { received }: RawClient) {
  const { accepted, refused } = websocketServer.stats()
  const statuses: Record<string, number> = {}
  for (const { statusCode, count } of refused) {
    statuses[statusCode] = (statuses[statusCode] ?? 0) + count
  }
  const frames = http2FramesOf(received)
  return {
    accepted,
    refused: statuses,
    answers: frames.filter(({ type }) => type === 'HEADERS').length,
    error: errorIn(frames)
  }
}

/**
 * When Node.js gives up a session because of what the client has sent, it tells nothing, and reads
 * no more. Then the heartbeat finds that the peer is dead.
 */
const PLUGIN = { closeTimeout: 50, heartbeat: 100 }

function declare (fastify: FastifyInstance): void {
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/greeting', { websocket: true }, say('hello'))
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

/** Turns of the event loop in which an attack does all that it does. */
const TURNS = 50

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
  const { sends, accepted = 0, refused = {}, error = null } = attack
  const { answers = Object.values(refused).reduce((sum, count) => sum + count, accepted) } = attack
  test(`${name} harms no other client`, async (t) => {
    const thrown = watchProcess(t)
    const { fastify } = await serve(t, { server: H2C, plugin: PLUGIN, declare })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([OPENING, ...[sends].flat()]))
    // The answer to its settings comes first, and then what the attack has brought about.
    await until(() => http2FramesOf(client.received).length > 1)
    for (let i = 0; i < TURNS; i++) await turn()
    t.strictSame(outcomeOf(fastify, client), { accepted, refused, answers, error })
    client.socket.destroy()
    await assertUnharmed(t, fastify, thrown)
  })
}

// --- Floods of resets ---

/** Node.js takes so many resets of a session at a time, and then some more each second. */
const MAX_RESETS = 1000

const FLOODS: Record<string, readonly [path: string, code: number]> = {
  'streams that are opened and reset': ['/echo', CANCEL],
  'resets without an error': ['/slow', NO_ERROR]
}

for (const [name, [path, code]] of Object.entries(FLOODS)) {
  const resets = (count: number): Buffer => Buffer.concat(streams(count).flatMap((id) => {
    return [askFrame(id, path), resetFrame(id, code)]
  }))

  test(`a flood of ${name} loses its session, and harms no other client`, async (t) => {
    const thrown = watchProcess(t)
    const { fastify } = await serve(t, { server: H2C, plugin: PLUGIN, declare })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([OPENING, resets(2 * MAX_RESETS)]))
    await until(() => errorIn(http2FramesOf(client.received)) === 'INTERNAL_ERROR')
    client.write(askFrame(4 * MAX_RESETS + 1, '/greeting'))
    for (let i = 0; i < TURNS; i++) await turn()
    t.notOk(client.received.includes('hello'))
    client.socket.destroy()
    await assertUnharmed(t, fastify, thrown)
  })

  test(`less than a flood of ${name} loses nothing`, async (t) => {
    const thrown = watchProcess(t)
    const { fastify } = await serve(t, { server: H2C, plugin: PLUGIN, declare })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([OPENING, resets(MAX_RESETS - 100)]))
    client.write(askFrame(2 * MAX_RESETS + 1, '/greeting'))
    await client.until('hello')
    client.socket.destroy()
    await assertUnharmed(t, fastify, thrown)
  })
}

test('close() cuts off a connection whose client never ends it', async (t) => {
  // The time is over when the test says so: a slow machine may take longer than any short one.
  const timers = holdTimers(t, A_WHILE)
  const { fastify } = await serve(t, { server: H2C, plugin: { closeTimeout: A_WHILE }, declare })
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
  t.ok(timers.size > 0)
  timers.run()
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
