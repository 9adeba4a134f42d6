import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo, serve, settled } from '../../helpers/plugin'
import { createFastify, listen, ownOrigin } from '../../helpers/servers'
import { answerForeign, loadFastifyWebsocket, serveForeign } from '../../helpers/foreign'

test('@fastify/websocket on another instance of the process works beside ours', async (t) => {
  const ours = await serve(t, {
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  const foreign = await serveForeign(t)
  for (const path of ['/foreign', '/both']) {
    const client = await connect(t, foreign.origin + path)
    client.send('hello')
    t.equal(await client.nextText(), `${path} hello`)
  }
  t.equal((await foreign.fastify.inject('/both')).body, 'plain')
  t.equal((await foreign.fastify.inject('/foreign')).statusCode, 404)
  const client = await connect(t, `${ours.origin}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  await foreign.fastify.close()
  client.send('still here')
  t.equal(await client.nextText(), 'still here')
})

test('@fastify/websocket on the same instance is a clash', async (t) => {
  const fastify = createFastify(t)
  fastify.register(loadFastifyWebsocket())
  fastify.register(fastifyWebsocket)
  await t.rejects(settled(fastify.ready()), {
    code: 'FST_WS_CLASH', message: /`websocketServer` already.*mercurius/
  })
})

/** As mercurius does it: it has a scope of its own. */
function registerBelow (fastify: FastifyInstance): void {
  fastify.register(async (scope) => {
    await scope.register(loadFastifyWebsocket())
    scope.get('/graphql', async (request) => ({ ws: request.ws }))
    scope.get('/foreign', { websocket: true }, answerForeign)
  })
}

/** Ways to register both in one application, with options of ours. */
const ORDERS: Record<string, (
  fastify: FastifyInstance, options?: fastifyWebsocket.WebsocketPluginOptions
) => void> = {
  'before us': (fastify, options = {}) => {
    registerBelow(fastify)
    fastify.register(fastifyWebsocket, options)
  },
  'after us': (fastify, options = {}) => {
    fastify.register(fastifyWebsocket, options)
    registerBelow(fastify)
  }
}

for (const [order, register] of Object.entries(ORDERS)) {
  test(`@fastify/websocket in a scope below, ${order}, is a clash`, async (t) => {
    const fastify = createFastify(t)
    register(fastify)
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_CLASH', message: /answers every upgrade of its server.*port/
    })
  })

  test(`@fastify/websocket in a scope below, ${order}, works beside our own port`, async (t) => {
    const fastify = createFastify(t)
    register(fastify, { options: { host: '127.0.0.1', port: 0 } })
    fastify.get('/echo', { websocket: true }, echo)
    const origin = await listen(fastify)
    const [ours, foreign] = [ownOrigin(fastify.websocketServer), origin]
    t.strictSame((await fastify.inject('/graphql')).json(), { ws: false })
    const client = await connect(t, `${ours}/echo`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    const other = await connect(t, `${foreign}/foreign`)
    other.send('hello')
    t.equal(await other.nextText(), '/foreign hello')
  })
}

test('another listener of upgrades is no clash', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.server.on('upgrade', () => {})
  await t.resolves(settled(fastify.ready()))
})

test('@fastify/websocket in a scope below is no clash with noServer', async (t) => {
  const fastify = createFastify(t)
  registerBelow(fastify)
  fastify.register(fastifyWebsocket, { options: { noServer: true } })
  await t.resolves(settled(fastify.ready()))
})
