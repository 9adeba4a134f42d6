// Hooks of the application for `onRoute` may change the options of a route, as for any plugin.
import swagger from '@fastify/swagger'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

const NUMBERS = { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } }

type Change = (route: RouteOptions) => void

/** An application whose hook changes its routes. */
function create (
  t: Test, change: Change, declare: (fastify: FastifyInstance) => void
): FastifyInstance {
  const fastify = createFastify(t)
  fastify.addHook('onRoute', change)
  fastify.register(swagger)
  fastify.register(fastifyWebsocket)
  declare(fastify)
  return fastify
}

const OPTIONS: Record<string, Change> = {
  'by new options': (route) => {
    Object.assign(route, { websocket: { maxPayload: 4, origin: 'https://a.example' } })
  },
  'in the options of the route': (route) => {
    Object.assign(Object(route.websocket), { maxPayload: 4, origin: 'https://a.example' })
  }
}

for (const [how, change] of Object.entries(OPTIONS)) {
  test(`options of connections are changed ${how}`, async (t) => {
    const fastify = create(t, change, (fastify) => {
      fastify.get('/', { websocket: { maxPayload: 100 } }, echo)
    })
    const origin = await listen(fastify)
    const { statusCode } = await refused(t, origin, { headers: { origin: 'https://b.example' } })
    t.equal(statusCode, 403)
    const client = await connect(t, origin)
    client.send('12345')
    t.match(await client.closed, { code: 1009 })
  })
}

test('a schema of messages is added, and other schemas of the route stay', async (t) => {
  const fastify = create(t, (route) => {
    route.schema = { ...route.schema, incoming: NUMBERS }
  }, (fastify) => {
    const querystring = { type: 'object', required: ['name'] }
    fastify.get('/', { websocket: true, schema: { querystring } }, (connection) => {
      connection.on('data', (value) => { connection.write(value) })
    })
  })
  const origin = await listen(fastify)
  t.equal((await refused(t, origin)).statusCode, 400)
  const client = await connect(t, `${origin}/?name=Ada`)
  client.send('{"n":"1"}')
  t.equal(await client.nextText(), '{"n":1}')
  client.send('{"evil":1}')
  t.match(await client.closed, { code: 1008 })
  const { channels } = fastify.asyncapi({ info: { title: 'test', version: '1' } })
  t.match(Object.values(channels), [{ messages: { incoming: {} } }])
  t.strictSame(fastify.swagger().paths ?? {}, {})
})

test('the handler for WebSockets is wrapped', async (t) => {
  const fastify = create(t, (route) => {
    const { wsHandler } = route
    route.wsHandler = function (connection, ...rest) {
      connection.socket.send('first')
      return wsHandler?.call(this, connection, ...rest)
    }
  }, (fastify) => {
    fastify.route({
      method: 'GET',
      url: '/',
      handler: async () => 'plain',
      wsHandler: ({ socket }) => { socket.send('second') }
    })
  })
  const client = await connect(t, await listen(fastify))
  t.equal(await client.nextText(), 'first')
  t.equal(await client.nextText(), 'second')
})

test('a plain route becomes one for WebSockets only', async (t) => {
  const fastify = create(t, (route) => { Object.assign(route, { websocket: {} }) }, (fastify) => {
    const say: unknown = ({ socket }: Parameters<typeof echo>[0]) => { socket.send('hi') }
    fastify.get('/', say as () => void)
  })
  const client = await connect(t, await listen(fastify))
  t.equal(await client.nextText(), 'hi')
  t.match(await fastify.inject('/'), { statusCode: 404, body: '' })
})

test('a websocket route becomes a plain one', async (t) => {
  const fastify = create(t, (route) => {
    Object.assign(route, { websocket: false, wsHandler: undefined })
  }, (fastify) => {
    fastify.route({ method: 'GET', url: '/', handler: async () => 'plain', wsHandler: echo })
  })
  t.equal((await refused(t, await listen(fastify))).statusCode, 404)
  t.equal((await fastify.inject('/')).body, 'plain')
})

test('the schema of a route is taken away', async (t) => {
  const fastify = create(t, (route) => { delete route.schema }, (fastify) => {
    fastify.get('/', { websocket: true, schema: { incoming: NUMBERS } }, echo)
  })
  const client = await connect(t, await listen(fastify))
  client.send('{"evil":1}')
  t.equal(await client.nextText(), '{"evil":1}')
})

test('a wrong option fails the start', async (t) => {
  const fastify = create(t, (route) => {
    Object.assign(route, { websocket: { heartbeat: 'often' } })
  }, (fastify) => { fastify.get('/', { websocket: true }, echo) })
  await t.rejects(async () => { await fastify.ready() }, { code: 'FST_WS_INVALID_OPTION' })
})

for (const heartbeat of ['often', 1000]) {
  test(`the failure of a plugin before the route wins, with heartbeat ${heartbeat}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    fastify.addHook('onRoute', (route) => { Object.assign(route, { websocket: { heartbeat } }) })
    fastify.register(async () => { throw new Error('of the plugin') })
    fastify.get('/', { websocket: true }, echo)
    await t.rejects(async () => { await fastify.ready() }, { message: 'of the plugin' })
  })
}
