import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { createGate, serveOnce } from '../helpers/upgrades'

test('frames behind the head of the request reach the handler', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(0x81, 'at once')]))
  t.match(await client.until('at once'), 'HTTP/1.1 101 Switching Protocols')
})

test('frames that come while hooks run reach the handler, in order', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const requested = once(fastify.server, 'upgrade')
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(0x81, 'one')]))
  const [, transport] = await requested
  client.write(frame(0x81, 'two'))
  await once(transport, 'data')
  gate.open()
  await client.until('\x81\x03one\x81\x03two')
  t.pass('both came back')
})

test('above 64 KiB of early frames the client feels backpressure; nothing is lost', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true, preHandler: () => gate.opened }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  const requested = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  const [, transport] = await requested
  const paused = once(transport, 'pause')
  const one = frame(0x81, 'x'.repeat(100))
  client.write(Buffer.concat(Array.from({ length: 100_000 }, () => one)))
  await paused
  // 64 KiB, one read of the socket, and what Node.js reads ahead.
  t.ok(transport.bytesRead < 300_000, `${transport.bytesRead} bytes read`)
  gate.open()
  const isComplete = (): boolean => client.received.length > 100_000 * 102
  while (!isComplete()) await once(client.socket, 'data')
  t.pass('all came back')
})

test('a handler that pauses the socket at once gets nothing until it resumes it', async (t) => {
  const received: unknown[] = []
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', { websocket: true }, ({ socket }, req) => {
        socket.on('message', (message) => {
          received.push(message)
          socket.send('got it')
        })
        socket.pause()
        fastify.websocketServer.emit('paused', socket, req.socket)
      })
    }
  })
  const paused = once(fastify.websocketServer, 'paused')
  const client = await connect(t, origin)
  const [socket, transport] = await paused
  t.ok(transport.isPaused())
  client.send('hi')
  t.strictSame(received, [])
  socket.resume()
  t.equal(await client.nextText(), 'got it')
})

test('a hook may read the body that there is not', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    plugin: { options: { verifyClient: () => nextTurn(true) } },
    declare (fastify) {
      fastify.addHook('preParsing', async (_request, _reply, payload) => {
        payload.resume()
        await once(payload, 'end')
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  client.close()
  await finish(1)
})
