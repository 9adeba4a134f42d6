// fastify.close() and upgrades that hooks have not decided, or that come while it runs.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

test('an upgrade that a hook holds up is ended at closeTimeout', async (t) => {
  const hooked = deferred()
  const { fastify } = await serve(t, {
    plugin: { handle: echo, closeTimeout: 30 },
    declare: (fastify) => fastify.addHook('onRequest', () => { hooked.resolve(true) })
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await hooked.promise
  await fastify.close()
  await client.closed
  t.equal(client.received.length, 0)
})

for (const name of ['preHandler', 'onSend'] as const) {
  test(`an upgrade that is in an ${name} hook when the server closes gets 503`, async (t) => {
    const hooked = deferred()
    const free = deferred()
    const handled: string[] = []
    const { fastify, origin } = await serve(t, {
      plugin: { handle: () => { handled.push('handler') } },
      // The overloads of addHook take no union of names.
      declare: (fastify) => fastify.addHook(name as 'preHandler', async () => {
        hooked.resolve(true)
        await free.promise
      })
    })
    const refusal = refused(t, origin)
    await hooked.promise
    const closed = fastify.close()
    await nextTurn()
    free.resolve(true)
    const { statusCode, headers, body } = await refusal
    t.equal(statusCode, 503)
    t.match(headers['retry-after'], /^[1-9]\d*$/)
    t.match(JSON.parse(body), { statusCode: 503, message: 'the server is closing' })
    await closed
    t.strictSame(handled, [])
  })
}

test('an upgrade that comes while the server closes gets 503', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('preClose', async () => {
      const answer = await refused(t, `ws://127.0.0.1:${portOf(fastify.server)}`)
      t.equal(answer.statusCode, 503)
      t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    })
  })
  const client = await connect(t, origin)
  await fastify.close()
  t.equal((await client.closed).code, 1001)
  t.plan(3)
})

function deferred () {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
