import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { say, serve } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

test('handle takes every upgrade that no websocket route takes', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: say('handle') },
    declare: (fastify) => {
      fastify.get('/echo', { websocket: true }, say('route'))
      fastify.get('/rooms/:room', { websocket: true }, say('room'))
      fastify.get('/plain', async () => 'plain')
      fastify.get('/any/*', async () => 'any')
      fastify.post('/post', async () => 'post')
    }
  })
  const reached = {
    '/': 'handle',
    '/unknown/path?query=1': 'handle',
    '/plain': 'handle',
    '/any/thing': 'handle',
    '/post': 'handle',
    '/echo/': 'route',
    '/rooms/7': 'room',
    '/rooms/7/deep': 'handle'
  }
  for (const [path, who] of Object.entries(reached)) {
    t.equal(await (await connect(t, origin + path)).nextText(), who, path)
  }
  t.equal((await fastify.inject('/plain')).body, 'plain')
  t.equal((await fastify.inject('/unknown')).statusCode, 404)
  t.equal((await fastify.inject({ method: 'HEAD', url: '/unknown' })).statusCode, 404)
})

for (const url of ['*', '/*']) {
  test(`handle lives beside a plain ${url} route of the user`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: { handle: say('handle') },
      declare: (fastify) => fastify.get(url, async () => 'plain')
    })
    t.equal((await fastify.inject('/any')).body, 'plain')
    t.equal(await (await connect(t, `${origin}/any`)).nextText(), 'handle')
  })

  test(`a websocket route ${url} of the user comes before handle`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: say('handle') },
      declare: (fastify) => fastify.get(url, { websocket: true }, say('route'))
    })
    t.equal(await (await connect(t, `${origin}/any`)).nextText(), 'route')
  })
}

test('handle takes the hosts that a constrained websocket route does not', async (t) => {
  const { origin } = await serve(t, {
    plugin: { handle: say('handle') },
    declare: (fastify) => {
      const constraints = { host: 'a.example' }
      fastify.get('/chat', { websocket: true, constraints }, say('route'))
    }
  })
  const chat = `${origin}/chat`
  t.equal(await (await connect(t, chat, { headers: { host: 'a.example' } })).nextText(), 'route')
  t.equal(await (await connect(t, chat, { headers: { host: 'b.example' } })).nextText(), 'handle')
})

test('handle under a prefix takes the paths under it', async (t) => {
  const fastify = createFastify(t)
  for (const name of ['one', 'two']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket, { handle: say(name) })
      scope.get('/route', { websocket: true }, say(`${name} route`))
      scope.get('/plain', async () => 'plain')
    }, { prefix: `/${name}` })
  }
  const origin = await listen(fastify)
  const reached = {
    '/one': 'one',
    '/one/': 'one',
    '/one/deep/path': 'one',
    '/one/plain': 'one',
    '/one/route': 'one route',
    '/two/any': 'two'
  }
  for (const [path, who] of Object.entries(reached)) {
    t.equal(await (await connect(t, origin + path)).nextText(), who, path)
  }
  for (const path of ['/', '/onetwo', '/three/any']) {
    t.equal((await refused(t, origin + path)).statusCode, 404, path)
  }
})

test('handle runs with the hooks, the instance and the request of its scope', async (t) => {
  const fastify = createFastify(t)
  const seen: string[] = []
  fastify.register(async (scope) => {
    scope.addHook('onRequest', async () => { seen.push('onRequest') })
    scope.addHook('preHandler', async () => { seen.push('preHandler') })
    scope.get('/api/plain', async () => 'plain')
    await scope.register(fastifyWebsocket, {
      handle (connection, req, request) {
        connection.socket.send([this === scope, req.url, request.url, request.ws].join(' '))
      }
    })
  })
  const origin = await listen(fastify)
  for (const path of ['/any', '/api/plain']) {
    const client = await connect(t, origin + path)
    t.equal(await client.nextText(), `true ${path} ${path} true`)
    t.strictSame(seen.splice(0), ['onRequest', 'preHandler'])
  }
})

test('a second handle at the root is the error of Fastify', async (t) => {
  const fastify = createFastify(t)
  for (const handle of [say('one'), say('two')]) {
    fastify.register(async (scope) => { scope.register(fastifyWebsocket, { handle }) })
  }
  await t.rejects(listen(fastify), { code: 'FST_ERR_DUPLICATED_ROUTE' })
})

test('a user who has a constraint strategy of their own keeps it', async (t) => {
  const strategy = {
    name: 'key',
    storage: () => {
      const handlers = new Map()
      return {
        get: (key: unknown) => handlers.get(key) ?? null,
        set: (key: unknown, handler: unknown) => { handlers.set(key, handler) }
      }
    },
    validate: () => {},
    deriveConstraint: (req: { headers: NodeJS.Dict<string | string[]> }) =>
      String(req.headers['x-key'])
  }
  const { origin } = await serve(t, {
    plugin: { handle: say('handle') },
    server: { routerOptions: { constraints: { key: strategy } } },
    declare: (fastify) => {
      fastify.get('/', { websocket: true, constraints: { key: 'a' } }, say('a'))
    }
  })
  t.equal(await (await connect(t, origin, { headers: { 'x-key': 'a' } })).nextText(), 'a')
  t.equal(await (await connect(t, `${origin}/`)).nextText(), 'handle')
})
