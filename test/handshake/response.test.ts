import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { serveOnce, refuseWith } from '../helpers/upgrades'

test('reason, headers and body that are written to the raw response arrive', async (t) => {
  const { origin, fastify } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (request, reply) => {
        reply.hijack()
        const list = ['A', '1', 'B', '2', 'B', '3', 'Connection', 'keep-alive']
        if (request.url === '/list') reply.raw.writeHead(403, list)
        else reply.raw.writeHead(403, 'Not Today', { a: '1', b: ['2', '3'] })
        reply.raw.write('one ')
        reply.raw.end('two')
      })
      fastify.get('/', { websocket: true }, echo)
    }
  })
  for (const path of ['/', '/list']) {
    const { statusCode, headers, body } = await refused(t, origin + path)
    t.equal(statusCode, 403)
    t.match(headers, { a: '1', b: '2, 3', connection: 'close' })
    t.equal(body, 'one two')
  }
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 403 Not Today\r\n/)
})

test('a hook that writes a raw head without headers is answered with that', async (t) => {
  const { origin } = await serve(t, {
    declare: refuseWith((reply) => {
      reply.hijack()
      reply.raw.writeHead(410)
      reply.raw.end()
    })
  })
  t.equal((await refused(t, origin)).statusCode, 410)
})

test('a second raw head throws where it is written, and the first one goes out', async (t) => {
  const thrown: unknown[] = []
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(410)
        try {
          reply.raw.writeHead(411)
        } catch (error) {
          thrown.push(error)
        }
        reply.raw.end()
      })
    }
  })
  t.equal((await refused(t, `${origin}/ws`)).statusCode, 410)
  t.match(thrown, [{ code: 'ERR_HTTP_HEADERS_SENT' }])
  await finish(0)
})

test('what is written to the raw response behind its end goes nowhere', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(403)
        reply.raw.end('no')
        reply.raw.write('late')
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 403)
  t.equal(body, 'no')
  await finish(0)
})

test('a 101 behind a head that is out cuts the client off', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(403)
        reply.raw.write('half')
        reply.raw.writeHead(101)
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws'))
  await client.closed
  t.notMatch(client.received.toString(), / 101 /)
  await finish(0)
})

test('a 101 of a hook is a 500: only the handshake switches', async (t) => {
  const { origin } = await serve(t, { declare: refuseWith((reply) => reply.code(101).send()) })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: /101/ })
})

test('a 101 of a hook keeps none of the headers that were set before', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        reply.hijack()
        reply.raw.setHeader('x-odd', '1')
        reply.raw.writeHead(101)
      })
    }
  })
  const { statusCode, headers } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 500)
  t.notOk('x-odd' in headers)
  await finish(0)
})

for (const [what, write] of Object.entries({
  write: (reply: FastifyReply) => { reply.raw.write('body') },
  end: (reply: FastifyReply) => { reply.raw.end('body') }
})) {
  test(`the raw response has no body before the handshake: ${what}`, async (t) => {
    const { fastify, finish } = await serveOnce(t, {
      declare (fastify) {
        fastify.addHook('onSend', async (_request, reply) => { write(reply) })
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/ws'))
    await client.closed
    t.match(client.received.toString(), /^HTTP\/1.1 500 [^]*FST_WS_UNEXPECTED_SWITCH/)
    await finish(0)
  })
}

test('a corked response does not hold the handshake back', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (_request, reply) => { reply.raw.cork() })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  client.close()
  await finish(1)
})

test('what is written to the raw response after the switch goes nowhere', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onResponse', async (_request, reply) => {
        reply.raw.writeHead(500)
        reply.raw.write('late')
        reply.raw.end('late')
        reply.send('late')
        fastify.server.emit('written')
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('still there')
  t.equal(await client.nextText(), 'still there')
  client.close()
  await finish(1)
})

test('a listener of the response that throws does no harm to the connection', async (t) => {
  const { origin, logs, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        await nextTurn()
        reply.raw.once('finish', () => { throw new Error('odd') })
      })
    }
  })
  const client = await connect(t, `${origin}/ws`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  t.match(await logs.find('websocket response listener failed'), { err: { message: 'odd' } })
  client.close()
  await finish(1)
})
