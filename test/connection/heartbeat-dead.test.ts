// The heartbeat cuts off a peer that gives no sign of life.
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'tap'
import { DEBUG, Logs } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { holdIntervals } from '../helpers/timers'
import {
  type Connection, FIN_BINARY, PING, MB, DEAD, DEAD_PAUSED, connectSilent, pass
} from './silent-peer'

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
