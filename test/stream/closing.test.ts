import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import { test, type Test } from 'tap'
import { Closing } from '../../src/stream/closing'
import { StreamSettings } from '../../src/stream/settings'
import type { StreamSocket } from '../../src/stream/socket'
import { SocketStream } from '../../src/stream/duplex'
import { kOutbox, kSettings } from '../../src/stream/symbols'
import { INFO, Logs } from '../helpers/logs'
import { serve, type Served } from '../helpers/plugin'
import { frame, RawClient, readSome, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { createPair, createRawPair, flood, record, turn, until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'
import { CERTIFICATE } from '../helpers/tls'
import { isHttp2, isUsual } from '../helpers/transports'

const CLOSE_TIMEOUT = 54_321
const MB = 1024 * 1024
const CLOSE = 0x88
const CLOSE_1000 = Buffer.from([0x88, 0x02, 0x03, 0xe8])
const NORMAL = Buffer.from([0x03, 0xe8])

/** Least that a peer has to take in one time. */
const LEAST = Math.ceil(1024 * CLOSE_TIMEOUT / 1000)

/** A clock, and how it ends the connection of which it is told what has been sent. */
async function startClosing (t: Test, isSlow = false) {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const ends: unknown[] = []
  const outbox = { sentBytes: 0, isSlow }
  const socket = {
    [kSettings]: new StreamSettings({ closeTimeout: CLOSE_TIMEOUT }),
    [kOutbox]: outbox,
    terminate () { ends.push('terminated') },
    emit (_event: 'error', error: Error) { return ends.push(error) > 0 }
  }
  const closing = new Closing(socket)
  // The system takes it for itself.
  outbox.sentBytes = 10 * LEAST
  await turn()
  const send = (bytes: number): void => { outbox.sentBytes += bytes }
  return { timers, ends, closing, send }
}

test('a peer that takes less than 1 KiB a second is cut off with an error', async (t) => {
  const { timers, ends, send } = await startClosing(t)
  send(LEAST - 1)
  timers.run()
  t.match(ends, ['terminated', {
    code: 'FST_WS_CLOSE_TIMEOUT',
    message: /^the peer has not taken what was sent before the close for 54321 ms,/
  }])
  t.equal(timers.size, 0)
})

test('a peer that takes 1 KiB a second has the same time again, and again', async (t) => {
  const { timers, ends, send } = await startClosing(t)
  for (let times = 0; times < 10; times++) {
    send(LEAST)
    timers.run()
    t.same(ends, [])
  }
  timers.run()
  t.match(ends, ['terminated', { code: 'FST_WS_CLOSE_TIMEOUT' }])
})

test('from when the close frame has left, a peer has one time to hang up', async (t) => {
  const { timers, ends, closing, send } = await startClosing(t)
  closing.leave()
  t.equal(timers.refreshes, 1)
  send(LEAST)
  timers.run()
  t.same(ends, ['terminated'])
})

test('a peer that is hurried has the time that is left, whatever it does', async (t) => {
  const { timers, ends, closing, send } = await startClosing(t, true)
  send(LEAST)
  closing.leave()
  t.equal(timers.refreshes, 0)
  timers.run()
  t.same(ends, ['terminated'])
})

test('a peer that has hung up is not cut off', async (t) => {
  const { timers, ends, closing } = await startClosing(t)
  closing.stop()
  t.equal(timers.size, 0)
  t.same(ends, [])
})

test('with closeTimeout: 0 a peer that takes nothing is cut off', async (t) => {
  const { stream, client } = await createRawPair(t, { closeTimeout: 0 })
  client.socket.pause()
  stream.socket.send(Buffer.alloc(20 * MB))
  const failed = once(stream, 'error')
  stream.socket.close()
  t.match(await failed, [{ code: 'FST_WS_CLOSE_TIMEOUT' }])
})

/** Fastify has types of its own for an HTTPS server; what tests do with it is the same. */
const HTTPS = { https: CERTIFICATE } as object

/** Sends `bytes` and ends; the client does not read yet. */
async function endWith (t: Test, bytes: number, served: Served = {}) {
  const logs = new Logs()
  const seen: unknown[][] = []
  const sockets: StreamSocket[] = []
  const isTls = served.server !== undefined
  const { fastify } = await serve(t, {
    server: { logger: logs.logger, pluginTimeout: 0, ...served.server },
    plugin: {
      closeTimeout: CLOSE_TIMEOUT,
      handle (connection) {
        sockets.push(connection.socket)
        for (const event of ['finish', 'error', 'close']) {
          connection.on(event, (...args) => { seen.push([event, ...args]) })
        }
        connection.end(Buffer.alloc(bytes))
      }
    }
  })
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const port = portOf(fastify.server)
  const client = new RawClient(t, port, isTls
    ? connectTls({ port, host: '127.0.0.1', ca: CERTIFICATE.cert })
    : undefined)
  client.socket.removeAllListeners('data').pause()
  client.write(upgradeHead('/'))
  await until(() => timers.size > 0)
  await turn()
  /** Has the client read on, until that is seen in the process. */
  const proceed = async (): Promise<void> => {
    const [socket] = sockets
    const sent = socket?.[kOutbox].sentBytes ?? 0
    await readSome(client, 3 * MB)
    await until(() => Number(socket?.[kOutbox].sentBytes) > sent)
  }
  return { fastify, timers, client, seen, logs, proceed }
}

/** Over TLS once, because in `test/transports/` all connections have a transport of their own. */
const SERVED = isUsual() ? { ws: {}, wss: { server: HTTPS } } : { ws: {} }

for (const [scheme, served] of Object.entries(SERVED)) {
  test(`${scheme}: end() gives a slow peer everything, then 1000`, async (t) => {
    const size = 24 * MB
    const { timers, client, seen, proceed } = await endWith(t, size, served)
    const { socket } = client
    for (let rest = size - 12 * MB; rest > 0; rest -= 3 * MB) {
      await proceed()
      timers.run()
      t.same(seen, [])
    }
    const last: Buffer[] = []
    socket.on('data', (chunk) => { last.push(chunk) }).resume()
    await until(() => last.at(-1)?.subarray(-4).equals(CLOSE_1000) === true)
    t.ok(socket.bytesRead > size)
    client.write(frame(CLOSE, NORMAL))
    await client.closed
    await until(() => seen.length === 2)
    t.same(seen, [['finish'], ['close']])
    t.equal(timers.size, 0)
  })

  test(`${scheme}: a peer that stops reading after end() is cut off and reported`, async (t) => {
    const { fastify, timers, seen, logs, proceed } = await endWith(t, 24 * MB, served)
    await proceed()
    timers.run()
    t.same(seen, [])
    await until(() => {
      // Over HTTP/2, what the peer has room for leaves in several turns.
      timers.run()
      return seen.length === 2
    })
    t.match(seen, [['error', { code: 'FST_WS_CLOSE_TIMEOUT' }], ['close']])
    const line = await logs.find('websocket peer broke a rule')
    t.match(line, { level: INFO, err: { code: 'FST_WS_CLOSE_TIMEOUT' } })
    await until(() => fastify.websocketServer.clients.size === 0)
  })
}

test('fastify.close() does not wait for a slow peer any longer than closeTimeout', async (t) => {
  const { fastify, timers, proceed } = await endWith(t, 24 * MB)
  const before = timers.size
  const closed = fastify.close()
  await until(() => timers.size > before)
  await proceed()
  timers.run()
  await closed
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('a peer that is too slow gets no more time by reading', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const { stream, client } = await createRawPair(t, {
    maxBackpressure: 1000, closeTimeout: CLOSE_TIMEOUT
  })
  const closes = record(stream.socket, 'close')
  client.socket.removeAllListeners('data').pause()
  await flood(stream.socket, Buffer.alloc(MB))
  const failed = once(stream, 'error')
  await readSome(client, MB / 2)
  timers.run()
  t.match(await failed, [{ code: 'FST_WS_BACKPRESSURE' }])
  t.match(closes, [[1006]])
})

test('a connection that ws ends by itself has a closeTimeout', {
  skip: isHttp2() && 'over HTTP/2 the server closes the stream, whatever the peer does'
}, async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const { stream, client } = await createRawPair(t, { closeTimeout: CLOSE_TIMEOUT })
  const failed = once(stream, 'error')
  client.socket.allowHalfOpen = true
  const blob = new Blob(['never read'])
  blob.arrayBuffer = () => Promise.reject(new Error('unreadable'))
  stream.socket.send(blob)
  await until(() => stream.socket.readyState === stream.socket.CLOSING)
  t.equal(timers.size, 1)
  await once(client.socket, 'end')
  timers.run()
  t.match(await failed, [{ message: 'unreadable' }])
  client.socket.destroy()
})

test('the clock is there while a connection is being closed, and no longer', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const { stream, client } = await createPair(t, { closeTimeout: CLOSE_TIMEOUT })
  stream.resume()
  client.send('hello')
  await once(stream.socket, 'message')
  t.equal(timers.size, 0)
  stream.end()
  t.equal(timers.size, 1)
  await client.closed
  await until(() => stream.closed)
  t.equal(timers.size, 0)
})

test('a stream with options of its own has the closeTimeout of its server', async (t) => {
  const { stream: { socket } } = await createPair(t, { closeTimeout: CLOSE_TIMEOUT })
  const own = new SocketStream(socket, { objectMode: true })
  t.equal(own.socket[kSettings].closeTimeout, CLOSE_TIMEOUT)
})

test('what waits for its compression is sent before the clock of the answer starts', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const options = { perMessageDeflate: { threshold: 0 }, closeTimeout: CLOSE_TIMEOUT }
  const { stream, client } = await createPair(t, options, { perMessageDeflate: true })
  const finished = once(stream, 'finish')
  stream.write(Buffer.alloc(100_000))
  stream.end()
  stream.resume()
  t.equal(timers.refreshes, 0)
  t.equal((await client.next()).data.length, 100_000)
  await finished
  t.equal(timers.refreshes, 1)
  await client.closed
})
