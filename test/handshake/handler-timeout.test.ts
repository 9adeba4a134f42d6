import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { refused } from '../helpers/client'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { createGate, serveOnce } from '../helpers/upgrades'

test('a timeout that has begun to answer is not overtaken by verifyClient', async (t) => {
  const gate = createGate()
  const { origin, finish } = await serveOnce(t, {
    handlerTimeout: 50,
    plugin: { options: { verifyClient: async () => { await gate.opened; return true } } },
    declare (fastify) {
      fastify.addHook('onSend', async () => {
        gate.open()
        for (let turns = 10; turns > 0; turns--) await nextTurn()
      })
    }
  })
  t.equal((await refused(t, `${origin}/ws`)).statusCode, 503)
  await finish(0)
})

test('a timeout answers an upgrade whose 101 hangs in an onSend hook', async (t) => {
  const gate = createGate()
  const { origin, finish, logs } = await serveOnce(t, {
    handlerTimeout: 50,
    declare: (fastify) => fastify.addHook('onSend', () => gate.opened)
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 503)
  t.match(JSON.parse(body), { code: 'FST_ERR_HANDLER_TIMEOUT' })
  gate.open()
  await finish(0)
  t.equal(logs.lines.filter(({ msg }) => /a second one is dropped/.test(msg)).length, 1)
})

for (const hook of ['onError', 'onSend'] as const) {
  test(`a timeout answers an upgrade whose error hangs in an ${hook} hook`, async (t) => {
    const gate = createGate()
    const { origin, finish } = await serveOnce(t, {
      handlerTimeout: 50,
      declare (fastify) {
        fastify.addHook('preHandler', async () => { throw new Error('odd') })
        fastify.addHook(hook as 'preHandler', () => gate.opened)
      }
    })
    t.equal((await refused(t, `${origin}/ws`)).statusCode, 503)
    gate.open()
    await finish(0)
  })
}

test('a timeout cuts off an answer that has begun and does not go on', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    handlerTimeout: 50,
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        const body = new PassThrough()
        body.write('half')
        return reply.code(401).send(body)
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 401 [^]*half/)
  await finish(0)
})
