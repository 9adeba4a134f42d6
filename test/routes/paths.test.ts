import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'

/** Declares a websocket route that sends its own URL. */
function declareRoute (fastify: FastifyInstance, url: string, options: object = {}): void {
  fastify.get(url, { ...options, websocket: true }, (connection) => {
    connection.socket.send(url)
  })
}

function servePaths (t: Test, urls: string[], server: FastifyServerOptions = {}) {
  return serve(t, {
    server, declare: (fastify) => { for (const url of urls) declareRoute(fastify, url) }
  })
}

/** What the upgrade of a path reaches: the URL of a route, or a status. */
async function reach (t: Test, url: string, headers = {}): Promise<string | number | undefined> {
  const client = await connect(t, url, { headers }).catch(() => undefined)
  if (client !== undefined) return client.nextText()
  return (await refused(t, url, { headers })).statusCode
}

const STATIC = ['/', '/echo', '/slash/', '/both', '/both/', '/Case']
const CASES: ReadonlyArray<[routes: string[], path: string, reached: string | number]> = [
  [STATIC, '/', '/'],
  [STATIC, '', '/'],
  [STATIC, '/?a=/b/', '/'],
  [STATIC, '/echo', '/echo'],
  [STATIC, '/echo/', '/echo'],
  [STATIC, '/echo?a=1', '/echo'],
  [STATIC, '/echo/?a=1', '/echo'],
  [STATIC, '/slash', '/slash/'],
  [STATIC, '/slash/', '/slash/'],
  [STATIC, '/both', '/both'],
  [STATIC, '/both/', '/both/'],
  [STATIC, '/Case/', '/Case'],
  [STATIC, '/case', 404],
  [STATIC, '/Echo', 404],
  [STATIC, '/echo//', 404],
  [STATIC, '//', '/'],
  [STATIC, '/echo/deep', 404],
  [STATIC, '/ech', 404],
  [STATIC, '/%', 400],
  [STATIC, '/echo%2', 400],
  [STATIC, '/%65cho', '/echo'],
  [STATIC, '/%65cho/', '/echo'],
  [['/files/*'], '/files/a/b', '/files/*'],
  [['/files/*'], '/files/', '/files/*'],
  [['/files/*', '/files/one'], '/files/one/', '/files/one'],
  [['/files/*', '/files/one'], '/files/two/', '/files/*'],
  [['*'], '/any/thing/', '*'],
  [['*', '/echo'], '/echo/', '/echo'],
  [['/rooms/:room'], '/rooms/7', '/rooms/:room'],
  [['/rooms/:room'], '/rooms/7/', '/rooms/:room'],
  [['/rooms/:room'], '/rooms/%F0%9F%90%B8/', '/rooms/:room'],
  [['/rooms/:room'], '/rooms', 404],
  [['/rooms/:room', '/rooms'], '/rooms/', '/rooms'],
  [['/:room?'], '/', '/:room?'],
  [['/:room?'], '/7/', '/:room?'],
  [['/rooms/:room?'], '/rooms', '/rooms/:room?'],
  [['/rooms/:room?'], '/rooms/7/', '/rooms/:room?'],
  [['/at/:hour(^\\d{2})h:minute(^\\d{2})m'], '/at/12h30m/', '/at/:hour(^\\d{2})h:minute(^\\d{2})m'],
  [['/at/:hour(^\\d{2})h:minute(^\\d{2})m'], '/at/noon', 404],
  [['/id/:id(^\\d+$)'], '/id/12/', '/id/:id(^\\d+$)'],
  [['/id/:id(^\\d+$)'], '/id/ada/', 404],
  [['/rooms/:room'], `/rooms/${'a'.repeat(101)}`, 414],
  [['/rooms/:room'], `/rooms/${'a'.repeat(10_000)}/`, 414],
  [['/::colon'], '/:colon/', '/::colon']
]

for (const [routes, path, reached] of CASES) {
  test(`with ${routes.join(' ')}, ${path.slice(0, 40)} reaches ${reached}`, async (t) => {
    const { origin } = await servePaths(t, routes)
    t.equal(await reach(t, origin + path), reached)
  })
}

test('a trailing slash reaches an HTTP-only route of that very path, and no other', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      declareRoute(fastify, '/echo')
      fastify.get('/echo/', async () => 'plain')
      declareRoute(fastify, '/rooms')
      fastify.get('/rooms/:room', async () => 'plain')
      declareRoute(fastify, '/files')
      fastify.get('/files/*', async () => 'plain')
    }
  })
  t.equal(await reach(t, `${origin}/echo/`), 404)
  t.equal(await reach(t, `${origin}/rooms/`), '/rooms')
  t.equal(await reach(t, `${origin}/files/`), '/files')
  t.equal(await reach(t, `${origin}/files/x`), 404)
})

test('a path that has lost its trailing slash is still the original URL', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => fastify.get('/echo', { websocket: true }, (connection, req, request) => {
      connection.socket.send([req.url, request.url, request.originalUrl].join(' '))
    })
  })
  const client = await connect(t, `${origin}/echo/?a=1`)
  t.equal(await client.nextText(), '/echo?a=1 /echo?a=1 /echo/?a=1')
})

for (const prefixTrailingSlash of ['both', 'slash', 'no-slash'] as const) {
  test(`'/' under a prefix with prefixTrailingSlash ${prefixTrailingSlash}`, async (t) => {
    const { origin } = await serve(t, {
      declare: (fastify) => fastify.register(async (scope) => {
        declareRoute(scope, '/', { prefixTrailingSlash })
        declareRoute(scope, '/deep')
      }, { prefix: '/api' })
    })
    t.equal(await reach(t, `${origin}/api`), '/')
    t.equal(await reach(t, `${origin}/api/`), '/')
    t.equal(await reach(t, `${origin}/api/deep/`), '/deep')
    t.equal(await reach(t, `${origin}/deep`), 404)
  })
}

test('routes under a prefix with a parameter', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => fastify.register(async (scope) => {
      declareRoute(scope, '/chat')
    }, { prefix: '/:tenant' })
  })
  t.equal(await reach(t, `${origin}/acme/chat/`), '/chat')
})

test('constraints choose between websocket and plain routes of one path', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      declareRoute(fastify, '/', { constraints: { host: 'a.example' } })
      fastify.get('/', { constraints: { host: 'b.example' } }, async () => 'plain')
      declareRoute(fastify, '/v', { constraints: { version: '1.0.0' } })
      fastify.get('/v', { constraints: { version: '2.0.0' } }, async () => 'plain')
      declareRoute(fastify, '/:one/x', { constraints: { host: 'a.example' } })
      declareRoute(fastify, '/:two/x', { constraints: { host: 'b.example' } })
      declareRoute(fastify, '/opt', { constraints: { host: 'a.example' } })
      declareRoute(fastify, '/opt/:id?', { constraints: { host: 'b.example' } })
    }
  })
  const A = { host: 'a.example' }
  const B = { host: 'b.example' }
  t.equal(await reach(t, origin, A), '/')
  t.equal(await reach(t, origin, B), 404)
  t.equal((await fastify.inject({ url: '/', headers: B })).body, 'plain')
  t.equal(await reach(t, `${origin}/v`, { 'accept-version': '1.x' }), '/v')
  t.equal(await reach(t, `${origin}/v/`, { 'accept-version': '1.x' }), '/v')
  t.equal(await reach(t, `${origin}/v`, { 'accept-version': '2.x' }), 404)
  t.equal(await reach(t, `${origin}/7/x/`, A), '/:one/x')
  t.equal(await reach(t, `${origin}/7/x/`, B), '/:two/x')
  t.equal(await reach(t, `${origin}/opt`, A), '/opt')
  t.equal(await reach(t, `${origin}/opt/`, B), '/opt/:id?')
  t.equal(await reach(t, `${origin}/opt/7/`, B), '/opt/:id?')
})

const ROUTER_OPTIONS: ReadonlyArray<[object, path: string, reached: string | number]> = [
  [{ caseSensitive: false }, '/ECHO/', '/echo'],
  [{ ignoreTrailingSlash: true }, '/echo/', '/echo'],
  [{ ignoreDuplicateSlashes: true }, '//echo/', '/echo'],
  [{ useSemicolonDelimiter: true }, '/echo;a=1', '/echo'],
  [{ useSemicolonDelimiter: true }, '/echo/;a=1', '/echo'],
  [{ useSemicolonDelimiter: false }, '/echo/;a=1', 404],
  [{ maxParamLength: 200 }, `/rooms/${'a'.repeat(150)}/`, '/rooms/:room']
]

for (const path of ['/echo#x', '/echo/#x', '/echo/#x?y', '/echo/?y#x']) {
  test(`${path} reaches the route of its path`, async (t) => {
    const { fastify } = await servePaths(t, ['/echo'])
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead(path))
    t.match(await client.until('\r\n\r\n'), 'HTTP/1.1 101 Switching Protocols')
  })
}

for (const [options, path, reached] of ROUTER_OPTIONS) {
  for (const server of [options, { routerOptions: options }]) {
    const title = JSON.stringify(server)
    test(`${title}: ${path.slice(0, 20)} reaches ${reached}`, async (t) => {
      const { origin } = await servePaths(t, ['/echo', '/rooms/:room'], server)
      t.equal(await reach(t, origin + path), reached)
    })
  }
}

test('exposeHeadRoutes: false changes nothing', async (t) => {
  const { fastify, origin } = await servePaths(t, ['/echo'], { exposeHeadRoutes: false })
  t.equal(await reach(t, `${origin}/echo`), '/echo')
  t.equal((await fastify.inject({ method: 'HEAD', url: '/echo' })).statusCode, 404)
})

test('rewriteUrl decides on the route', async (t) => {
  const { origin } = await servePaths(t, ['/echo'], {
    rewriteUrl: (req) => String(req.url).replace('/v1', '')
  })
  t.equal(await reach(t, `${origin}/v1/echo`), '/echo')
})

test('the handlers for 404 and for bad URLs are those of the user', async (t) => {
  const { origin } = await serve(t, {
    server: { routerOptions: { onBadUrl: (_path, _req, res) => { res.writeHead(414).end() } } },
    declare: (fastify) => {
      fastify.setNotFoundHandler(async (_request, reply) => reply.code(404).send('nothing here'))
      fastify.register(async (scope) => {
        scope.setNotFoundHandler(async (_request, reply) => reply.code(410).send('gone'))
        scope.get('/plain', async () => 'plain')
      }, { prefix: '/api' })
      fastify.get('/plain', async () => 'plain')
      declareRoute(fastify, '/echo')
    }
  })
  t.match(await refused(t, `${origin}/other`), { statusCode: 404, body: 'nothing here' })
  t.match(await refused(t, `${origin}/plain`), { statusCode: 404, body: 'nothing here' })
  t.match(await refused(t, `${origin}/api/other`), { statusCode: 410, body: 'gone' })
  t.match(await refused(t, `${origin}/api/plain`), { statusCode: 410, body: 'gone' })
  t.match(await refused(t, `${origin}/%`), { statusCode: 414 })
})

test('a refused upgrade gets the 404 of Fastify and the socket is closed', async (t) => {
  const { fastify } = await serve(t, { declare: (fastify) => declareRoute(fastify, '/echo') })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/nothing'))
  const answer = await client.until('}')
  t.match(answer, 'HTTP/1.1 404 Not Found')
  t.match(answer, /^connection: close\r$/mi)
  t.match(answer, '{"message":"Route GET:/nothing not found","error":"Not Found","statusCode":404}')
  await client.closed
})

test("the user's own * route serves plain requests and takes no upgrades", async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      declareRoute(fastify, '/echo')
      fastify.get('*', async () => 'plain')
    }
  })
  t.equal((await fastify.inject('/other')).body, 'plain')
  t.equal(await reach(t, `${origin}/other`), 404)
  t.equal(await reach(t, `${origin}/echo`), '/echo')
})

test('a plugin that replaces the hooks of a route does not let upgrades hang', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.addHook('onRoute', (options) => { options.onRequest = [] })
      fastify.get('/plain', async () => 'plain')
    }
  })
  t.equal(await reach(t, `${origin}/plain`), 404)
})

test('an upgrade that no route takes runs each hook at most once', async (t) => {
  const seen: string[] = []
  const { origin } = await serve(t, {
    plugin: { options: { path: '/plain' } },
    declare: (fastify) => {
      fastify.addHook('onRequest', async () => { seen.push('onRequest') })
      fastify.addHook('preValidation', async () => { seen.push('preValidation') })
      fastify.addHook('preHandler', async () => { seen.push('preHandler') })
      fastify.addHook('onSend', async () => { seen.push('onSend') })
      fastify.get('/plain', { onRequest: async () => { seen.push('route') } }, async () => '')
      declareRoute(fastify, '/echo')
    }
  })
  for (const path of ['/plain', '/echo']) {
    t.equal((await refused(t, origin + path)).statusCode, 404)
    t.equal(new Set(seen).size, seen.length, `${path}: ${seen}`)
    t.ok(seen.includes('preHandler'))
    seen.length = 0
  }
})

test('a route outside the scope of a handle is not the way around its hooks', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => {
    scope.addHook('onRequest', async ({ headers }, reply) => {
      if (headers.authorization === undefined) return reply.code(401).send()
    })
    scope.register(fastifyWebsocket, { handle: ({ socket }) => { socket.send('handle') } })
    scope.get('/inside', async () => 'inside')
  }, { prefix: '/api' })
  fastify.get('/api/outside', async () => 'outside')
  const origin = await listen(fastify)
  const headers = { authorization: 'me' }
  for (const path of ['/api/any', '/api/inside']) {
    t.equal(await reach(t, origin + path, headers), 'handle')
    t.equal((await refused(t, origin + path)).statusCode, 401)
  }
  // The router prefers it to the handle, as it would to a `/api/*` of the scope.
  t.equal(await reach(t, `${origin}/api/outside`, headers), 404)
})

test('a path without a route gets no 101, whatever is sent behind the head', async (t) => {
  const { fastify } = await serve(t, { declare: (fastify) => fastify.get('/', async () => echo) })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(`${upgradeHead('/')}GET / HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await client.closed
  t.equal(client.received.toString().match(/HTTP\/1\.1 404 /g)?.length, 1)
  t.notMatch(client.received.toString(), /HTTP\/1\.1 (101|200)/)
})
