import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../src/index'
import { connect } from './helpers/client'
import { echo, settled } from './helpers/plugin'
import { createFastify, listen } from './helpers/servers'

test('ready() may be called again and again', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.ready()
  await settled(fastify.ready())
  t.equal(fastify.server.listenerCount('upgrade'), 1)
})

// --- Names that are taken ---

const TAKEN: Record<string, (fastify: FastifyInstance) => void> = {
  websocketServer: (fastify) => { fastify.decorate<string>('websocketServer', 'mine') },
  injectWS: (fastify) => { fastify.decorate<string>('injectWS', 'mine') },
  ws: (fastify) => { fastify.decorateRequest<string>('ws', 'mine') }
}

for (const [name, decorate] of Object.entries(TAKEN)) {
  test(`a decorator ${name} before the plugin is a clash that names it`, async (t) => {
    const fastify = createFastify(t)
    decorate(fastify)
    fastify.register(fastifyWebsocket)
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_CLASH', message: new RegExp(`a decorator \`${name}\` already`)
    })
  })

  test(`a decorator ${name} after the plugin is an error of Fastify that names it`, async (t) => {
    const fastify = createFastify(t)
    await fastify.register(fastifyWebsocket)
    t.throws(() => { decorate(fastify) }, {
      code: 'FST_ERR_DEC_ALREADY_PRESENT', message: new RegExp(name)
    })
  })
}

const BODIES = { '/': 'false', '/before': 'before', '/after': 'after' }

test('a scope below may have a request.ws of its own, from before or after', async (t) => {
  const fastify = createFastify(t)
  const answer = async (request: FastifyRequest) => String(request.ws)
  fastify.register(async (scope) => {
    scope.decorateRequest<string>('ws', 'before')
    scope.get('/before', answer)
  })
  fastify.register(fastifyWebsocket)
  fastify.get('/', answer)
  fastify.register(async (scope) => {
    scope.decorateRequest<string>('ws', 'after')
    scope.get('/after', answer)
  })
  for (const [path, body] of Object.entries(BODIES)) {
    t.equal((await fastify.inject(path)).body, body)
  }
})

test('request.ws of a registration in a scope below is right, too', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket)
    scope.get('/', { websocket: true }, ({ socket }, req, request) => {
      socket.send(String(request.ws))
    })
  })
  t.equal(await (await connect(t, await listen(fastify))).nextText(), 'true')
})
