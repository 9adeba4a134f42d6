import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { get, LARGE_ANSWER, serveSlowly } from '../helpers/pipelined'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdIntervals } from '../helpers/timers'
import { serveOnce } from '../helpers/upgrades'

test('a client that does not read its refusal is cut off', async (t) => {
  const intervals = holdIntervals(t)
  const { fastify, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        return reply.code(401).send(Buffer.alloc(30_000_000))
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.socket.pause()
  const upgraded = once(fastify.server, 'upgrade')
  client.write(upgradeHead('/ws'))
  const [, transport] = await upgraded
  await nextTurn()
  while (!transport.destroyed) {
    intervals.run()
    await nextTurn()
  }
  t.strictSame(intervals.delays, [])
  client.socket.destroy()
  await finish(0)
})

test('a client that reads a large answer slowly gets all of it before its upgrade', async (t) => {
  const intervals = holdIntervals(t)
  const { begin, upgraded } = await serveSlowly(t)
  const client = await begin()
  client.socket.pause()
  await upgraded(client, get('/big') + upgradeHead('/ws'))
  client.socket.resume()
  // More than the systems keep for both sides, so that some has left the process meanwhile.
  await until(() => client.received.length > LARGE_ANSWER / 2)
  intervals.run()
  await until(() => client.received.subarray(LARGE_ANSWER).includes('101 Switching'))
  t.equal(client.socket.destroyed, false)
})

test('an earlier answer that makes no progress ends with the upgrade behind it', async (t) => {
  const intervals = holdIntervals(t)
  const { begin, upgraded, answers } = await serveSlowly(t)
  const client = await begin()
  const transport = await upgraded(client, get('/parts') + upgradeHead('/ws'))
  t.strictSame(intervals.delays.filter((delay) => delay === 10_000), [10_000])
  answers[0]?.()
  await until(() => client.received.toString().match(/part/g)?.length === 2)
  intervals.run()
  t.equal(transport.destroyed, false)
  intervals.run()
  t.equal(transport.destroyed, true)
  await client.closed
})
