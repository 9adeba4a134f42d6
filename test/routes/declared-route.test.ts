import { once } from 'node:events'
import { inspect } from 'node:util'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { loadFastifyWebsocket } from '../helpers/foreign'
import { echo, serve, settled } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

// --- Errors of bad use ---

interface Expected {
  code: string
  message?: string | RegExp
}

type BadRoute = [string, (fastify: FastifyInstance) => void, Expected]

/** Options of a class, as `websocket`. */
class WrongOrigin {
  get origin (): string { return 'app.example' }
}

/** Wrong values of `websocket`, and what their error says. */
const BAD_OPTIONS: ReadonlyArray<[websocket: unknown, message: RegExp]> = [
  [null, /websocket: a boolean or an object is expected, got null/],
  [1, /websocket: a boolean or an object/],
  [[], /websocket: a boolean or an object/],
  [() => {}, /websocket: a boolean or an object/],
  [new Map(), /websocket: a boolean or an object/],
  [new Date(), /websocket: a boolean or an object/],
  [Object.create({ heartbeat: 'often' }), /heartbeat: an integer from 1 to 2147483647 or false/],
  [new WrongOrigin(), /origin: 'same-host', an origin/],
  [{ heartbeat: '1000' }, /heartbeat: an integer from 1 to 2147483647 or false/],
  [{ heartbeat: true }, /heartbeat/],
  [{ maxPayload: '1' }, /maxPayload: an integer from 0 to 2147483647/],
  [{ maxPayload: false }, /maxPayload/],
  [{ maxPayload: 2 ** 31 }, /maxPayload/],
  [{ maxBackpressure: 1.5 }, /maxBackpressure: an integer from 0 to 2147483647 or false/],
  [{ origin: true }, /origin: 'same-host', an origin/]
]

const BAD_ROUTES: readonly BadRoute[] = [
  [
    'a websocket route for POST',
    (fastify) => { fastify.post('/', { websocket: true }, echo) },
    {
      code: 'FST_WS_INVALID_METHOD',
      message: 'websocket handler can only be declared in GET method'
    }
  ],
  [
    'a websocket route for all methods',
    (fastify) => { fastify.all('/', { websocket: true }, echo) },
    { code: 'FST_WS_INVALID_METHOD' }
  ],
  [
    'a websocket route for GET and POST',
    (fastify) => {
      const wrong: object = { websocket: true }
      fastify.route({ method: ['GET', 'POST'], url: '/', handler: async () => '', ...wrong })
    },
    { code: 'FST_WS_INVALID_METHOD' }
  ],
  [
    'a websocket route for HEAD alone',
    (fastify) => { fastify.head('/', { websocket: true }, echo) },
    { code: 'FST_WS_INVALID_METHOD' }
  ],
  [
    'wsHandler on a route for PUT',
    (fastify) => {
      fastify.route({ method: 'PUT', url: '/', handler: async () => '', wsHandler: echo })
    },
    { code: 'FST_WS_INVALID_METHOD' }
  ],
  [
    'wsHandler that is no function',
    (fastify) => {
      const wrong: object = { wsHandler: 'hello' }
      fastify.route({ method: 'GET', url: '/', handler: async () => '', ...wrong })
    },
    { code: 'FST_WS_INVALID_WS_HANDLER', message: 'invalid wsHandler function' }
  ],
  [
    'wsHandler that is null',
    (fastify) => {
      const wrong: object = { wsHandler: null }
      fastify.route({ method: 'GET', url: '/', handler: async () => '', ...wrong })
    },
    { code: 'FST_WS_INVALID_WS_HANDLER' }
  ],
  [
    'websocket that is no boolean',
    (fastify) => {
      const wrong: object = { websocket: 'yes' }
      fastify.get('/', wrong, async () => '')
    },
    { code: 'FST_WS_INVALID_OPTION', message: /websocket: a boolean or an object/ }
  ],
  ...BAD_OPTIONS.map(([websocket, message]): BadRoute => [
    `websocket: ${inspect(websocket)}`,
    (fastify) => {
      const wrong: object = { websocket }
      fastify.get('/', wrong, async () => '')
    },
    { code: 'FST_WS_INVALID_OPTION', message }
  ]),
  [
    'wsHandler beside wrong options',
    (fastify) => {
      const wrong: object = { websocket: { heartbeat: 0 } }
      fastify.route({ method: 'GET', url: '/', handler: async () => '', wsHandler: echo, ...wrong })
    },
    { code: 'FST_WS_INVALID_OPTION', message: /heartbeat/ }
  ],
  [
    'a websocket route with options for POST',
    (fastify) => { fastify.post('/', { websocket: { heartbeat: 1000 } }, echo) },
    { code: 'FST_WS_INVALID_METHOD' }
  ]
]

for (const [what, declare, error] of BAD_ROUTES) {
  test(`${what} throws where it is declared`, async (t) => {
    const fastify = createFastify(t)
    await fastify.register(fastifyWebsocket)
    t.throws(() => { declare(fastify) }, error)
  })

  test(`${what} before the plugin is there fails its registration`, async (t) => {
    const fastify = createFastify(t)
    declare(fastify)
    await t.rejects(settled(fastify.register(fastifyWebsocket)), error)
  })

  test(`${what} on the line after register fails ready()`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    declare(fastify)
    await t.rejects(settled(fastify.ready()), error)
  })

  test(`${what} in a plugin fails listen()`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => { declare(scope) }, { prefix: '/scope' })
    await t.rejects(listen(fastify), error)
  })

  test(`${what} on an instance without the plugin is none of our business`, async (t) => {
    const fastify = createFastify(t)
    t.doesNotThrow(() => { declare(fastify) })
    await fastify.ready()
  })
}

// --- Where no plugin reaches ---

/** The codes of the warnings that an application causes until it is ready. */
async function warningsOf (fastify: FastifyInstance): Promise<Array<[unknown, string]>> {
  const warnings: Array<[unknown, string]> = []
  const onWarning = (warning: Error & { code?: string }): void => {
    warnings.push([warning.code, warning.message])
  }
  process.on('warning', onWarning)
  await fastify.ready()
  // Warnings come later, in order.
  const last = once(process, 'warning')
  process.emitWarning('the last one')
  await last
  process.off('warning', onWarning)
  return warnings.slice(0, -1)
}

test('a websocket route of an instance without the plugin gets a warning', async (t) => {
  const fastify = createFastify(t)
  fastify.get('/a', { websocket: true }, echo)
  fastify.get('/plain', async () => 'plain')
  fastify.register(async (scope) => {
    scope.route({ method: 'GET', url: '/c', handler: async () => 'plain', wsHandler: echo })
  }, { prefix: '/b' })
  t.match(await warningsOf(fastify), [['FST_WS_NOT_REGISTERED', /: \/a, \/b\/c\. Register/]])
})

test('a websocket route of a scope beside that of the plugin gets a warning', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => {
    await scope.register(fastifyWebsocket)
    scope.get('/a', { websocket: true }, echo)
  })
  fastify.register(async (scope) => { scope.get('/b', { websocket: true }, echo) })
  t.match(await warningsOf(fastify), [['FST_WS_NOT_REGISTERED', /: \/b\. Register/]])
})

test('a websocket route that another plugin takes gets no warning', async (t) => {
  const fastify = createFastify(t)
  await fastify.register(loadFastifyWebsocket())
  fastify.get('/a', { websocket: true }, echo)
  t.strictSame(await warningsOf(fastify), [])
})

// --- Fastify's own view of the routes ---

test('printRoutes and hasRoute show the routes as they were declared', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.get('/echo', { websocket: true }, echo)
  })
  t.equal(fastify.hasRoute({ method: 'GET', url: '/echo' }), true)
  t.equal(fastify.hasRoute({ method: 'GET', url: '/other' }), false)
  t.match(fastify.printRoutes(), /echo \(GET, HEAD\)/)
})

test('swagger hides the plain side of a websocket-only route', async (t) => {
  const querystring = { type: 'object', properties: { a: { type: 'string' } } }
  const schema = Object.freeze({ querystring })
  const { fastify } = await serve(t, {
    declare: (fastify) => {
      fastify.register(swagger)
      fastify.register(async (scope) => {
        scope.get('/only', { websocket: true, schema }, echo)
        scope.get('/options', { websocket: { maxPayload: 10 }, schema }, echo)
        scope.route({ method: 'GET', url: '/both', handler: async () => '', wsHandler: echo })
        scope.get('/plain', async () => '')
      })
    }
  })
  t.strictSame(Object.keys(fastify.swagger().paths ?? {}), ['/both', '/plain'])
})
