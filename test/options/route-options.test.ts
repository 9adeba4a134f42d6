// The `websocket` of a route with options in it. Each option has a test where its effect is.
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

/** A route whose messages have 10 bytes at most. */
const SHORT = { maxPayload: 10 }

const WITH_OPTIONS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'of get': (fastify) => fastify.get('/short', { websocket: SHORT }, echo),
  'of route': (fastify) => fastify.route({
    method: ['GET', 'HEAD'], url: '/short', websocket: SHORT, handler: echo
  }),
  'below a prefix': (fastify) => fastify.register(async (scope) => {
    scope.register(async (scope) => { scope.get('/', { websocket: SHORT }, echo) })
  }, { prefix: '/short' })
}

for (const [where, declare] of Object.entries(WITH_OPTIONS)) {
  test(`websocket with options ${where} makes a websocket route`, async (t) => {
    const { fastify, origin } = await serve(t, { declare })
    const client = await connect(t, `${origin}/short`)
    client.send('0123456789')
    t.equal(await client.nextText(), '0123456789')
    client.send('0123456789a')
    t.equal((await client.closed).code, 1009)
    const plain = await fastify.inject('/short')
    t.equal(plain.statusCode, 404)
    t.equal(plain.body, '')
  })
}

test('websocket with options may be declared before the plugin is registered', async (t) => {
  const fastify = createFastify(t)
  fastify.get('/short', { websocket: SHORT }, echo)
  await fastify.register(fastifyWebsocket)
  const client = await connect(t, `${await listen(fastify)}/short`)
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('wsHandler beside options takes the upgrades', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => fastify.route({
      method: 'GET', url: '/', websocket: SHORT, handler: async () => 'plain', wsHandler: echo
    })
  })
  t.equal((await fastify.inject('/')).body, 'plain')
  const client = await connect(t, origin)
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('an object without options is as good as true', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      const none = { heartbeat: undefined, maxPayload: undefined, origin: undefined }
      fastify.get('/empty', { websocket: {} }, echo)
      fastify.get('/undefined', { websocket: none }, echo)
    }
  })
  for (const path of ['/empty', '/undefined']) {
    const client = await connect(t, origin + path)
    client.send('0123456789a')
    t.equal(await client.nextText(), '0123456789a')
    t.equal((await fastify.inject(path)).statusCode, 404)
  }
})

test('the options of a route stay as they are, and later changes have no effect', async (t) => {
  const frozen = Object.freeze({ ...SHORT, origin: Object.freeze(['http://localhost']) })
  const changing = { ...SHORT }
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/frozen', { websocket: frozen }, echo)
      fastify.get('/changing', { websocket: changing }, echo)
    }
  })
  changing.maxPayload = 100
  for (const path of ['/frozen', '/changing']) {
    const client = await connect(t, origin + path)
    client.send('0123456789a')
    t.equal((await client.closed).code, 1009, path)
  }
})
