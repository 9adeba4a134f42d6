// `forceCloseConnections: true` of Fastify: `close()` ends sessions of HTTP/2 in any state.
import { once } from 'node:events'
import { test } from 'tap'
import { answerTo, ask, H2, H2C, openSession, readUntil } from '../helpers/http2'
import { echo, serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { watchProcess } from '../helpers/uncaught'

const TEXT = 0x81
const CLOSE = 0x88
const GOING_AWAY = Buffer.from([0x03, 0xe9])
const FORCED = { forceCloseConnections: true }

for (const [name, scheme, options] of [['h2c', 'http', H2C], ['h2', 'https', H2]] as const) {
  const server = { ...options, ...FORCED }

  test(`close() ends an idle session of ${name} that carried nothing`, async (t) => {
    const { fastify } = await serve(t, { server, plugin: { handle: echo } })
    const session = await openSession(t, portOf(fastify.server), scheme)
    await Promise.all([once(session, 'close'), fastify.close()])
    t.ok(session.destroyed)
  })

  test(`close() ends an idle session of ${name} whose WebSocket has ended`, async (t) => {
    const { fastify } = await serve(t, { server, plugin: { handle: echo } })
    const session = await openSession(t, portOf(fastify.server), scheme)
    const stream = ask(session, '/')
    t.equal((await answerTo(stream)).status, 200)
    stream.write(frame(CLOSE, Buffer.from([0x03, 0xe8])))
    stream.resume()
    await once(stream, 'close')
    await Promise.all([once(session, 'close'), fastify.close()])
    t.ok(session.destroyed)
  })

  test(`close() tells a WebSocket on a session of ${name} 1001, and ends both`, async (t) => {
    const thrown = watchProcess(t)
    const closes: unknown[] = []
    const { fastify } = await serve(t, {
      server,
      plugin: {
        handle (connection) {
          connection.socket.on('close', (code) => { closes.push(code) })
          connection.socket.send('hello')
        }
      }
    })
    const session = await openSession(t, portOf(fastify.server), scheme)
    const stream = ask(session, '/')
    await readUntil(stream, Buffer.from([TEXT, 5, ...Buffer.from('hello')]))
    const closed = fastify.close()
    await readUntil(stream, Buffer.from([CLOSE, 2, ...GOING_AWAY]))
    t.notOk(session.destroyed, 'not before the closing handshake')
    stream.write(frame(CLOSE, GOING_AWAY))
    await Promise.all([once(session, 'close'), closed])
    t.same(closes, [1001])
    t.same(thrown, [])
  })

  test(`close() cuts off a WebSocket on a session of ${name} that does not answer`, async (t) => {
    const closes: unknown[] = []
    const { fastify } = await serve(t, {
      server,
      plugin: {
        closeTimeout: 50,
        handle ({ socket }) { socket.on('close', (code) => { closes.push(code) }) }
      }
    })
    const session = await openSession(t, portOf(fastify.server), scheme)
    const stream = ask(session, '/')
    t.equal((await answerTo(stream)).status, 200)
    stream.resume()
    await Promise.all([once(session, 'close'), fastify.close()])
    t.same(closes, [1006])
  })
}
