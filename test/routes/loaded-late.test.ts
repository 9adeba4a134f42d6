// The instances are made before our module is loaded, so only its types are imported on top.
import { once } from 'node:events'
import { Module } from 'node:module'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import createRouter from 'find-my-way'
import t, { test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { ROOT } from '../helpers/program'
import { createFastify, listen, type Teardown } from '../helpers/servers'

function loadPlugin (): typeof fastifyWebsocket {
  return require('../../src/index')
}

const SOURCES = join(ROOT, 'src')

/** Loads the plugin as if it had not been loaded before. */
function reloadPlugin (): typeof fastifyWebsocket {
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(SOURCES)) delete require.cache[file]
  }
  return loadPlugin()
}

/** A handler that says who it is. */
function say (text: string): fastifyWebsocket.WebsocketHandler {
  return ({ socket }) => { socket.send(text) }
}

async function answerOf (t: Teardown, url: string): Promise<string> {
  return (await connect(t, url)).nextText()
}

/** Made before any copy of our module is loaded. */
const older = Array.from({ length: 10 }, () => createFastify(t))
const olderWithoutHead = createFastify(t, { exposeHeadRoutes: false })

function takeOlder (): FastifyInstance {
  const fastify = older.pop()
  if (fastify === undefined) throw new Error('make more of them')
  return fastify
}

const [withGet, withOptions, withScopes] = [takeOlder(), takeOlder(), takeOlder()]

test('an instance that had GET routes before our module was loaded gets a warning', async (t) => {
  withGet.get('/', async () => 'plain')
  const plugin = loadPlugin()
  const warned = once(process, 'warning')
  await withGet.register(plugin)
  const [warning] = await warned
  t.match(warning, {
    code: 'FST_WS_LOADED_LATE', message: /Load it before the instance is created/
  })
})

test('one that had routes of other methods alone gets none', async (t) => {
  // What @fastify/cors declares.
  withOptions.options('*', async () => 'preflight')
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  await withOptions.register(loadPlugin())
  // Warnings come later, in order.
  const last = once(process, 'warning')
  process.emitWarning('the last one')
  await last
  t.strictSame(warnings.map(({ message }) => message), ['the last one'])
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

test('the first route and those after it take websockets', async (t) => {
  const [fastify, other] = [takeOlder(), takeOlder()]
  fastify.register(reloadPlugin())
  fastify.get('/a/:b?', { websocket: true }, say('a'))
  other.get('/', async () => 'other')
  fastify.get('/c', { websocket: { heartbeat: 60_000 } }, say('c'))
  const origin = await listen(fastify)
  t.equal(await answerOf(t, `${origin}/a`), 'a')
  t.equal(await answerOf(t, `${origin}/a/b`), 'a')
  t.equal(await answerOf(t, `${origin}/c`), 'c')
  t.equal((await refused(t, `${origin}/d`)).statusCode, 404)
  t.equal((await fastify.inject('/a')).statusCode, 404)
  t.equal((await other.inject('/')).body, 'other')
})

test('the first route may have options and a wsHandler', async (t) => {
  const fastify = takeOlder()
  fastify.register(reloadPlugin())
  fastify.route({
    method: 'GET', url: '/', handler: async () => 'plain', wsHandler: say('websocket')
  })
  const origin = await listen(fastify)
  t.equal(await answerOf(t, origin), 'websocket')
  t.equal((await fastify.inject('/')).body, 'plain')
})

test('upgrades of a first route that is for HTTP alone are a 404', async (t) => {
  const fastify = takeOlder()
  fastify.register(reloadPlugin())
  fastify.get('/', async () => 'plain')
  const origin = await listen(fastify)
  t.equal((await refused(t, origin)).statusCode, 404)
  t.equal((await fastify.inject('/')).body, 'plain')
})

test('the first route of a scope with a prefix has both of its paths', async (t) => {
  const fastify = takeOlder()
  fastify.register(async (scope) => {
    scope.register(reloadPlugin())
    scope.get('/', { websocket: true }, say('first'))
    scope.get('/second', { websocket: true }, say('second'))
    fastify.get('/root', async () => 'root')
  }, { prefix: '/scope' })
  const origin = await listen(fastify)
  for (const path of ['/scope', '/scope/']) {
    t.equal(await answerOf(t, origin + path), 'first')
    t.equal((await fastify.inject(path)).statusCode, 404)
  }
  t.equal(await answerOf(t, `${origin}/scope/second`), 'second')
})

test('upgrades of a first route of which nothing is known are refused', async (t) => {
  const fastify = olderWithoutHead
  const plugin = reloadPlugin()
  fastify.get('/', { websocket: true }, say('unknown'))
  fastify.get('/known', { websocket: true }, say('known'))
  const warned = once(process, 'warning')
  await fastify.register(plugin)
  t.match(await warned, [{ code: 'FST_WS_LOADED_LATE' }])
  const origin = await listen(fastify)
  t.match(await refused(t, origin), { statusCode: 500, body: /FST_WS_UNKNOWN_ROUTE/ })
  t.equal(await answerOf(t, `${origin}/known`), 'known')
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
})

test('what another library puts around the router in the same tick stays', async (t) => {
  const fastify = takeOlder()
  const router: { on: Function } = createRouter.prototype
  const { on } = router
  t.teardown(() => { router.on = on })
  reloadPlugin()
  const watching = router.on
  t.not(watching, on)
  reloadPlugin()
  t.equal(router.on, watching, 'a second copy does not watch, too')
  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(watching, this, args)
  }
  router.on = wrapper
  await new Promise(setImmediate)
  t.equal(router.on, wrapper)
  fastify.get('/', async () => 'plain')
  t.equal((await fastify.inject('/')).body, 'plain')
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
