import underPressure, { type FastifyUnderPressureOptions } from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'
import type { Teardown } from '../../helpers/servers'
import { until } from '../../helpers/streams'

function servePressed (
  t: Teardown, options: FastifyUnderPressureOptions
): Promise<{ fastify: FastifyInstance, origin: string }> {
  return serve(t, {
    declare: (fastify) => {
      fastify.register(underPressure, options)
      fastify.get('/echo', { websocket: true }, echo)
    }
  })
}

const UNHEALTHY = { healthCheck: async () => false, healthCheckInterval: 60_000 }

const REFUSED = {
  statusCode: 503,
  headers: { 'retry-after': '10', connection: 'close' },
  body: /FST_UNDER_PRESSURE/
}

test('an upgrade gets 503 with Retry-After while the health check fails', async (t) => {
  const { fastify, origin } = await servePressed(t, UNHEALTHY)
  t.match(await refused(t, `${origin}/echo`), REFUSED)
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('an upgrade gets 503 while the process takes too much memory', async (t) => {
  const { fastify, origin } = await servePressed(t, { maxRssBytes: 1, sampleInterval: 5 })
  await until(() => fastify.isUnderPressure())
  t.match(await refused(t, `${origin}/echo`), REFUSED)
})

test('open connections go on under pressure, and new ones come when it is over', async (t) => {
  let isHealthy = true
  let checked = (): void => {}
  const { origin } = await servePressed(t, {
    healthCheckInterval: 5,
    healthCheck: async () => {
      checked()
      return isHealthy
    }
  })
  /** Two checks: the first may have begun before. */
  const nextChecks = async (): Promise<void> => {
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => { checked = resolve })
  }
  const client = await connect(t, `${origin}/echo`)
  isHealthy = false
  await nextChecks()
  t.match(await refused(t, `${origin}/echo`), REFUSED)
  client.send('still here')
  t.equal(await client.nextText(), 'still here')
  isHealthy = true
  await nextChecks()
  await connect(t, `${origin}/echo`)
})

test('a pressureHandler decides about upgrades', async (t) => {
  const { origin } = await servePressed(t, {
    ...UNHEALTHY,
    pressureHandler: (request, reply) => {
      if (request.url !== '/echo?vip') reply.code(503).send(`busy, ws: ${request.ws}`)
    }
  })
  t.match(await refused(t, `${origin}/echo`), { statusCode: 503, body: 'busy, ws: true' })
  const client = await connect(t, `${origin}/echo?vip`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('its status route answers plain requests, and no upgrade', async (t) => {
  const { origin } = await servePressed(t, { exposeStatusRoute: true })
  const answer = await fetch(`${origin.replace('ws', 'http')}/status`)
  t.same(await answer.json(), { status: 'ok' })
  t.match(await refused(t, `${origin}/status`), { statusCode: 404 })
  await connect(t, `${origin}/echo`)
})
