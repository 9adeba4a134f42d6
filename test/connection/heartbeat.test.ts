// The heartbeat: its one timer, how it is set, and over which transports it works.
import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { record, turn, until } from '../helpers/streams'
import { holdIntervals } from '../helpers/timers'
import { testOnce } from '../helpers/test-once'
import { PONG, DEAD, DEAD_PAUSED, connectSilent, pass, OVER_TLS } from './silent-peer'

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

test('in real time, a client of ws is pinged', async (t) => {
  const { setInterval } = globalThis
  let isPinged = false
  // On a busy machine the pong may take longer than any heartbeat, so no beat comes after the ping.
  Object.assign(globalThis, {
    setInterval: (beat: () => void, delay: number) => {
      return setInterval(() => { if (!isPinged) beat() }, delay)
    }
  })
  t.teardown(() => { Object.assign(globalThis, { setInterval }) })
  const { origin } = await serve(t, {
    plugin: { heartbeat: 100 },
    declare (fastify) {
      fastify.get('/', { websocket: true }, ({ socket }) => {
        socket.on('pong', () => { socket.close(4000) })
      })
    }
  })
  const client = await connect(t, origin)
  client.socket.once('ping', () => { isPinged = true })
  t.same(await client.closed, { code: 4000, reason: '' })
})

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

testOnce('it works over https', async (t) => {
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
    // Whatever the transport of the other tests is: this one brings an upgrade of HTTP/1.
    server: { http: {} } as object,
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
