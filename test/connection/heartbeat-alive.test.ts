// The heartbeat leaves a peer alone that is alive, and one that cannot answer.
import { EventEmitter, once } from 'node:events'
import { test } from 'tap'
import { kOutbox } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame, readSome } from '../helpers/raw'
import { record, turn, until } from '../helpers/streams'
import { holdIntervals } from '../helpers/timers'
import { isUsual } from '../helpers/transports'
import {
  type Connection, FIN_BINARY, PONG, PING, MB, DEAD, DEAD_PAUSED, connectSilent, pass, OVER_TLS
} from './silent-peer'

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

test('a client of ws that answers pings stays connected', async (t) => {
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

/** Over TLS once, because in `test/transports/` all connections have a transport of their own. */
const SERVED = isUsual() ? { http: {}, https: OVER_TLS } : { http: {} }

for (const [name, served] of Object.entries(SERVED)) {
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
