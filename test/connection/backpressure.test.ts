import { once } from 'node:events'
import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { connect } from '../helpers/client'
import { INFO, Logs } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { flood, turn, until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

const LIMIT = 256 * 1024
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const CLOSE_TIMEOUT = 4321

test('a handler that sends to a peer that never reads loses it to errorHandler', async (t) => {
  const timers = holdTimers(t, CLOSE_TIMEOUT)
  const errors: unknown[] = []
  const closes: unknown[][] = []
  const { fastify, origin } = await serve(t, {
    plugin: {
      maxBackpressure: LIMIT,
      closeTimeout: CLOSE_TIMEOUT,
      errorHandler: (error) => { errors.push(error) }
    },
    declare (fastify) {
      fastify.get('/', { websocket: true }, async ({ socket }) => {
        socket.on('close', (...args) => { closes.push(args) })
        await once(socket, 'message')
        await flood(socket, CHUNK)
      })
    }
  })
  const client = await connect(t, origin)
  client.socket.pause()
  client.send('go')
  await until(() => errors.length > 0)
  await turn()
  t.match(errors, [{ code: 'FST_WS_BACKPRESSURE' }])
  t.equal(errors.length, 1)
  t.equal(fastify.websocketServer.clients.size, 1)
  timers.run()
  await until(() => fastify.websocketServer.clients.size === 0)
  t.match(closes, [[1006]])
  t.equal(errors.length, 1)
})

test('by default it is one line in the log, at info', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    plugin: { maxBackpressure: LIMIT },
    server: { logger: logs.logger },
    declare (fastify) {
      fastify.get('/', { websocket: true }, async ({ socket }) => {
        await once(socket, 'message')
        await flood(socket, CHUNK)
      })
    }
  })
  const client = await connect(t, origin)
  client.socket.pause()
  client.send('go')
  await logs.find('websocket peer broke a rule')
  client.socket.resume()
  t.same(await client.closed, { code: 1013, reason: '' })
  await turn()
  const lines = logs.lines.filter(({ err }) => err !== undefined)
  t.match(lines, [{ level: INFO, err: { code: 'FST_WS_BACKPRESSURE' } }])
  t.equal(lines.length, 1)
})

test('a route has a limit of its own, or none', async (t) => {
  const errors: Array<[string | undefined, string]> = []
  const unlimited: unknown[] = []
  const { origin } = await serve(t, {
    plugin: {
      maxBackpressure: LIMIT,
      errorHandler: (error, _connection, { url }) => { errors.push([url, error.message]) }
    },
    declare (fastify) {
      const send: WebsocketHandler = async ({ socket }) => {
        await once(socket, 'message')
        while (socket.bufferedAmount < 16 * LIMIT && socket.readyState === socket.OPEN) {
          socket.send(CHUNK)
          await turn()
        }
        if (socket.readyState === socket.OPEN) unlimited.push(socket)
        socket.close(4000)
      }
      fastify.get('/', { websocket: true }, send)
      fastify.get('/more', { websocket: { maxBackpressure: 4 * LIMIT } }, send)
      fastify.get('/off', { websocket: { maxBackpressure: false } }, send)
    }
  })
  const codes: number[] = []
  for (const path of ['/', '/more', '/off']) {
    const client = await connect(t, `${origin}${path}`)
    client.socket.pause()
    client.send('go')
    const decided = codes.length + 1
    await until(() => errors.length + unlimited.length === decided)
    client.socket.resume()
    codes.push((await client.closed).code)
  }
  t.same(codes, [1013, 1013, 4000])
  t.same(errors, [LIMIT, 4 * LIMIT].map((limit, index) => [
    ['/', '/more'][index], `more than ${limit} bytes are still unsent to the peer`
  ]))
})
