import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'

const schema = {
  summary: 'the news',
  querystring: { type: 'object', properties: { since: { type: 'integer' } } }
}

function declare (fastify: FastifyInstance): void {
  fastify.get('/echo', { websocket: true, schema }, echo)
  fastify.route({
    method: 'GET', url: '/news', schema, handler: async () => 'no news', wsHandler: echo
  })
  fastify.get('/plain', async () => 'plain')
}

const ORDERS: Record<string, (fastify: FastifyInstance) => void> = {
  before: (fastify) => {
    fastify.register(swagger, { openapi: {} })
    fastify.register(fastifyWebsocket, { handle: echo })
  },
  after: (fastify) => {
    fastify.register(fastifyWebsocket, { handle: echo })
    fastify.register(swagger, { openapi: {} })
  }
}

for (const [order, register] of Object.entries(ORDERS)) {
  test(`registered ${order} ours, it describes the HTTP side of routes alone`, async (t) => {
    const fastify = createFastify(t)
    register(fastify)
    fastify.register(async (scope) => { declare(scope) })
    const origin = await listen(fastify)
    const { paths } = fastify.swagger()
    t.strictSame(Object.keys(paths ?? {}), ['/news', '/plain'])
    t.match(Object(paths)['/news'], {
      get: { summary: 'the news', parameters: [{ in: 'query', name: 'since' }] }
    })
    for (const path of ['/echo', '/news', '/any']) {
      const client = await connect(t, origin + path)
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
    }
  })
}
