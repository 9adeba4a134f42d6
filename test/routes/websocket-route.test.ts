import { once } from 'node:events'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { loadFastifyWebsocket } from '../helpers/foreign'
import { INFO, Logs } from '../helpers/logs'
import { ROOT, run } from '../helpers/program'
import { createFastify, listen } from '../helpers/servers'

declare module 'fastify' {
  interface FastifyInstance {
    scope: string
  }
  interface FastifyRequest {
    user: string
  }
}

/** A handler that says who it is. */
function say (text: string): fastifyWebsocket.WebsocketHandler {
  return (connection) => { connection.socket.send(text) }
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

// --- Order ---

const ORDERS: Record<string, (fastify: FastifyInstance) => unknown> = {
  'before register': (fastify) => {
    fastify.get('/echo', { websocket: true }, echo)
    fastify.register(fastifyWebsocket)
  },
  'on the line after register': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  },
  'after an awaited register': async (fastify) => {
    await fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, echo)
  },
  'in after()': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.after(() => { fastify.get('/echo', { websocket: true }, echo) })
  },
  'in a plugin after register': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
  },
  'in a plugin before register': (fastify) => {
    fastify.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
    fastify.register(fastifyWebsocket)
  },
  'under a prefix': (fastify) => {
    fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => {
      scope.get('/', { websocket: true }, echo)
    }, { prefix: '/echo' })
  },
  'two levels down': (fastify) => {
    fastify.register(async (scope) => {
      scope.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
    })
    fastify.register(fastifyWebsocket)
  },
  'in a plugin that registers it itself': (fastify) => {
    fastify.register(async (scope) => {
      scope.get('/echo', { websocket: true }, echo)
      scope.register(fastifyWebsocket)
    })
  },
  'in a scope below the one that registers it': (fastify) => {
    fastify.register(async (scope) => {
      scope.register(async (scope) => { scope.get('/echo', { websocket: true }, echo) })
      await scope.register(fastifyWebsocket)
    })
  }
}

for (const [where, declare] of Object.entries(ORDERS)) {
  test(`a route declared ${where} takes websockets`, async (t) => {
    const fastify = createFastify(t)
    await declare(fastify)
    const origin = await listen(fastify)
    const client = await connect(t, `${origin}/echo`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.equal((await fastify.inject('/echo')).statusCode, 404)
  })
}

test('registered twice on one instance is a clash', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.register(fastifyWebsocket)
  await t.rejects(settled(fastify.ready()), { code: 'FST_WS_CLASH', message: /websocketServer/ })
})

test('registered in two sibling scopes, one upgrade gets one answer', async (t) => {
  const fastify = createFastify(t)
  for (const name of ['one', 'two']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket)
      scope.get('/', { websocket: true }, say(name))
    }, { prefix: `/${name}` })
  }
  let requests = 0
  fastify.addHook('onRequest', async () => { requests++ })
  const origin = await listen(fastify)
  t.equal(fastify.server.listenerCount('upgrade'), 1)
  t.equal(await (await connect(t, `${origin}/one`)).nextText(), 'one')
  t.equal(await (await connect(t, `${origin}/two`)).nextText(), 'two')
  t.equal((await refused(t, `${origin}/three`)).statusCode, 404)
  t.equal(requests, 3)
  await fastify.close()
  t.equal(fastify.server.listenerCount('upgrade'), 0)
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

test('an upgrade of an HTTP-only route is a 404, and the log says why', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    server: { logger: logs.logger },
    declare: (fastify) => fastify.get('/rooms/:room', async () => 'plain')
  })
  t.equal((await refused(t, `${origin}/rooms/7`)).statusCode, 404)
  const { level } = await logs.find(
    'the route /rooms/:room takes HTTP requests alone: declare it with `websocket: true` or a ' +
    '`wsHandler` to accept WebSockets'
  )
  t.equal(level, INFO)
  const before = logs.lines.length
  t.equal((await refused(t, `${origin}/nowhere`)).statusCode, 404)
  t.strictSame(
    logs.lines.slice(before).filter(({ msg }) => msg.includes('HTTP requests alone')), []
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

const COPY = JSON.stringify(join(ROOT, 'src', 'index.ts'))

/** Runs a program of CommonJS with our source in reach as PLUGIN, and returns what it printed. */
function runProgram (t: Parameters<typeof run>[0], program: string): Promise<string> {
  const source = `const PLUGIN = ${COPY}; const { WebSocket } = require('ws');${program}`
  return run(t, process.execPath, ['--import', 'tsx', '--input-type=commonjs', '--eval', source])
}

const CONNECT = `
  fastify.listen({ port: 0, host: '127.0.0.1' }).then((origin) => {
    const socket = new WebSocket(origin.replace('http', 'ws') + '/echo')
    socket.on('unexpected-response', (_, response) => console.log('status', response.statusCode))
    socket.on('open', () => console.log('open'))
    for (const event of ['unexpected-response', 'open']) socket.on(event, () => {
      socket.terminate()
      fastify.close()
    })
    socket.on('error', () => {})
  })`

test('loaded after routes were declared, a warning says what to do', async (t) => {
  const output = await runProgram(t, `
    const fastify = require('fastify')()
    fastify.get('/echo', { websocket: true }, () => {})
    fastify.register(require(PLUGIN))
    fastify.ready()`)
  t.match(output, /\[FST_WS_LOADED_LATE\] Warning: .*Load it before the instance is created/)
})

test('loaded after the instance was made, routes in a plugin work without a warning', async (t) => {
  const output = await runProgram(t, `
    const fastify = require('fastify')()
    fastify.register(require(PLUGIN))
    fastify.register(async (scope) => { scope.get('/echo', { websocket: true }, () => {}) })
    ${CONNECT}`)
  t.equal(output, 'open\n')
})

test('loaded after the instance was made, routes after an awaited register work', async (t) => {
  const output = await runProgram(t, `
    const fastify = require('fastify')()
    ;(async () => {
      await fastify.register(require(PLUGIN))
      fastify.get('/echo', { websocket: true }, () => {})
      ${CONNECT}
    })()`)
  t.equal(output, 'open\n')
})

for (const which of ['first', 'second']) {
  test(`two copies of the module do not disturb each other, the ${which} registered`, async (t) => {
    const output = await runProgram(t, `
      const first = require(PLUGIN)
      for (const file of Object.keys(require.cache)) {
        if (file.startsWith(${JSON.stringify(join(ROOT, 'src'))})) delete require.cache[file]
      }
      const second = require(PLUGIN)
      console.log(first === second)
      const fastify = require('fastify')()
      fastify.register(${which})
      fastify.get('/plain', async () => 'plain')
      fastify.get('/echo', { websocket: true }, (connection, req, request) => {
        console.log(typeof connection.socket.send, req.url, request.url)
      })
      fastify.inject('/plain').then((response) => { console.log(response.body) })
      ${CONNECT}`)
    t.strictSame(output.split('\n').sort(), [
      '', 'false', 'function /echo /echo', 'open', 'plain'
    ])
  })
}

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
        scope.get('/options', { websocket: SHORT, schema }, echo)
        scope.route({ method: 'GET', url: '/both', handler: async () => '', wsHandler: echo })
        scope.get('/plain', async () => '')
      })
    }
  })
  t.strictSame(Object.keys(fastify.swagger().paths ?? {}), ['/both', '/plain'])
})
