import { once } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'tap'
import { refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { createGate, refuseWith } from '../helpers/upgrades'

const LARGE = 10_000_000

const LARGE_BODIES = {
  string: () => 'x'.repeat(LARGE),
  buffer: () => Buffer.alloc(LARGE, 'x'),
  stream: () => Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(LARGE / 100, 'x')))
}

for (const [kind, createBody] of Object.entries(LARGE_BODIES)) {
  test(`a ${kind} of 10 MB arrives complete with a refusal, then the socket closes`, async (t) => {
    const { fastify } = await serve(t, {
      declare: refuseWith((reply) => reply.code(401).send(createBody()))
    })
    const client = new RawClient(t, portOf(fastify.server))
    let length = 0
    let head = ''
    client.socket.removeAllListeners('data').on('data', (chunk) => {
      if (length === 0) head = chunk.toString('latin1').split('\r\n\r\n')[0] ?? ''
      length += chunk.length
    })
    const transport = once(fastify.server, 'connection')
    client.write(upgradeHead('/') + frame(0x81, 'never read'))
    await client.closed
    t.match(head, /^HTTP\/1.1 401 /)
    t.match(head, /connection: close/i)
    if (kind !== 'stream') t.equal(length, head.length + 4 + LARGE)
    else t.ok(length > LARGE)
    const [socket] = await transport
    if (!socket.destroyed) await once(socket, 'close')
    t.ok(socket.destroyed)
  })
}

test('the whole of a stream of 10 MB is decoded by a client', async (t) => {
  const { origin } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send(LARGE_BODIES.stream()))
  })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 401)
  t.equal(body.length, LARGE)
})

for (const [given, expected] of [[undefined, '10'], ['120', '120']] as const) {
  test(`a 503 with Retry-After ${given} goes out with ${expected}`, async (t) => {
    const { origin } = await serve(t, {
      declare: refuseWith((reply) => {
        if (given !== undefined) reply.header('retry-after', given)
        reply.code(503).send('not now')
      })
    })
    t.match(await refused(t, origin), {
      statusCode: 503, body: 'not now', headers: { 'retry-after': expected }
    })
  })
}

test('what a refused client has sent before is read, however much it is', async (t) => {
  const gate = createGate()
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          await gate.opened
          return reply.code(401).send('no')
        }
      }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.allowHalfOpen = true
  const requested = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/'))
  const [, transport] = await requested
  const before = transport.bytesRead
  const paused = once(transport, 'pause')
  client.write(Buffer.alloc(10_000_000))
  await paused
  const closed = once(transport, 'close')
  gate.open()
  await client.until('no')
  client.socket.end()
  await closed
  t.equal(transport.bytesRead - before, 10_000_000)
})

test('a client that ends its side gets a refusal that was written before', async (t) => {
  const { fastify } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send('x'.repeat(LARGE)))
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.end(upgradeHead('/'))
  await client.closed
  t.ok(client.received.length > LARGE)
})

test('a client that resets while its refusal is on the way harms nobody', async (t) => {
  const { fastify } = await serve(t, {
    declare: refuseWith((reply) => reply.code(401).send('x'.repeat(LARGE)))
  })
  const connection = once(fastify.server, 'connection')
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  const [transport] = await connection
  // Not `once` of node:events, which rejects on the error.
  const closed = new Promise((resolve) => { transport.once('close', resolve) })
  await client.until('HTTP/1.1 401')
  client.socket.resetAndDestroy()
  await closed
  t.match(transport.errored, { code: /ECONNRESET|EPIPE/ })
})

test('a refused client that keeps sending is cut off', async (t) => {
  const { fastify } = await serve(t, { declare: refuseWith((reply) => reply.code(401).send('no')) })
  const connection = once(fastify.server, 'connection')
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.allowHalfOpen = true
  client.write(upgradeHead('/'))
  const [transport] = await connection
  const closed = once(transport, 'close')
  await client.until('no')
  client.write(Buffer.alloc(1_000_000))
  await closed
  t.pass('though it has not hung up')
})
