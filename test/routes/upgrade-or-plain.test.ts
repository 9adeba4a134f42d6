import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { INFO, Logs } from '../helpers/logs'
import { echo, say, serve } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

declare module 'fastify' {
  interface FastifyInstance {
    scope: string
  }
  interface FastifyRequest {
    user: string
  }
}

test('a plain request to a websocket route is a 404 with an empty body', async (t) => {
  const { fastify } = await serve(t, {
    declare: (fastify) => fastify.get('/', { websocket: true }, echo)
  })
  for (const method of ['GET', 'HEAD'] as const) {
    const { statusCode, body } = await fastify.inject({ method, url: '/' })
    t.equal(statusCode, 404, method)
    t.equal(body, '', method)
  }
})

test('wsHandler takes the upgrades and handler the plain requests', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => fastify.route({
      method: 'GET', url: '/', handler: async () => 'plain', wsHandler: say('websocket')
    })
  })
  t.equal((await fastify.inject('/')).body, 'plain')
  t.equal((await fastify.inject({ method: 'HEAD', url: '/' })).statusCode, 200)
  const client = await connect(t, origin)
  t.equal(await client.nextText(), 'websocket')
})

test('wsHandler beside websocket: true takes the upgrades', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => fastify.route({
      method: 'GET', url: '/', websocket: true, handler: async () => 'plain', wsHandler: say('ws')
    })
  })
  t.equal((await fastify.inject('/')).body, 'plain')
  t.equal(await (await connect(t, origin)).nextText(), 'ws')
})

test('websocket: false is a plain route', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => fastify.get('/', { websocket: false }, async () => 'plain')
  })
  t.equal((await fastify.inject('/')).body, 'plain')
  t.equal((await refused(t, origin)).statusCode, 404)
})

const METHODS: ReadonlyArray<Array<'GET' | 'HEAD'>> = [['GET'], ['GET', 'HEAD'], ['HEAD', 'GET']]
for (const method of METHODS) {
  test(`a route may have the methods ${method.join(' and ')}`, async (t) => {
    const { origin } = await serve(t, {
      declare: (fastify) => fastify.route({
        method, url: '/', websocket: true, handler: say('hello')
      })
    })
    t.equal(await (await connect(t, origin)).nextText(), 'hello')
  })
}

test('handlers get this, the raw request and the request with what hooks put on it', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.decorateRequest('user', '')
      fastify.register(async (scope) => {
        scope.decorate('scope', 'inner')
        scope.addHook('preHandler', async (request) => { request.user = 'ada' })
        scope.get('/rooms/:room', { websocket: true }, function (connection, req, request) {
          connection.socket.send(JSON.stringify({
            scope: this.scope,
            isRaw: request.raw === req,
            url: req.url,
            params: request.params,
            query: request.query,
            user: request.user,
            id: request.id,
            ws: request.ws,
            hasLog: typeof request.log.info
          }))
        })
      }, { prefix: '/api' })
    }
  })
  const client = await connect(t, `${origin}/api/rooms/7?x=1`)
  t.strictSame(JSON.parse(await client.nextText()), {
    scope: 'inner',
    isRaw: true,
    url: '/api/rooms/7?x=1',
    params: { room: '7' },
    query: { x: '1' },
    user: 'ada',
    id: 'req-1',
    ws: true,
    hasLog: 'function'
  })
})

test('request.ws tells an upgrade from a plain request in hooks', async (t) => {
  const seen: boolean[] = []
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.addHook('onRequest', async (request) => { seen.push(request.ws) })
      fastify.get('/', { websocket: true }, echo)
    }
  })
  await fastify.inject('/')
  await connect(t, origin)
  t.strictSame(seen, [false, true])
})

test('a scope without the plugin keeps its handler as it was', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => { scope.register(fastifyWebsocket) })
  fastify.register(async (scope) => {
    // With the type of a websocket handler, and called by Fastify as one of its own.
    scope.get('/plain', { websocket: true }, (request, reply) => {
      Object(reply).send([typeof Object(request).raw, 'plain'])
    })
  })
  const origin = await listen(fastify)
  t.strictSame((await fastify.inject('/plain')).json(), ['object', 'plain'])
  t.equal((await refused(t, `${origin}/plain`)).statusCode, 404)
})

test('a foreign plugin may call the handler with arguments of its own', async (t) => {
  const fastify = createFastify(t)
  const calls: unknown[] = []
  fastify.addHook('onRoute', (options) => {
    const { handler } = options
    options.handler = async function () {
      for (const args of [['socket', 'request'], [], [null], [undefined, 1]]) {
        calls.push(Reflect.apply(handler, this, args))
      }
      return calls
    }
  })
  fastify.get('/', { websocket: true }, (...args) => args.length)
  t.strictSame((await fastify.inject('/')).json(), [2, 0, 1, 2])
})

test('an upgrade of an HTTP-only route is a 404, and the log says why', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    server: { logger: logs.logger },
    declare: (fastify) => fastify.get('/rooms/:room', async () => 'plain')
  })
  t.equal((await refused(t, `${origin}/rooms/7`)).statusCode, 404)
  const { level } = await logs.find(
    'the route /rooms/:room takes no WebSockets: declare it with `websocket: true` or a ' +
    '`wsHandler` to accept WebSockets'
  )
  t.equal(level, INFO)
  const before = logs.lines.length
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.strictSame(
    logs.lines.slice(before).filter(({ msg }) => msg.includes('takes no WebSockets')), []
  )
})

// --- Handlers that another plugin has wrapped ---

/** Ways in which a plugin wraps handlers in its `onRoute` hook, before us or after us. */
const WRAPPERS: Record<string, (handler: Function) => (...args: unknown[]) => unknown> = {
  'an async function': (handler) => async function (this: unknown, ...args) {
    return Reflect.apply(handler, this, args)
  },
  'one that waits first': (handler) => async function (this: unknown, ...args) {
    await nextTurn()
    return Reflect.apply(handler, this, args)
  },
  'one that awaits it and returns nothing': (handler) => async function (this: unknown, ...args) {
    await Reflect.apply(handler, this, args)
  }
}

/** What can keep an upgrade undecided when the handler has returned. */
const UNDECIDED: Record<string, (fastify: FastifyInstance) => void> = {
  'with nothing that waits': (fastify) => { fastify.register(fastifyWebsocket) },
  'with a verifyClient that waits': (fastify) => {
    fastify.register(fastifyWebsocket, {
      options: { verifyClient: (info, next) => { setImmediate(next, true) } }
    })
  },
  'with an origin check that waits': (fastify) => {
    fastify.register(fastifyWebsocket, {
      origin: async () => {
        await nextTurn()
        return true
      }
    })
  },
  'with an onSend hook that waits': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.addHook('onSend', async () => { await nextTurn() })
  }
}

for (const [how, wrap] of Object.entries(WRAPPERS)) {
  for (const [when, register] of Object.entries(UNDECIDED)) {
    test(`a handler wrapped in ${how} works, ${when}`, async (t) => {
      const fastify = createFastify(t)
      fastify.addHook('onRoute', (options) => {
        options.handler = wrap(options.handler)
      })
      register(fastify)
      fastify.get('/echo', { websocket: true }, echo)
      fastify.route({
        method: 'GET', url: '/both', handler: (_, reply) => { reply.send('plain') }, wsHandler: echo
      })
      const origin = await listen(fastify)
      for (const path of ['/echo', '/both']) {
        const client = await connect(t, origin + path)
        const text = 'hello'.repeat(20_000)
        client.send(text)
        t.equal(await client.nextText(), text, path)
      }
      t.equal((await fastify.inject('/both')).body, 'plain')
      const { statusCode, body } = await fastify.inject('/echo')
      t.strictSame([statusCode, body], [404, ''])
    })
  }
}
