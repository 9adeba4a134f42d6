// What is told of a connection: the diagnostics channels, and the line in the log for its end.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { test, type Test } from 'tap'
import type { FastifyServerOptions } from 'fastify'
import type fastifyWebsocket from '../../src/index'
import type { StreamSettings } from '../../src/stream/settings'
import { kSettings } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { DEBUG, ERROR, Logs, type LogLine } from '../helpers/logs'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { CERTIFICATE } from '../helpers/tls'

type Connection = Parameters<fastifyWebsocket.WebsocketHandler>[0]

/** The messages of the channels. */
interface Messages {
  open: fastifyWebsocket.OpenMessage
  close: fastifyWebsocket.CloseMessage
  error: fastifyWebsocket.ErrorMessage
}

/** What a channel tells while the test runs. */
function listen<N extends keyof Messages> (t: Test, name: N): Array<Messages[N]> {
  const messages: Array<Messages[N]> = []
  // The types of the channel do not know its messages.
  const onMessage = (message: unknown): void => { messages.push(message as Messages[N]) }
  subscribe(`fastify-websocket.${name}`, onMessage)
  t.teardown(() => unsubscribe(`fastify-websocket.${name}`, onMessage))
  return messages
}

/** The lines of the log for ends of connections. */
function endsIn ({ lines }: Logs): LogLine[] {
  return lines.filter(({ msg }) => msg === 'websocket connection closed')
}

// --- Channels ---

test('the channel of openings has the connection and the request before the handler', async (t) => {
  const messages = listen(t, 'open')
  const seen: unknown[] = []
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.get('/rooms/:room', { websocket: true }, (connection, _raw, request) => {
        seen.push(messages.length, messages[0]?.connection === connection)
        seen.push(messages[0]?.request === request)
      })
    }
  })
  await connect(t, `${origin}/rooms/one`)
  t.strictSame(seen, [1, true, true])
  t.match(messages[0], { request: { params: { room: 'one' } } })
})

test('the channel of ends has the route, the id, the code and what went over it', async (t) => {
  const messages = listen(t, 'close')
  const connections: Connection[] = []
  const { origin } = await serve(t, {
    server: { genReqId: () => 'my id' },
    declare (fastify) {
      fastify.get('/rooms/:room', { websocket: true }, function (connection, ...rest) {
        connections.push(connection)
        echo.call(this, connection, ...rest)
      })
    }
  })
  const client = await connect(t, `${origin}/rooms/one`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  client.close(4000, 'bye')
  await client.closed
  await until(() => messages.length > 0)
  const [{ connection, duration, ...rest } = { connection: null, duration: -1 }] = messages
  t.equal(connection, connections[0])
  t.ok(Number.isInteger(duration) && duration >= 0 && duration < 60_000)
  t.strictSame(rest, {
    id: 'my id',
    route: '/rooms/:room',
    code: 4000,
    reason: 'bye',
    messagesReceived: 1,
    messagesSent: 1,
    // Header, mask and payload of the message; the same of the close frame with its code.
    frameBytesReceived: 2 + 4 + 5 + 2 + 4 + 2 + 3,
    frameBytesSent: 2 + 5 + 2 + 2 + 3
  })
  t.equal(messages.length, 1)
})

test('the route of the global handle is a pattern', async (t) => {
  const messages = listen(t, 'close')
  const { origin } = await serve(t, { plugin: { handle: echo } })
  const client = await connect(t, `${origin}/some/path`)
  client.close()
  await until(() => messages.length > 0)
  t.match(messages, [{ route: '/*', code: 1005, reason: '' }])
})

test('frames that come with the request count as received', async (t) => {
  const messages = listen(t, 'close')
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  const client = new RawClient(t, portOf(fastify.server))
  const early = frame(0x81, 'early')
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), early]))
  await client.until('early')
  client.write(frame(0x88))
  await until(() => messages.length > 0)
  t.match(messages, [{
    messagesReceived: 1, frameBytesReceived: early.length + 6, frameBytesSent: 7 + 2
  }])
})

test('bytes over TLS and in memory are counted: those of the frames only', async (t) => {
  const messages = listen(t, 'close')
  const secure = await serve(t, {
    plugin: { handle: echo },
    // The types of the helper are those of http.
    server: { https: CERTIFICATE } as FastifyServerOptions
  })
  const client = await connect(t, secure.origin, { ca: CERTIFICATE.cert })
  client.send('hello')
  await client.next()
  client.socket.terminate()
  await until(() => messages.length === 1)
  const inMemory = await secure.fastify.injectWS('/')
  inMemory.send('hello')
  await once(inMemory, 'message')
  inMemory.terminate()
  await until(() => messages.length === 2)
  const end = { code: 1006, messagesReceived: 1, frameBytesReceived: 11, frameBytesSent: 7 }
  t.match(messages, [end, end])
})

test('the channel of errors has each error once, with its connection', async (t) => {
  const messages = listen(t, 'error')
  const { origin } = await serve(t, {
    plugin: { handle: () => { throw Object.assign(new Error('broken'), { code: 'BROKEN' }) } }
  })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1011)
  await turn()
  t.match(messages, [{ error: { code: 'BROKEN' }, connection: { closeCode: 1011 } }])
  t.equal(messages.length, 1)
})

test('a subscriber that comes after a connection is not told of its end', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const early = await connect(t, origin)
  const messages = listen(t, 'close')
  const late = await connect(t, origin)
  early.close(4001)
  await early.closed
  late.close(4002)
  await until(() => fastify.websocketServer.stats().open === 0)
  t.match(messages, [{ code: 4002 }])
  t.equal(messages.length, 1)
})

test('a subscriber that has left is not called', async (t) => {
  const messages: unknown[] = []
  const onMessage = (message: unknown): void => { messages.push(message) }
  subscribe('fastify-websocket.close', onMessage)
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const client = await connect(t, origin)
  unsubscribe('fastify-websocket.close', onMessage)
  client.close()
  await until(() => fastify.websocketServer.stats().open === 0)
  t.strictSame(messages, [])
})

test('what is counted apart for a connection is in the numbers of all', async (t) => {
  const messages = listen(t, 'close')
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const clients = [await connect(t, origin), await connect(t, origin)]
  for (const client of clients) {
    client.send('hello')
    await client.next()
  }
  t.match(fastify.websocketServer.stats(), { messagesReceived: 2, bytesSent: 10 })
  for (const client of clients) client.close()
  await until(() => messages.length === 2)
  t.match(messages, [{ messagesReceived: 1 }, { messagesReceived: 1 }])
  t.match(fastify.websocketServer.stats(), { messagesReceived: 2, bytesSent: 10 })
})

// --- The line in the log ---

test('the end of a connection is one line at debug, with the id of its request', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, { plugin: { handle: echo }, server: { logger: logs.logger } })
  const client = await connect(t, origin)
  client.send('hello')
  await client.next()
  client.close(4000, 'bye')
  const line = await logs.find('websocket connection closed')
  t.match(line, {
    level: DEBUG,
    reqId: 'req-1',
    code: 4000,
    reason: 'bye',
    duration: Number,
    messagesReceived: 1,
    messagesSent: 1,
    frameBytesReceived: 22,
    frameBytesSent: 14
  })
})

for (const [closeLog, level] of [['info', 30], ['error', ERROR], ['fatal', 60]] as const) {
  test(`with closeLog ${closeLog} the line has that level`, async (t) => {
    const logs = new Logs()
    const { origin } = await serve(t, {
      plugin: { handle: echo, closeLog }, server: { logger: logs.logger }
    })
    const client = await connect(t, origin)
    client.close()
    t.match(await logs.find('websocket connection closed'), { level, code: 1005 })
  })
}

for (const closeLog of [false, 'trace'] as const) {
  test(`with closeLog ${closeLog} there is no line, and nothing is kept for it`, async (t) => {
    const logs = new Logs()
    const settings: StreamSettings[] = []
    const { fastify, origin } = await serve(t, {
      plugin: {
        closeLog, handle ({ socket }) { settings.push(socket[kSettings]) }
      },
      server: { logger: logs.logger }
    })
    const clients = [await connect(t, origin), await connect(t, origin)]
    t.equal(settings[0], settings[1])
    for (const client of clients) client.close()
    await until(() => fastify.websocketServer.stats().open === 0)
    t.strictSame(endsIn(logs), [])
  })
}

test('without a logger nothing is kept for the line', async (t) => {
  const settings: StreamSettings[] = []
  const { origin } = await serve(t, {
    plugin: { handle ({ socket }) { settings.push(socket[kSettings]) } }
  })
  await connect(t, origin)
  await connect(t, origin)
  t.equal(settings[0], settings[1])
})

/** How a peer ends a connection. */
const ENDS: Record<string, (client: RawClient) => void> = {
  'a close frame': ({ socket }) => { socket.write(frame(0x88)) },
  'two close frames': ({ socket }) => { socket.write(Buffer.concat([frame(0x88), frame(0x88)])) },
  'a reset': (client) => { client.reset() },
  'an end without a close frame': ({ socket }) => { socket.end() },
  'a frame that breaks a rule': ({ socket }) => { socket.write(frame(0xff)) },
  'a message that the handler throws at, and a reset': (client) => {
    client.write(frame(0x81, 'throw'))
    client.reset()
  },
  'a close frame and a reset': (client) => {
    client.write(frame(0x88))
    client.reset()
  }
}

for (const [what, end] of Object.entries(ENDS)) {
  test(`one line after ${what}`, async (t) => {
    const logs = new Logs()
    const messages = listen(t, 'close')
    const { fastify } = await serve(t, {
      plugin: {
        handle ({ socket }) {
          socket.on('message', () => { throw new Error('broken') })
          socket.on('close', () => {
            // An application may do that, by a library for example.
            socket.emit('close', 1000, Buffer.alloc(0))
          })
        }
      },
      server: { logger: logs.logger }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    await client.until('\r\n\r\n')
    end(client)
    await client.closed
    await until(() => endsIn(logs).length > 0)
    await turn()
    t.equal(endsIn(logs).length, 1)
    t.equal(messages.length, 1)
  })
}

// --- Loggers of the application ---

/** A logger with methods of its own, without levels; `log` gets what it logs. */
function createLogger (log: (level: string, ...args: unknown[]) => void): object {
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']
  const methods = levels.map((level) => {
    return [level, (...args: unknown[]) => { log(level, ...args) }] as const
  })
  const logger: object = { ...Object.fromEntries(methods), child: () => logger, level: 'trace' }
  return logger
}

test('a logger that does not tell its level gets the line', async (t) => {
  const lines: unknown[][] = []
  const { origin } = await serve(t, {
    plugin: { handle: echo },
    // The types of Fastify ask for more of a logger than it calls.
    server: { loggerInstance: createLogger((...line) => { lines.push(line) }) } as never
  })
  const client = await connect(t, origin)
  client.close(1000)
  const ends = (): unknown[] => lines.filter(([, , text]) => text === 'websocket connection closed')
  await until(() => ends().length > 0)
  t.match(ends(), [['debug', { code: 1000 }, 'websocket connection closed']])
})

for (const when of ['when it is asked for its level', 'when it gets the line']) {
  test(`a logger that throws ${when} does no harm`, async (t) => {
    const messages = listen(t, 'close')
    const fail = (): never => { throw new Error('full') }
    const isAsked = when.includes('asked')
    const logger = createLogger((_level, _fields, text) => {
      if (text === 'websocket connection closed') fail()
    })
    const { fastify, origin } = await serve(t, {
      plugin: { handle: echo },
      // As above.
      server: {
        loggerInstance: Object.assign(logger, isAsked && { isLevelEnabled: fail })
      } as never
    })
    const client = await connect(t, origin)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    client.close()
    t.equal((await client.closed).code, 1005)
    await until(() => messages.length > 0)
    t.equal(fastify.websocketServer.stats().open, 0)
  })
}
