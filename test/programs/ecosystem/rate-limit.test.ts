import rateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen, type Teardown } from '../../helpers/servers'

/** Serves what `declare` declares after @fastify/rate-limit, which misses earlier routes. */
async function serveLimited (
  t: Teardown, options: RateLimitPluginOptions, declare: (fastify: FastifyInstance) => unknown
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t)
  await fastify.register(rateLimit, { max: 2, timeWindow: 60_000, ...options })
  declare(fastify)
  return { fastify, origin: await listen(fastify) }
}

const LIMITED = {
  statusCode: 429,
  headers: {
    'retry-after': /^\d+$/,
    'x-ratelimit-limit': '2',
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': /^\d+$/,
    connection: 'close'
  },
  body: /"statusCode":429,.*Rate limit exceeded, retry in 1 minute/
}

test('an upgrade over the limit gets 429 with Retry-After instead of the 101', async (t) => {
  const { fastify, origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  })
  for (const remaining of ['1', '0']) {
    const { headers } = await connect(t, `${origin}/echo`)
    t.match(headers, { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': remaining })
  }
  t.match(await refused(t, `${origin}/echo`), LIMITED)
  t.equal(fastify.websocketServer.clients.size, 2)
})

test('one long connection counts once, whatever it sends', async (t) => {
  const { origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  })
  const client = await connect(t, `${origin}/echo`)
  for (let i = 0; i < 10; i++) {
    client.send(`message ${i}`)
    t.equal(await client.nextText(), `message ${i}`)
  }
  const { headers } = await connect(t, `${origin}/echo`)
  t.equal(headers['x-ratelimit-remaining'], '0')
})

test('upgrades and plain requests of an address count together', async (t) => {
  const { origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
    fastify.get('/plain', async () => 'plain')
  })
  const plain = origin.replace('ws', 'http')
  t.equal((await fetch(`${plain}/plain`)).status, 200)
  t.equal((await fetch(`${plain}/echo`)).status, 404)
  t.match(await refused(t, `${origin}/echo`), LIMITED)
})

test('a route has a limit of its own in its config, or none', async (t) => {
  const { origin } = await serveLimited(t, { max: 1 }, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/three', { websocket: true, config: { rateLimit: { max: 3 } } }, echo)
    fastify.get('/free', { websocket: true, config: { rateLimit: false } }, echo)
    fastify.route({
      method: 'GET',
      url: '/both',
      config: { rateLimit: { max: 2 } },
      handler: async () => 'plain',
      wsHandler: echo
    })
  })
  for (let i = 0; i < 3; i++) await connect(t, `${origin}/three`)
  t.match(await refused(t, `${origin}/three`), { statusCode: 429 })
  for (let i = 0; i < 5; i++) await connect(t, `${origin}/free`)
  await connect(t, `${origin}/both`)
  t.equal((await fetch(`${origin.replace('ws', 'http')}/both`)).status, 200)
  t.match(await refused(t, `${origin}/both`), LIMITED)
})

test('the global handle is limited if the limit was registered, and awaited, before', async (t) => {
  const { origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket, { handle: echo })
  })
  await connect(t, `${origin}/any`)
  await connect(t, `${origin}/path`)
  t.match(await refused(t, `${origin}/at/all`), LIMITED)
})

test('an upgrade to an HTTP-only route that reaches handle counts once', async (t) => {
  const { origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket, { handle: echo })
    fastify.get('/plain', async () => 'plain')
  })
  const { headers } = await connect(t, `${origin}/plain`)
  t.equal(headers['x-ratelimit-remaining'], '1')
})

test('upgrades to paths without a route are limited by a hook of the 404 handler', async (t) => {
  const { origin } = await serveLimited(t, {}, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/plain', async () => 'plain')
    fastify.setNotFoundHandler({ preHandler: fastify.rateLimit() }, (_request, reply) => {
      reply.code(404).send('nothing here')
    })
  })
  t.match(await refused(t, `${origin}/nothing`), { statusCode: 404, body: 'nothing here' })
  t.match(await refused(t, `${origin}/plain`), { statusCode: 404, body: 'nothing here' })
  t.match(await refused(t, `${origin}/nothing`), LIMITED)
})

test('with a user of a hook before as the key, each user has a limit', async (t) => {
  const { origin } = await serveLimited(t, {
    max: 1, hook: 'preHandler', keyGenerator: (request) => String(request.headers['x-user'])
  }, (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  })
  const asUser = (name: string) => ({ headers: { 'x-user': name } })
  await connect(t, `${origin}/echo`, asUser('ada'))
  await connect(t, `${origin}/echo`, asUser('bob'))
  t.match(await refused(t, `${origin}/echo`, asUser('ada')), { statusCode: 429 })
})

test('as for plain routes, what was declared before it was loaded has no limit', async (t) => {
  const fastify = createFastify(t)
  fastify.register(rateLimit, { max: 1 })
  fastify.register(fastifyWebsocket)
  fastify.get('/echo', { websocket: true }, echo)
  fastify.get('/plain', async () => 'plain')
  const origin = await listen(fastify)
  for (let i = 0; i < 3; i++) {
    await connect(t, `${origin}/echo`)
    t.equal((await fetch(`${origin.replace('ws', 'http')}/plain`)).status, 200)
  }
})
