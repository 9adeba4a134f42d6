import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { FastifyServerOptions } from 'fastify'
import { test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { logError } from '../../src/observe/log'
import { connect } from '../helpers/client'
import { ERROR, Logs } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { watchProcess } from '../helpers/uncaught'

type Handler = fastifyWebsocket.WebsocketHandler

function fail (): never {
  throw new Error('read')
}

function revoked (target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

function withGetter (name: string): Error {
  return Object.defineProperty(new Error('odd'), name, { get: fail })
}

/** What an application may throw, and what its logger, or we, may trip over. */
const ODD: Record<string, () => unknown> = {
  'a frozen error': () => Object.freeze(new Error('odd')),
  'an error whose message throws': () => withGetter('message'),
  'an error whose stack throws': () => withGetter('stack'),
  'an error whose code throws': () => withGetter('code'),
  'an error whose name throws': () => withGetter('name'),
  'an error whose message is a symbol': () => {
    return Object.assign(new Error('odd'), { message: Symbol('odd') })
  },
  'an error whose cause is a revoked proxy': () => new Error('odd', { cause: revoked({}) }),
  'an error whose toJSON throws': () => Object.assign(new Error('odd'), { toJSON: fail }),
  'a value whose inspect throws': () => ({ [Symbol.for('nodejs.util.inspect.custom')]: fail }),
  'a value whose then throws': () => Object.defineProperty({}, 'then', { get: fail }),
  'a revoked proxy of an object': () => revoked({}),
  'a revoked proxy of an error': () => revoked(new Error('odd')),
  'a revoked proxy of a function': () => revoked(fail),
  'an object without a prototype': () => Object.create(null),
  'an error without a stack': () => Object.assign(new Error('odd'), { stack: undefined }),
  nothing: () => undefined,
  null: () => null,
  'a symbol': () => Symbol('odd')
}

/** Where it may be thrown; a client sends "go". */
const PLACES: Record<string, (thrown: unknown) => Handler> = {
  'thrown by a handler': (thrown) => () => { throw thrown },
  'rejected by a handler': (thrown) => async () => { throw thrown },
  'thrown by a message listener': (thrown) => ({ socket }) => {
    socket.on('message', () => { throw thrown })
  },
  'rejected by a message listener': (thrown) => ({ socket }) => {
    socket.on('message', async () => { throw thrown })
  },
  'thrown by an event handler': (thrown) => ({ socket }) => {
    socket.addEventListener('message', () => { throw thrown })
  },
  'thrown by a data listener': (thrown) => (connection) => {
    connection.on('data', () => { throw thrown })
  },
  'emitted by the application': (thrown) => ({ socket }) => { socket.emit('error', thrown) }
}

for (const [place, handlerOf] of Object.entries(PLACES)) {
  for (const [what, create] of Object.entries(ODD)) {
    test(`${what}, ${place}, closes that connection with 1011 and is logged`, async (t) => {
      const uncaught = watchProcess(t)
      const logs = new Logs()
      const { fastify, origin } = await serve(t, {
        plugin: { handle: handlerOf(create()) }, server: { logger: logs.logger }
      })
      const client = await connect(t, origin)
      client.send('go')
      t.equal((await client.closed).code, 1011)
      await until(() => fastify.websocketServer.clients.size === 0)
      const lines = logs.lines.filter(({ msg }) => msg.startsWith('websocket connection failed'))
      t.match(lines, [{ level: ERROR }])
      await fastify.close()
      t.strictSame(uncaught, [])
    })
  }
}

for (const [what, create] of Object.entries(ODD)) {
  for (const isAsync of [false, true]) {
    const verb = isAsync ? 'rejects' : 'throws'
    test(`an errorHandler that ${verb} ${what} closes that connection with 1011`, async (t) => {
      const uncaught = watchProcess(t)
      const logs = new Logs()
      const { fastify, origin } = await serve(t, {
        plugin: {
          handle: () => { throw new Error('application') },
          errorHandler: isAsync
            ? async () => { throw create() }
            : () => { throw create() }
        },
        server: { logger: logs.logger }
      })
      const client = await connect(t, origin)
      t.equal((await client.closed).code, 1011)
      await until(() => fastify.websocketServer.clients.size === 0)
      t.ok(logs.lines.some(({ msg }) => msg.startsWith('websocket connection failed')))
      t.strictSame(uncaught, [])
    })
  }
}

test('an errorHandler that returns a revoked proxy closes that connection with 1011', async (t) => {
  const uncaught = watchProcess(t)
  const { origin } = await serve(t, {
    plugin: { handle: fail, errorHandler: () => revoked({}) }
  })
  t.equal((await (await connect(t, origin)).closed).code, 1011)
  t.strictSame(uncaught, [])
})

/** A stream that refuses the lines of connections, as a full disk does. */
function failingStream (): PassThrough {
  const stream = new PassThrough()
  const write = stream.write.bind(stream)
  return Object.assign(stream.resume(), {
    write: (line: string) => /websocket/.test(line) ? fail() : write(line)
  })
}

/** Loggers that fail when a connection does. */
const LOGGERS: Record<string, () => NonNullable<FastifyServerOptions['logger']>> = {
  'a serializer that throws': () => {
    return { stream: new PassThrough().resume(), serializers: { err: fail } }
  },
  'a log stream that throws': () => ({ stream: failingStream() })
}

for (const [what, createLogger] of Object.entries(LOGGERS)) {
  test(`${what} does not keep a bad frame from closing its connection`, async (t) => {
    const uncaught = watchProcess(t)
    const { fastify } = await serve(t, {
      plugin: { handle: () => {} }, server: { logger: createLogger() }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    await client.until('\r\n\r\n')
    client.write(frame(0xf1, 'reserved bits'))
    await client.closed
    await until(() => fastify.websocketServer.clients.size === 0)
    await fastify.close()
    t.strictSame(uncaught, [])
  })

  test(`${what} does not keep a warning from going on`, async (t) => {
    const uncaught = watchProcess(t)
    const { fastify, origin } = await serve(t, {
      plugin: { handle: () => {}, options: { highWaterMark: 10 } },
      server: { logger: createLogger() }
    })
    const client = await connect(t, origin)
    client.send('more than is kept')
    client.socket.ping()
    await once(client.socket, 'pong')
    t.equal(fastify.websocketServer.clients.size, 1)
    t.strictSame(uncaught, [])
  })
}

/** What a logger is called with, and how often it fails first. */
function recordLog (failures: number) {
  const calls: unknown[][] = []
  let left = failures
  const level = (...args: unknown[]): void => {
    if (left-- > 0) fail()
    calls.push(args)
  }
  return { calls, log: { debug: level, info: level, warn: level, error: level } }
}

const FIELDS = { maxPayload: 1 }

test('an error is logged as it is', async (t) => {
  const { calls, log } = recordLog(0)
  const error = new Error('odd')
  logError(log, 'info', error, 'what happened', FIELDS)
  t.strictSame(calls, [[{ err: error, ...FIELDS }, 'what happened']])
  t.equal((calls[0]?.[0] as { err: unknown }).err, error)
})

test('where a logger fails on an error, it gets a copy', async (t) => {
  const { calls, log } = recordLog(1)
  const error = Object.freeze(Object.assign(new Error('odd'), { code: 'CODE', more: [] }))
  logError(log, 'info', error, 'what happened', FIELDS)
  t.match(calls, [[
    { err: { message: 'odd', code: 'CODE', stack: error.stack }, ...FIELDS }, 'what happened'
  ]])
  t.notOk('more' in (calls[0]?.[0] as { err: object }).err)
})

test('where a logger fails on what is no error, it gets one', async (t) => {
  const { calls, log } = recordLog(1)
  logError(log, 'info', Object.create(null), 'what happened')
  t.match(calls, [[{ err: { message: '[Object: null prototype] {}' } }, 'what happened']])
})

test('where a logger fails on a copy, it gets the text', async (t) => {
  const { calls, log } = recordLog(2)
  logError(log, 'info', new Error('odd'), 'what happened', FIELDS)
  t.match(calls, [[FIELDS, /^what happened: Error: odd\n +at /]])
})

test('a logger that always fails gets nothing, and nothing is thrown', async (t) => {
  const { calls, log } = recordLog(3)
  logError(log, 'info', new Error('odd'), 'what happened')
  t.strictSame(calls, [])
})
