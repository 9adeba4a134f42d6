import { once } from 'node:events'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import type { WebSocket } from 'ws'
import type fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { DEBUG, ERROR, INFO, Logs, WARN, type LogLine } from '../helpers/logs'
import { serve, type Served } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { testOnce } from '../helpers/test-once'

type Handler = fastifyWebsocket.WebsocketHandler
type ErrorHandler = fastifyWebsocket.WebsocketErrorHandler

function fail (): never {
  throw new Error('application')
}

async function failLater (): Promise<never> {
  return fail()
}

/** Every way in which an application can fail on a connection; a client sends a ping and "go". */
const FAILURES: Record<string, Handler> = {
  'a handler that throws': fail,
  'a handler that rejects': failLater,
  'a handler that rejects later': async ({ socket }) => {
    await once(socket, 'message')
    fail()
  },
  'a message listener that throws': ({ socket }) => { socket.on('message', fail) },
  'a message listener that rejects': ({ socket }) => { socket.on('message', failLater) },
  'a message listener that comes late and throws': async ({ socket }) => {
    await once(socket, 'ping')
    socket.on('message', fail)
  },
  'a ping listener that throws': ({ socket }) => { socket.on('ping', fail) },
  'a ping listener that rejects': ({ socket }) => { socket.on('ping', failLater) },
  'a data listener that throws': (connection) => { connection.on('data', fail) },
  'a data listener that rejects': (connection) => { connection.on('data', failLater) },
  'a readable listener that throws': (connection) => { connection.on('readable', fail) },
  'destroy with an error': (connection) => { connection.destroy(new Error('application')) }
}

async function serveFailure (t: Test, handle: Handler, served: Served = {}) {
  const logs = new Logs()
  const { fastify, origin } = await serve(t, {
    server: { logger: logs.logger }, ...served, plugin: { handle, ...served.plugin }
  })
  const client = await connect(t, origin)
  client.socket.ping()
  client.send('go')
  return { fastify, origin, client, logs }
}

for (const [what, handle] of Object.entries(FAILURES)) {
  test(`${what} is logged and closes that connection with 1011`, async (t) => {
    const { client, logs } = await serveFailure(t, handle)
    t.equal((await client.closed).code, 1011)
    const line = await logs.find('websocket connection failed')
    t.match(line, { level: ERROR, reqId: 'req-1', err: { message: 'application' } })
    t.equal(logs.lines.filter(({ level }) => level === ERROR).length, 1)
  })

  test(`${what} reaches errorHandler, and the connection stays open`, async (t) => {
    const errors: unknown[] = []
    const handled = deferred<WebSocket>()
    const errorHandler: ErrorHandler = (error, connection) => {
      errors.push(error)
      handled.resolve(connection.socket)
    }
    const { client } = await serveFailure(t, handle, { plugin: { errorHandler } })
    const socket = await handled.promise
    if (what === 'destroy with an error') {
      t.equal((await client.closed).code, 1011)
    } else {
      socket.send('still here')
      t.equal(await client.nextText(), 'still here')
    }
    t.match(errors[0], { message: 'application' })
  })
}

test('errorHandler gets the error, the connection, the request and this', async (t) => {
  const handled = deferred<unknown[]>()
  const seen: { request?: FastifyRequest, instance?: FastifyInstance } = {}
  const { client } = await serveFailure(t, function () {
    seen.instance = this
    fail()
  }, {
    plugin: {
      errorHandler (error, connection, request) {
        handled.resolve([this === seen.instance, error, request.id, request === seen.request])
        connection.socket.close(4000, 'mine')
      }
    },
    declare: (fastify) => fastify.addHook('preHandler', async (request) => {
      seen.request = request
    })
  })
  t.match(await handled.promise, [true, { message: 'application' }, 'req-1', true])
  t.strictSame(await client.closed, { code: 4000, reason: 'mine' })
})

const FAILING: Record<string, ErrorHandler> = {
  throws: () => { throw new Error('in errorHandler') },
  rejects: async () => { throw new Error('in errorHandler') },
  rethrows: (error) => { throw error }
}

for (const [what, errorHandler] of Object.entries(FAILING)) {
  test(`an errorHandler that ${what} is logged and the connection closed`, async (t) => {
    const { client, logs } = await serveFailure(t, fail, { plugin: { errorHandler } })
    t.equal((await client.closed).code, 1011)
    const { err } = await logs.find('websocket connection failed')
    t.equal(err?.message, what === 'rethrows' ? 'application' : 'in errorHandler')
  })
}

test('an async errorHandler that resolves leaves the connection open', async (t) => {
  const { client } = await serveFailure(t, fail, {
    plugin: { errorHandler: async (_error, { socket }) => { socket.send('handled') } }
  })
  t.equal(await client.nextText(), 'handled')
})

const THROWN: ReadonlyArray<[string, unknown]> = [
  ["'text'", 'text'], ['undefined', undefined], ['Symbol(s)', Symbol('s')],
  ['[Object: null prototype] {}', Object.create(null)]
]
for (const [shown, thrown] of THROWN) {
  test(`what is thrown may be no error: ${shown}`, async (t) => {
    const { client, logs } = await serveFailure(t, () => { throw thrown })
    t.equal((await client.closed).code, 1011)
    t.equal((await logs.find('websocket connection failed')).level, ERROR)
  })
}

test('a thenable that is no promise is awaited', async (t) => {
  const { client } = await serveFailure(t, () => ({
    then: (_resolve: unknown, reject: (error: Error) => void) => { reject(new Error('thenable')) }
  }))
  t.equal((await client.closed).code, 1011)
})

// RFC 6455 section 7.4.1.
const BROKEN: ReadonlyArray<[code: number, what: string, bytes: Buffer]> = [
  [1002, 'a frame with reserved bits', frame(0xf1, 'hello')],
  [1002, 'an unmasked frame', Buffer.from([0x81, 0x01, 0x61])],
  [1007, 'text that is not UTF-8', frame(0x81, Buffer.from([0xff]))],
  [1007, 'compressed data that is none', frame(0xc2, Buffer.from([0xff]))],
  [1009, 'an oversize message', frame(0x82, 'a'.repeat(100))]
]

const OFFER = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }

for (const [code, what, bytes] of BROKEN) {
  test(`${what} closes with ${code} and is logged as the peer's`, async (t) => {
    const logs = new Logs()
    const { fastify } = await serve(t, {
      plugin: { handle: () => {}, options: { maxPayload: 99, perMessageDeflate: true } },
      server: { logger: logs.logger }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', OFFER))
    const head = await client.until('\r\n\r\n')
    client.write(bytes)
    await client.closed
    const closeFrame = client.received.subarray(head.length)
    t.strictSame([closeFrame[0], closeFrame.readUInt16BE(2)], [0x88, code])
    t.match(await logs.find('websocket peer broke a rule'), { level: INFO, reqId: 'req-1' })
    t.strictSame(logs.lines.filter(({ level }) => level > INFO), [])
  })
}

testOnce('a lost connection is logged at debug', async (t) => {
  const logs = new Logs()
  const handled = deferred<boolean>()
  const { fastify } = await serve(t, {
    plugin: { handle: () => { handled.resolve(true) } }, server: { logger: logs.logger }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await handled.promise
  client.socket.resetAndDestroy()
  t.match(await logs.find('websocket connection lost'), { level: DEBUG, reqId: 'req-1' })
  t.strictSame(logs.lines.filter(({ level }) => level > INFO), [])
})

test('a handler that never reads loses messages with one warning', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    plugin: { handle: () => {}, options: { highWaterMark: 100 } }, server: { logger: logs.logger }
  })
  const client = await connect(t, origin)
  for (let n = 0; n < 3; n++) client.send('a'.repeat(200))
  const line = await logs.find('websocket messages dropped')
  t.match(line, { level: WARN, reqId: 'req-1', err: { code: 'FST_WS_UNREAD_OVERFLOW' } })
  client.socket.ping()
  await once(client.socket, 'pong')
  t.equal(logs.lines.filter(({ level }) => level === WARN).length, 1)
})

/** Lines of connections, at `info` or above if no other level is given. */
function noiseOf ({ lines }: Logs, least = INFO): LogLine[] {
  return lines.filter(({ level, msg }) => level >= least && msg.startsWith('websocket'))
}

/** The first byte of a close frame, as text. */
const CLOSE = '\x88'

const PACKET = Buffer.concat(Array.from({ length: 100 }, () => frame(0x81, 'x')))

for (const [what, handle] of Object.entries<Handler>({
  'message listener that rejects': ({ socket }) => { socket.on('message', failLater) },
  'message listener that throws': ({ socket }) => { socket.on('message', fail) },
  'data listener that rejects': (connection) => { connection.on('data', failLater) }
})) {
  test(`a hundred messages in one packet to a ${what} are one error line`, async (t) => {
    const logs = new Logs()
    const { fastify } = await serve(t, {
      plugin: { handle, closeLog: false }, server: { logger: logs.logger }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    await client.until('\r\n\r\n')
    client.write(PACKET)
    await client.until(CLOSE)
    client.write(frame(0x88))
    await until(() => fastify.websocketServer.clients.size === 0)
    const [line, ...rest] = noiseOf(logs, DEBUG)
    t.match(line, { level: ERROR, msg: 'websocket connection failed' })
    t.ok(rest.every(({ level }) => level === DEBUG), 'the rest is for debugging')
    if (what === 'message listener that rejects') t.equal(rest.length, 99)
  })
}

test('an overflow and a protocol error of one peer are one line', async (t) => {
  const logs = new Logs()
  const { fastify } = await serve(t, {
    plugin: { handle: () => {}, closeLog: false, options: { highWaterMark: 100 } },
    server: { logger: logs.logger }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  client.write(Buffer.concat([PACKET, frame(0xf1, 'reserved bits')]))
  await client.closed
  await until(() => noiseOf(logs, DEBUG).length === 2)
  const [dropped, broken] = noiseOf(logs, DEBUG)
  t.match(dropped, { level: WARN, msg: 'websocket messages dropped' })
  t.match(broken, { level: DEBUG, msg: 'websocket peer broke a rule' })
})

test('a failure of the application is logged although its peer has done wrong', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    plugin: {
      handle: ({ socket }) => { socket.on('ping', fail) }, options: { highWaterMark: 100 }
    },
    server: { logger: logs.logger }
  })
  const client = await connect(t, origin)
  client.send('a'.repeat(200))
  client.socket.ping()
  t.equal((await client.closed).code, 1011)
  t.strictSame(noiseOf(logs).map(({ level }) => level), [WARN, ERROR])
})

test('an ordinary close is one line, for debugging', async (t) => {
  const logs = new Logs()
  const closed = deferred<boolean>()
  const { origin } = await serve(t, {
    plugin: { handle: ({ socket }) => { socket.on('close', () => { closed.resolve(true) }) } },
    server: { logger: logs.logger }
  })
  const client = await connect(t, origin)
  client.close(1000)
  await Promise.all([client.closed, closed.promise])
  const lines = noiseOf(logs, DEBUG)
  t.match(lines, [{ level: DEBUG, msg: 'websocket connection closed' }])
  t.equal(lines.length, 1)
})

function deferred<T> () {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

test('an errorHandler that throws is not called with its own failure', async (t) => {
  const calls: string[] = []
  const { client, logs } = await serveFailure(t, fail, {
    plugin: {
      errorHandler: ({ message }) => {
        calls.push(message)
        throw new Error('in errorHandler')
      }
    }
  })
  await client.closed
  await logs.find('websocket connection failed')
  t.same(calls, ['application'])
})

test('a failure of the application is logged as one, though it speaks of a reset', async (t) => {
  const { client, logs } = await serveFailure(t, async () => {
    throw Object.assign(new Error('the database has gone'), { code: 'ECONNRESET' })
  })
  t.equal((await client.closed).code, 1011)
  t.equal((await logs.find('websocket connection failed')).level, ERROR)
})
