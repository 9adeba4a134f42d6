import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { kOutbox } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { DEBUG, Logs } from '../helpers/logs'
import { serve, type Served } from '../helpers/plugin'
import { frame, RawClient, readSome, upgradeHead } from '../helpers/raw'
import { portOf, type Teardown } from '../helpers/servers'
import { record, turn, until } from '../helpers/streams'
import { holdIntervals, type HeldIntervals } from '../helpers/timers'
import { CERTIFICATE } from '../helpers/tls'

type Connection = Parameters<fastifyWebsocket.WebsocketHandler>[0]

const FIN_BINARY = 0x82
const PONG = 0x8a
const PING = '\x89\x00'
const MB = 1024 * 1024

/** Beats without a sign of life until a peer is cut off, and until one that is paused is. */
const DEAD = 3
const DEAD_PAUSED = 40

/** Both ends of a connection with a client that does nothing by itself, and a clock of its own. */
interface Silent {
  readonly beats: HeldIntervals
  readonly client: RawClient
  readonly connection: Connection
  readonly request: IncomingMessage
  readonly errors: unknown[][]
  readonly closes: unknown[][]
  readonly clients: Set<unknown>
}

/** Serves `/`, without an `errorHandler` if there are logs, and connects. */
async function connectSilent (
  t: Teardown, handle: (connection: Connection) => unknown = () => {}, served: Served = {}
): Promise<Silent> {
  const beats = holdIntervals(t)
  const errors: unknown[][] = []
  const closes: unknown[][] = []
  const handled = new EventEmitter()
  const upgraded = once(handled, 'connection')
  const hasLogs = served.server?.logger !== undefined
  const { fastify } = await serve(t, {
    plugin: hasLogs ? {} : { errorHandler: (...args) => { errors.push(args) } },
    ...served,
    declare (fastify) {
      fastify.get('/', { websocket: true }, (connection, request) => {
        connection.socket.on('close', (...args) => { closes.push(args) })
        handled.emit('connection', connection, request)
        return handle(connection)
      })
    }
  })
  const port = portOf(fastify.server)
  const isTls = served.server !== undefined && 'https' in served.server
  const client = new RawClient(t, port, isTls
    ? connectTls({ port, host: '127.0.0.1', ca: CERTIFICATE.cert })
    : undefined)
  client.write(upgradeHead('/'))
  const [connection, request] = await upgraded
  await client.until('\r\n\r\n')
  // The first finds that the handshake has come.
  await pass(beats, 1)
  return {
    beats, client, connection, request, errors, closes, clients: fastify.websocketServer.clients
  }
}

/** Turns of the event loop that a beat needs, and some more. */
const TURNS = 10

/** Lets beats pass, each with what it sets off. */
async function pass (beats: HeldIntervals, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    beats.run()
    for (let turns = 0; turns < TURNS; turns++) await turn()
  }
}

test('all connections share one timer, which is there while they are', async (t) => {
  const beats = holdIntervals(t)
  const { fastify, origin } = await serve(t, {
    declare (fastify) { fastify.get('/', { websocket: true }, () => {}) }
  })
  t.same(beats.delays, [])
  const clients = [await connect(t, origin), await connect(t, origin)]
  t.same(beats.delays, [15_000])
  for (const client of clients) {
    t.same(beats.delays, [15_000])
    client.close()
    await client.closed
    await until(() => fastify.websocketServer.clients.size < clients.length)
  }
  await until(() => fastify.websocketServer.clients.size === 0)
  t.same(beats.delays, [])

  await connect(t, origin)
  t.same(beats.delays, [15_000])
  await fastify.close()
  t.same(beats.delays, [])
})

test('a route has the interval that it asks for, or none', async (t) => {
  const beats = holdIntervals(t)
  const { origin } = await serve(t, {
    plugin: { heartbeat: 1000 },
    declare (fastify) {
      fastify.get('/', { websocket: true }, () => {})
      fastify.get('/same', { websocket: { heartbeat: 1000 } }, () => {})
      fastify.get('/own', { websocket: { heartbeat: 300 } }, () => {})
      fastify.get('/off', { websocket: { heartbeat: false } }, () => {})
    }
  })
  for (const path of ['/off', '/', '/same', '/own']) await connect(t, `${origin}${path}`)
  t.same(beats.delays, [500, 150])
})

test('false turns it off, and a route may turn it on', async (t) => {
  const beats = holdIntervals(t)
  const { origin } = await serve(t, {
    plugin: { heartbeat: false },
    declare (fastify) {
      fastify.get('/', { websocket: true }, () => {})
      fastify.get('/on', { websocket: { heartbeat: 300 } }, () => {})
    }
  })
  await connect(t, origin)
  t.same(beats.delays, [])
  await connect(t, `${origin}/on`)
  t.same(beats.delays, [150])
})

test('a silent peer that answers pings stays', async (t) => {
  const { beats, client, connection, errors } = await connectSilent(t)
  for (let pings = 1; pings <= 5; pings++) {
    await pass(beats, 1)
    await client.until(PING.repeat(pings))
    await pass(beats, DEAD - 2)
    const answered = once(connection.socket, 'pong')
    client.write(frame(PONG))
    await answered
    await pass(beats, 1)
  }
  t.equal(connection.socket.readyState, connection.socket.OPEN)
  t.same(errors, [])
})

test('so does a client of ws', async (t) => {
  const beats = holdIntervals(t)
  const handled = new EventEmitter()
  const upgraded = once(handled, 'connection')
  const errors: unknown[] = []
  const { origin } = await serve(t, {
    plugin: { errorHandler: (error) => { errors.push(error) } },
    declare (fastify) {
      fastify.get('/', { websocket: true }, (connection) => {
        handled.emit('connection', connection)
      })
    }
  })
  const client = await connect(t, origin)
  const [{ socket }] = await upgraded
  // The first finds that the handshake has come, and each second one after it that a pong has.
  await pass(beats, 1)
  for (let pongs = 0; pongs < 5; pongs++) {
    const answered = once(socket, 'pong')
    await pass(beats, 1)
    await answered
    await pass(beats, 1)
  }
  t.same(errors, [])
  socket.close(4000)
  t.same(await client.closed, { code: 4000, reason: '' })
})

test('in real time, a client of ws is pinged', async (t) => {
  const { origin } = await serve(t, {
    // As long as a pong may take: far longer than it does.
    plugin: { heartbeat: 1000 },
    declare (fastify) {
      fastify.get('/', { websocket: true }, ({ socket }) => {
        socket.on('pong', () => { socket.close(4000) })
      })
    }
  })
  const client = await connect(t, origin)
  t.same(await client.closed, { code: 4000, reason: '' })
})

test('a peer that answers nothing is cut off', async (t) => {
  const { beats, client, connection, errors, closes, clients } = await connectSilent(t)
  const chunks: unknown[] = []
  const read = (async () => { for await (const chunk of connection) chunks.push(chunk) })()
  client.write(frame(FIN_BINARY, 'last words'))
  await until(() => chunks.length === 1)
  await pass(beats, 1)
  await pass(beats, DEAD - 1)
  t.equal(connection.socket.readyState, connection.socket.OPEN)
  t.same(errors, [])

  const ended = t.rejects(read, { code: 'FST_WS_UNRESPONSIVE' })
  await pass(beats, 1)
  await Promise.all([ended, client.closed])
  t.match(errors, [[{
    code: 'FST_WS_UNRESPONSIVE', message: 'the peer has not answered a ping for 30000 ms'
  }, connection]])
  t.equal(errors.length, 1)
  t.match(closes, [[1006]])
  t.equal(clients.size, 0)
  t.equal(client.received.toString('latin1').split('\r\n\r\n')[1], PING)
})

test('a peer that answers nothing leaves one line in the log, at debug', async (t) => {
  const logs = new Logs()
  const { beats, client, closes } = await connectSilent(t, () => {}, {
    server: { logger: logs.logger }
  })
  await pass(beats, DEAD)
  await client.closed
  await until(() => closes.length === 1)
  await turn()
  const lines = logs.lines.filter(({ err }) => err !== undefined)
  t.match(lines, [{
    level: DEBUG, msg: 'websocket connection lost', err: { code: 'FST_WS_UNRESPONSIVE' }
  }])
  t.equal(lines.length, 1)
})

test('an error handler of a peer that was cut off has the context of its request', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const beats = holdIntervals(t)
  // As Node.js does it for a timer: its callback has the context that it was set in.
  const { setInterval } = globalThis
  Object.assign(globalThis, {
    setInterval: (callback: () => void, delay: number) => {
      return setInterval(AsyncLocalStorage.bind(callback), delay)
    }
  })
  const { fastify } = await serve(t, {
    plugin: { errorHandler: () => { seen.push(storage.getStore()) } },
    declare (fastify) {
      fastify.addHook('onRequest', (request, _reply, done) => { storage.run(request.url, done) })
      fastify.get('/:name', { websocket: true }, () => {})
    }
  })
  for (const path of ['/first', '/second']) {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead(path))
    await client.until('\r\n\r\n')
  }
  await pass(beats, 1 + DEAD)
  await until(() => seen.length === 2)
  t.same(seen, ['/first', '/second'])
})

test('a large message that trickles in is a sign of life', async (t) => {
  const messages: number[] = []
  const { beats, client, request, errors } = await connectSilent(t, ({ socket }) => {
    socket.on('message', (message) => { messages.push(message.length) })
  })
  const bytes = frame(FIN_BINARY, 'x'.repeat(100))
  for (const byte of bytes) {
    t.same(messages, [])
    const { bytesRead } = request.socket
    client.write(Buffer.of(byte))
    await until(() => request.socket.bytesRead > bytesRead)
    await pass(beats, 1)
  }
  await until(() => messages.length === 1)
  t.same(errors, [])
  // Nor was it pinged.
  t.notMatch(client.received.toString('latin1'), PING)
})

const OVER_TLS: Served = {
  // Fastify's types of the helper are those of http.
  server: { https: CERTIFICATE } as object
}

for (const [name, served] of [['http', {}], ['https', OVER_TLS]] as const) {
  test(`a slow download of one large message over ${name} is a sign of life`, async (t) => {
    const size = 24 * MB
    const silent = await connectSilent(t, () => {}, served)
    const { beats, client, connection: { socket }, closes, errors } = silent
    client.socket.removeAllListeners('data').pause()
    const pings = record(socket, 'pong')
    socket.send(Buffer.alloc(size))
    await turn()
    await pass(beats, 1)
    for (let rest = size - 12 * MB; rest > 0; rest -= 3 * MB) {
      await pass(beats, DEAD - 1)
      const progress = socket[kOutbox].progress
      await readSome(client, 3 * MB)
      await until(() => socket[kOutbox].progress !== progress)
      await pass(beats, 1)
      if (closes.length + errors.length > 0) break
    }
    t.same(errors, [])
    t.same(pings, [])
    t.equal(socket.readyState, socket.OPEN)
    t.ok(socket.bufferedAmount > 0)
  })
}

for (const [name, size] of [['much', MB], ['little', 10]] as const) {
  test(`a peer that never reads is cut off although ${name} is sent to it`, async (t) => {
    const { beats, client, connection: { socket }, errors, closes } = await connectSilent(t)
    client.socket.pause()
    for (let i = 0; i < 50 && closes.length === 0; i++) {
      socket.send(Buffer.alloc(size))
      await pass(beats, 1)
    }
    t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
    t.match(closes, [[1006]])
  })
}

test('a peer whom the application does not read is cut off much later', async (t) => {
  const { beats, client, connection, errors } = await connectSilent(t)
  connection.socket.pause()
  await pass(beats, DEAD_PAUSED - 1)
  t.same(errors, [])
  await pass(beats, 1)
  t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
  await client.closed
})

for (const beatsPaused of [1, 2, DEAD, DEAD_PAUSED - 2]) {
  test(`read again after ${beatsPaused} beats, a peer has its time to answer`, async (t) => {
    const { beats, client, connection: { socket }, errors } = await connectSilent(t)
    await pass(beats, DEAD - 1)
    socket.pause()
    await pass(beats, beatsPaused)
    await client.until(PING)
    // It waits in the system.
    client.write(frame(PONG))
    socket.resume()
    const answered = once(socket, 'pong')
    await pass(beats, 1)
    await answered
    await pass(beats, DEAD - 1)
    t.same(errors, [])
    t.equal(socket.readyState, socket.OPEN)
    await pass(beats, 1)
    t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
  })
}

/** Beats of an hour. */
const HOUR = 240

test('the beats of an hour that pass in one step are one beat', async (t) => {
  const { beats, client, errors } = await connectSilent(t)
  for (let i = 0; i < HOUR; i++) beats.run()
  await pass(beats, DEAD - 1)
  t.same(errors, [])
  await pass(beats, 1)
  t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
  await client.closed
})

test('an hour of beats, each with a turn, leaves a client in memory alone', async (t) => {
  const beats = holdIntervals(t)
  const errors: unknown[] = []
  const { fastify } = await serve(t, {
    plugin: { errorHandler: (error) => { errors.push(error) } },
    declare (fastify) { fastify.get('/', { websocket: true }, () => {}) }
  })
  const client = await fastify.injectWS('/')
  const pings = record(client, 'ping')
  for (let i = 0; i < HOUR; i++) {
    beats.run()
    await turn()
  }
  t.same(errors, [])
  t.ok(pings.length > 0)
  t.equal(client.readyState, client.OPEN)
})

test('what has arrived before a beat is read before its checks', async (t) => {
  const { beats, client, connection: { socket }, errors } = await connectSilent(t)
  await pass(beats, DEAD - 1)
  await client.until(PING)
  // The system has it, and this process has not read it.
  client.write(frame(PONG))
  const answered = once(socket, 'pong')
  await pass(beats, 1)
  await answered
  t.same(errors, [])
  t.equal(socket.readyState, socket.OPEN)
})

for (const [what, close] of Object.entries<(socket: Connection['socket']) => void>({
  'a code that cannot be sent': (socket) => { socket.close(1005) },
  'a reason that is too long': (socket) => { socket.close(1000, 'x'.repeat(124)) }
})) {
  test(`close() with ${what} throws, and the heartbeat goes on`, async (t) => {
    const { beats, client, connection: { socket }, errors } = await connectSilent(t)
    t.throws(() => { close(socket) })
    t.equal(socket.readyState, socket.OPEN)
    await pass(beats, DEAD)
    t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
    await client.closed
  })
}

const BUSY_HANDLERS: ReadonlyArray<[string, (connection: Connection) => unknown]> = [
  ['whose stream is full', (connection) => { connection.on('readable', () => {}) }],
  ['whose handler still runs', ({ socket }) => once(socket, 'close')]
]

for (const [name, handle] of BUSY_HANDLERS) {
  test(`a connection ${name} is not cut off as if it were dead`, async (t) => {
    const { beats, client, connection: { socket }, errors } = await connectSilent(t, handle)
    t.teardown(() => { socket.terminate() })
    for (let i = 0; i < 2000; i++) client.write(frame(FIN_BINARY, 'x'.repeat(100)))
    await until(() => socket.isPaused)
    await pass(beats, 1 + DEAD * 5)
    t.ok(socket.isPaused)
    t.same(errors, [])
    t.equal(socket.readyState, socket.OPEN)
  })
}

test('a peer that ends and never reads is cut off', async (t) => {
  const { beats, client, connection: { socket }, errors, closes } = await connectSilent(t)
  client.socket.pause()
  socket.send(Buffer.alloc(20 * MB))
  client.socket.end()
  await until(() => socket.readyState === socket.CLOSING)
  // It does not make the peer any better.
  socket.close()
  await pass(beats, 1)
  await pass(beats, DEAD - 1)
  t.same(errors, [])
  t.same(closes, [])
  await pass(beats, 1)
  t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
  await until(() => closes.length > 0)
  t.match(closes, [[1006]])
})

test('a peer that ends and still reads gets all', async (t) => {
  const size = 16 * MB
  const { beats, client, connection: { socket }, errors } = await connectSilent(t)
  client.socket.removeAllListeners('data').pause()
  socket.send(Buffer.alloc(size))
  client.socket.end()
  await until(() => socket.readyState === socket.CLOSING)
  await pass(beats, 1)
  await pass(beats, DEAD - 1)
  client.socket.resume()
  await client.closed
  t.ok(client.socket.bytesRead > size)
  t.notMatch(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
})

test('the time of a connection that is being closed is its closeTimeout', async (t) => {
  const { beats, connection: { socket }, errors } = await connectSilent(t)
  socket.close()
  await pass(beats, DEAD * 3)
  t.equal(socket.readyState, socket.CLOSING)
  t.same(errors, [])
})

test('it works over https', async (t) => {
  const { beats, client, connection: { socket }, errors } = await connectSilent(
    t, () => {}, OVER_TLS)
  await pass(beats, DEAD - 1)
  const answered = once(socket, 'pong')
  client.write(frame(PONG))
  await answered
  await pass(beats, DEAD)
  t.same(errors, [])
  await pass(beats, 1)
  t.match(errors, [[{ code: 'FST_WS_UNRESPONSIVE' }]])
  await client.closed
})

test('it works over injectWS', async (t) => {
  const beats = holdIntervals(t)
  const { fastify } = await serve(t, {
    declare (fastify) { fastify.get('/', { websocket: true }, () => {}) }
  })
  const alive = await fastify.injectWS('/')
  const dead = await fastify.injectWS('/', { autoPong: false })
  const pings = [record(alive, 'ping'), record(dead, 'ping')]
  const closed = once(dead, 'close')
  for (let i = 0; i < 1 + DEAD; i++) {
    await pass(beats, 1)
    // A message arrives two turns later, and so does its answer.
    for (let turns = 0; turns < 10; turns++) await turn()
  }
  t.match(await closed, [1006])
  t.same(pings.map(({ length }) => length), [2, 1])
  t.equal(alive.readyState, alive.OPEN)
  alive.terminate()
})

test('who comes over what does not count bytes is never judged', async (t) => {
  const beats = holdIntervals(t)
  const errors: unknown[] = []
  const { fastify } = await serve(t, {
    plugin: { errorHandler: (error) => { errors.push(error) } },
    declare (fastify) {
      fastify.get('/', { websocket: true }, ({ socket }) => { socket.send('unsent') })
    }
  })
  const written: Buffer[] = []
  const transport = new Duplex({
    read () {},
    write (chunk, _encoding, callback) {
      // Only the handshake leaves.
      if (written.push(chunk) === 1) callback()
    }
  })
  t.teardown(() => transport.destroy())
  // Node.js takes any Duplex; its types say Socket.
  const request = Object.assign(new IncomingMessage(transport as Socket), {
    method: 'GET',
    url: '/',
    httpVersion: '1.1',
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    rawHeaders: ['Host', 'localhost'],
    headers: {
      host: 'localhost',
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
    }
  })
  fastify.server.emit('upgrade', request, transport, Buffer.alloc(0))
  await until(() => fastify.websocketServer.clients.size === 1)
  await pass(beats, DEAD_PAUSED * 2)
  t.match(Buffer.concat(written).toString('latin1'), /^HTTP\/1.1 101 /)
  t.equal(fastify.websocketServer.clients.size, 1)
  t.same(errors, [])
})
