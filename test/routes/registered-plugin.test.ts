// Which registration of the plugin takes a route, wherever and whenever the route is declared.
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, say, settled } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

const ORDERS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'before register': (fastify) => {
    fastify.get('/echo', { websocket: true }, echo)
    fastify.register(fastifyWebsocket)
  },
  'on the line after register': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  },
  'after an awaited register': async (fastify) => {
    await fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  },
  'in after()': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.after(() => { fastify.get('/echo', { websocket: true }, echo) })
  },
  'in a plugin after register': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
  },
  'in a plugin before register': (fastify) => {
    fastify.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
    fastify.register(fastifyWebsocket)
  },
  'under a prefix': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => {
      scope.get('/', { websocket: true }, echo)
    }, { prefix: '/echo' })
  },
  'two levels down': (fastify) => {
    fastify.register(async (scope) => {
      scope.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
    })
    fastify.register(fastifyWebsocket)
  },
  'in a plugin that registers it itself': (fastify) => {
    fastify.register(async (scope) => {
      scope.get('/echo', { websocket: true }, echo)
      scope.register(fastifyWebsocket)
    })
  },
  'in a scope below the one that registers it': (fastify) => {
    fastify.register(async (scope) => {
      scope.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
      await scope.register(fastifyWebsocket)
    })
  }
}

for (const [where, declare] of Object.entries(ORDERS)) {
  test(`a route declared ${where} takes websockets`, async (t) => {
    const fastify = createFastify(t)
    await declare(fastify)
    const origin = await listen(fastify)
    const client = await connect(t, `${origin}/echo`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.equal((await fastify.inject('/echo')).statusCode, 404)
  })
}

test('registered twice on one instance is a clash', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.register(fastifyWebsocket)
  await t.rejects(settled(fastify.ready()), {
    code: 'FST_WS_CLASH', message: /is registered already on this instance: register it once/
  })
})

test('registered in two sibling scopes, one upgrade gets one answer', async (t) => {
  const fastify = createFastify(t)
  for (const name of ['one', 'two']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket)
      scope.get('/', { websocket: true }, say(name))
    }, { prefix: `/${name}` })
  }
  let requests = 0
  fastify.addHook('onRequest', async () => { requests++ })
  const origin = await listen(fastify)
  t.equal(fastify.server.listenerCount('upgrade'), 1)
  t.equal(await (await connect(t, `${origin}/one`)).nextText(), 'one')
  t.equal(await (await connect(t, `${origin}/two`)).nextText(), 'two')
  t.equal((await refused(t, `${origin}/three`)).statusCode, 404)
  t.equal(requests, 3)
  await fastify.close()
  t.equal(fastify.server.listenerCount('upgrade'), 0)
})
