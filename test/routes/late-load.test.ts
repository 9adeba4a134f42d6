// The instances are made before our module is loaded, so only its types are imported on top, and
// each test loads the module anew.
import { Module } from 'node:module'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import createRouter from 'find-my-way'
import t, { test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { ROOT } from '../helpers/program'
import { createFastify, listen, type Teardown } from '../helpers/servers'
import { Warnings } from '../helpers/warnings'

declare module 'fastify' {
  interface FastifyRequest {
    user: string
  }
}

type Plugin = typeof fastifyWebsocket

function loadPlugin (): Plugin {
  return require('../../src/index')
}

const SOURCES = join(ROOT, 'src')

/** Loads the plugin as if it had not been loaded before. */
function reloadPlugin (): Plugin {
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(SOURCES)) delete require.cache[file]
  }
  return loadPlugin()
}

/** A handler that sends `text`, and what it has got. */
function say (text: string): fastifyWebsocket.WebsocketHandler {
  return function ({ socket }, req, request) {
    socket.send([text, req.url, request.user, this.prefix].join(' ').trim())
  }
}

async function answerOf (t: Teardown, url: string): Promise<string> {
  return (await connect(t, url)).nextText()
}

/** Made before any copy of our module is loaded. */
const older = Array.from({ length: 40 }, () => createFastify(t))
const olderWithoutHead = createFastify(t, { exposeHeadRoutes: false })

function takeOlder (): FastifyInstance {
  const fastify = older.pop()
  if (fastify === undefined) throw new Error('make more of them')
  return fastify
}

const [withGet, withOptions, withScopes] = [takeOlder(), takeOlder(), takeOlder()]

test('an instance that had GET routes before our module was loaded gets a warning', async (t) => {
  const warnings = new Warnings(t)
  withGet.get('/', async () => 'plain')
  await withGet.register(loadPlugin())
  t.match(
    await warnings.with('FST_WS_LOADED_LATE'), [/Load it before the instance is created/]
  )
})

test('one that had routes of other methods alone gets none', async (t) => {
  const warnings = new Warnings(t)
  // What @fastify/cors declares.
  withOptions.options('*', async () => 'preflight')
  await withOptions.register(loadPlugin())
  t.strictSame(await warnings.codes(), [])
})

test('the routes of each scope with the plugin are known, beside another listener', async (t) => {
  for (const prefix of ['/a', '/b']) {
    withScopes.register(async (scope) => {
      await scope.register(loadPlugin())
      scope.get('/hello', { websocket: true }, ({ socket }) => { socket.send(prefix) })
    }, { prefix })
  }
  withScopes.server.on('upgrade', () => {})
  const origin = await listen(withScopes)
  for (const prefix of ['/a', '/b']) {
    for (const path of [`${prefix}/hello`, `${prefix}/hello/`]) {
      t.equal(await (await connect(t, origin + path)).nextText(), prefix, path)
    }
  }
})

// --- Routes on the lines after `register(require('fastify-websocket'))` ---

/** What is declared there, and what the paths then say. */
const DECLARED: Record<
  string, [declare: (fastify: FastifyInstance) => unknown, answers: Record<string, string>]
> = {
  'two routes': [(fastify) => {
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.get('/b', { websocket: true }, say('b'))
  }, { '/a': 'a /a', '/b': 'b /b', '/a/': 'a /a' }],
  'an HTTP route first': [(fastify) => {
    fastify.get('/plain', async () => 'plain')
    fastify.get('/a', { websocket: true }, say('a'))
  }, { '/a': 'a /a' }],
  'a route for POST first': [(fastify) => {
    fastify.post('/a', async () => 'plain')
    fastify.get('/a', { websocket: true }, say('a'))
  }, { '/a': 'a /a' }],
  'a route for GET and HEAD second': [(fastify) => {
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.route({ method: ['GET', 'HEAD'], url: '/b', websocket: true, handler: say('b') })
  }, { '/a': 'a /a', '/b': 'b /b' }],
  'parameters, an optional one too': [(fastify) => {
    fastify.get('/a/:id/:more?', { websocket: true }, say('a'))
  }, { '/a/1': 'a /a/1', '/a/1/2': 'a /a/1/2' }],
  'hooks before and after': [(fastify) => {
    fastify.decorateRequest('user', '')
    fastify.addHook('onRequest', async (request) => { request.user += 'before' })
    fastify.get('/a', { websocket: true }, say('a'))
    fastify.addHook('onRequest', async (request) => { request.user += '-after' })
    fastify.get('/b', { websocket: true }, say('b'))
  }, { '/a': 'a /a before-after', '/b': 'b /b before-after' }],
  'hooks of the route': [(fastify) => {
    fastify.decorateRequest('user', '')
    fastify.get('/a', {
      websocket: true, onRequest: async (request) => { request.user += 'own' }
    }, say('a'))
  }, { '/a': 'a /a own' }],
  'options of the route': [(fastify) => {
    fastify.get('/a', { websocket: { heartbeat: 60_000 } }, say('a'))
  }, { '/a': 'a /a' }],
  'a scope with a prefix': [(fastify) => {
    fastify.register(async (scope) => {
      scope.get('/', { websocket: true }, say('a'))
      scope.get('/b', { websocket: true }, say('b'))
    }, { prefix: '/a' })
  }, { '/a': 'a /a  /a', '/a/': 'a /a  /a', '/a/b': 'b /a/b  /a' }],
  'a scope without a prefix': [(fastify) => {
    fastify.register(async (scope) => { scope.get('/a', { websocket: true }, say('a')) })
  }, { '/a': 'a /a' }]
}

for (const [what, [declare, answers]] of Object.entries(DECLARED)) {
  test(`declared on the next lines: ${what}`, async (t) => {
    const warnings = new Warnings(t)
    const fastify = takeOlder()
    fastify.register(reloadPlugin())
    declare(fastify)
    const origin = await listen(fastify)
    for (const [path, answer] of Object.entries(answers)) {
      t.equal(await answerOf(t, origin + path), answer, path)
      t.equal((await fastify.inject(path)).statusCode, 404, path)
    }
    t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
    t.strictSame(await warnings.codes(), [])
  })
}

test('declared after an awaited register, a route takes websockets', async (t) => {
  const warnings = new Warnings(t)
  const fastify = takeOlder()
  await fastify.register(reloadPlugin())
  fastify.get('/a', { websocket: true }, say('a'))
  t.equal(await answerOf(t, `${await listen(fastify)}/a`), 'a /a')
  t.strictSame(await warnings.codes(), [])
})

test('routes of another instance may come between the first route and the next', async (t) => {
  const [fastify, other] = [takeOlder(), takeOlder()]
  fastify.register(reloadPlugin())
  fastify.get('/a/:b?', { websocket: true }, say('a'))
  other.get('/', async () => 'other')
  fastify.get('/c', { websocket: { heartbeat: 60_000 } }, say('c'))
  const origin = await listen(fastify)
  t.equal(await answerOf(t, `${origin}/a`), 'a /a')
  t.equal(await answerOf(t, `${origin}/a/b`), 'a /a/b')
  t.equal(await answerOf(t, `${origin}/c`), 'c /c')
  t.equal((await other.inject('/')).body, 'other')
})

test('of several instances, one without the plugin stays as it was', async (t) => {
  const warnings = new Warnings(t)
  const [fastify, other, without] = [takeOlder(), takeOlder(), takeOlder()]
  const plugin = reloadPlugin()
  for (const instance of [fastify, other]) instance.register(plugin)
  without.get('/', (request, reply) => { reply.send(String(request.raw !== undefined)) })
  // With the type of a websocket handler, and called by Fastify as one of its own.
  without.get('/a', { websocket: true }, (...args) => { Object(args[1]).send(String(args.length)) })
  other.get('/a', { websocket: true }, say('other'))
  fastify.get('/a', { websocket: true }, say('fastify'))
  t.equal(await answerOf(t, `${await listen(fastify)}/a`), 'fastify /a')
  t.equal(await answerOf(t, `${await listen(other)}/a`), 'other /a')
  t.equal((await without.inject('/')).body, 'true')
  t.equal((await without.inject('/a')).body, '2')
  t.strictSame(await warnings.codes(), ['FST_WS_NOT_REGISTERED'])
})

test('the first route may have options and a wsHandler', async (t) => {
  const fastify = takeOlder()
  fastify.register(reloadPlugin())
  fastify.route({
    method: 'GET', url: '/', handler: async () => 'plain', wsHandler: say('websocket')
  })
  t.equal(await answerOf(t, await listen(fastify)), 'websocket /')
  t.equal((await fastify.inject('/')).body, 'plain')
})

test('an upgrade of a first route for HTTP is a 404, or goes to handle', async (t) => {
  for (const handle of [undefined, say('handled')]) {
    const fastify = takeOlder()
    fastify.register(reloadPlugin(), { handle })
    fastify.get('/plain', async () => 'plain')
    const url = `${await listen(fastify)}/plain`
    if (handle === undefined) t.equal((await refused(t, url)).statusCode, 404)
    else t.equal(await answerOf(t, url), 'handled /plain')
    t.equal((await fastify.inject('/plain')).body, 'plain')
  }
})

test('loaded in a scope with a prefix, its first route has both paths', async (t) => {
  const warnings = new Warnings(t)
  const fastify = takeOlder()
  fastify.register(async (scope) => {
    scope.register(reloadPlugin())
    scope.get('/', { websocket: true }, say('first'))
    scope.get('/second', { websocket: true }, say('second'))
    fastify.get('/root', async () => 'root')
  }, { prefix: '/scope' })
  const origin = await listen(fastify)
  const answers = {
    '/scope': 'first /scope  /scope',
    '/scope/': 'first /scope  /scope',
    '/scope/second': 'second /scope/second  /scope'
  }
  for (const [url, answer] of Object.entries(answers)) {
    t.equal(await answerOf(t, origin + url), answer, url)
    for (const method of ['GET', 'HEAD'] as const) {
      t.equal((await fastify.inject({ method, url })).statusCode, 404, `${method} ${url}`)
    }
  }
  t.strictSame(await warnings.codes(), [])
})

test('a wrong first route fails ready() with its error', async (t) => {
  const fastify = takeOlder()
  fastify.register(reloadPlugin())
  const wrong: object = { websocket: 1 }
  fastify.get('/a', wrong, async () => '')
  await t.rejects(async () => { await fastify.ready() }, { code: 'FST_WS_INVALID_OPTION' })
})

// --- Routes that stay unknown ---

/** Ways to declare a first route that has no HEAD route of its own right behind it. */
const UNKNOWN: Record<string, [FastifyInstance, declare: (fastify: FastifyInstance) => unknown]> = {
  'with exposeHeadRoutes: false': [olderWithoutHead, (fastify) => {
    fastify.get('/a', { websocket: true }, say('a'))
  }],
  'with exposeHeadRoute: false, and a HEAD route': [takeOlder(), (fastify) => {
    fastify.get('/a', { websocket: true, exposeHeadRoute: false }, say('a'))
    fastify.head('/a', async () => '')
  }],
  'for GET and HEAD': [takeOlder(), (fastify) => {
    fastify.route({ method: ['GET', 'HEAD'], url: '/a', websocket: true, handler: say('a') })
  }]
}

for (const [how, [fastify, declare]] of Object.entries(UNKNOWN)) {
  test(`a first route ${how} stays unknown: a warning, and its upgrade is refused`, async (t) => {
    const warnings = new Warnings(t)
    fastify.register(reloadPlugin(), { handle: say('handled') })
    declare(fastify)
    fastify.get('/b', { websocket: true }, say('b'))
    const origin = await listen(fastify)
    t.match(await refused(t, `${origin}/a`), {
      statusCode: 500, body: /"code":"FST_WS_UNKNOWN_ROUTE".*before the Fastify instance is created/
    })
    t.equal(await answerOf(t, `${origin}/b`), 'b /b')
    t.equal(await answerOf(t, `${origin}/handled`), 'handled /handled')
    t.match(await warnings.with('FST_WS_LOADED_LATE'), [/Load it before/])
  })
}

test('routes declared before it was loaded stay unknown, wherever they are', async (t) => {
  const warnings = new Warnings(t)
  const fastify = takeOlder()
  fastify.get('/before', { websocket: true }, say('before'))
  fastify.register(async (scope) => {
    scope.get('/inside', { websocket: true }, say('inside'))
    scope.get('/plain', async () => 'plain')
  })
  fastify.register(reloadPlugin())
  fastify.get('/a', { websocket: true }, say('a'))
  const origin = await listen(fastify)
  t.equal((await refused(t, `${origin}/before`)).statusCode, 500)
  t.equal(await answerOf(t, `${origin}/inside`), 'inside /inside')
  t.equal((await fastify.inject('/plain')).body, 'plain')
  t.equal(await answerOf(t, `${origin}/a`), 'a /a')
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.strictSame(await warnings.codes(), ['FST_WS_LOADED_LATE'])
})

// --- The router ---

/** The prototype of Fastify's routers, as far as a late load touches it. */
const ROUTER: { on: Function } = createRouter.prototype

test('the router is as it was on the next tick, however often it was loaded', async (t) => {
  const before = Object.getOwnPropertyDescriptor(ROUTER, 'on')
  for (let i = 0; i < 3; i++) reloadPlugin()
  t.not(ROUTER.on, before?.value)
  await new Promise<void>((resolve) => { process.nextTick(resolve) })
  const after = Object.getOwnPropertyDescriptor(ROUTER, 'on')
  t.strictSame(after, before)
  t.equal(after?.value, before?.value)
})

test('a library that wraps the router in the same tick keeps its wrapper', async (t) => {
  const fastify = takeOlder()
  const { on } = ROUTER
  t.teardown(() => { ROUTER.on = on })
  reloadPlugin()
  const watching = ROUTER.on
  t.not(watching, on)
  reloadPlugin()
  t.equal(ROUTER.on, watching, 'a second copy does not watch, too')
  const seen: unknown[] = []
  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    seen.push(args[1])
    return Reflect.apply(watching, this, args)
  }
  ROUTER.on = wrapper
  await new Promise(setImmediate)
  t.equal(ROUTER.on, wrapper)
  fastify.get('/', async () => 'plain')
  t.ok(seen.includes('/'))
  t.equal((await fastify.inject('/')).body, 'plain')
})

test('the first route of an instance may have a schema for messages', async (t) => {
  const fastify = takeOlder()
  fastify.register(reloadPlugin())
  const schema = { incoming: { type: 'integer' } }
  fastify.get('/', { websocket: true, schema }, (connection) => { connection.pipe(connection) })
  const client = await connect(t, await listen(fastify))
  client.send('"5"')
  t.equal(await client.nextText(), '5')
  client.send('"x"')
  t.match(await client.closed, { code: 1008 })
})

test('it loads where Fastify is out of reach', async (t) => {
  // Not in the types of Node.js.
  const resolver = Module as unknown as { _resolveFilename: Function }
  const resolve = resolver._resolveFilename
  t.teardown(() => { resolver._resolveFilename = resolve })
  resolver._resolveFilename = function (this: unknown, ...args: unknown[]): unknown {
    if (args[0] === 'fastify') throw new Error('out of reach')
    return Reflect.apply(resolve, this, args)
  }
  t.type(reloadPlugin(), 'function')
})
