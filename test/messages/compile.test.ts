// Which compilers the schemas of a route get, and what is wrong at registration.
import swagger from '@fastify/swagger'
import { TypeBoxValidatorCompiler, Type } from '@fastify/type-provider-typebox'
import S from 'fluent-json-schema'
import { test } from 'tap'
import type { FastifyInstance, FastifySchema } from 'fastify'
import fastifyWebsocket from '../../src/index'
import type { WebsocketHandler, WebsocketPluginOptions } from '../../src/types'
import { connect, type Client } from '../helpers/client'
import { serve, settled } from '../helpers/plugin'
import { createFastify, listen } from '../helpers/servers'

const echo: WebsocketHandler = (connection) => { connection.pipe(connection) }

/** What becomes of `text`: the answer, or the close code. */
async function outcomeOf (client: Client, text: string): Promise<string | number> {
  client.send(text)
  const closed = client.closed.then(({ code }) => code)
  return Promise.race([client.nextText(), closed])
}

const NUMBER = { $id: 'number', type: 'object', properties: { n: { type: 'integer' } } }
const WORD = { $id: 'word', type: 'object', properties: { n: { type: 'string', maxLength: 3 } } }

test('each scope has its own shared schemas and compilers, parents and children', async (t) => {
  const route = (scope: FastifyInstance, url: string, $ref: string): void => {
    scope.get(url, { websocket: true, schema: { incoming: { $ref } } }, echo)
  }
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.addSchema(NUMBER)
      route(fastify, '/root', 'number#')
      fastify.register(async (scope) => {
        scope.addSchema(WORD)
        route(scope, '/child', 'word#')
        route(scope, '/inherited', 'number#')
        scope.register(async (grandchild) => { route(grandchild, '/grandchild', 'word#') })
      })
      fastify.register(async (scope) => {
        scope.setValidatorCompiler(() => (value) => ({ value: { custom: value } }))
        route(scope, '/custom', 'nothing')
        scope.register(async (grandchild) => { route(grandchild, '/below', 'nothing') })
      })
    }
  })
  const cases = [
    ['/root', '{"n":"5"}', '{"n":5}'],
    ['/child', '{"n":5}', '{"n":"5"}'],
    ['/child', '{"n":5555}', 1008],
    ['/inherited', '{"n":"5"}', '{"n":5}'],
    ['/grandchild', '{"n":5555}', 1008],
    ['/custom', '{"n":5}', '{"custom":{"n":5}}'],
    ['/below', '{"n":5}', '{"custom":{"n":5}}']
  ] as const
  for (const [path, text, outcome] of cases) {
    const client = await connect(t, origin + path)
    t.equal(await outcomeOf(client, text), outcome, path)
  }
})

test('a route may bring its own compilers, and schemas of other parts beside', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/:n', {
        websocket: true,
        schema: {
          params: Type.Object({ n: Type.Integer() }), incoming: Type.String(), outgoing: Type.Any()
        },
        validatorCompiler: TypeBoxValidatorCompiler,
        serializerCompiler: () => (value) => `${value}!`
      }, (connection, _req, { params }) => {
        connection.write(JSON.stringify(params))
        connection.pipe(connection)
      })
    }
  })
  // Its compiler converts parts of the request, and no body.
  const client = await connect(t, `${origin}/7`)
  t.equal(await client.nextText(), '{"n":7}!')
  t.equal(await outcomeOf(client, '"a"'), 'a!')
  t.equal(await outcomeOf(client, '7'), 1008)
})

test('schemas of fluent-json-schema are taken', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      const message = S.object().prop('n', S.integer().required())
      // Made by another library of that form, a schema has no mark but this symbol.
      const outgoing = { [Symbol.for('fluent-schema-object')]: true, valueOf: () => NUMBER }
      fastify.get('/', { websocket: true, schema: { incoming: message, outgoing } }, echo)
    }
  })
  const client = await connect(t, origin)
  t.equal(await outcomeOf(client, '{"n":"5","m":1}'), '{"n":5}')
  t.equal(await outcomeOf(client, '{}'), 1008)
})

test('a schema that is no object is taken, as JSON Schema allows true', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true, schema: { incoming: true } }, echo)
      fastify.get('/none', { websocket: true, schema: { incoming: false } }, echo)
    }
  })
  t.equal(await outcomeOf(await connect(t, origin), '{"n":[]}'), '{"n":[]}')
  t.equal(await outcomeOf(await connect(t, `${origin}/none`), '{}'), 1008)
})

test('a value as a whole is coerced', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true, schema: { incoming: { type: 'integer' } } }, echo)
    }
  })
  t.equal(await outcomeOf(await connect(t, origin), '"5"'), '5')
})

test('a route has limits of its own beside its schema', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      const schema = { incoming: { type: 'integer' } }
      for (const [url, websocket] of [['/10', { maxPayload: 10 }], ['/all', true]] as const) {
        fastify.get(url, { websocket, schema }, echo)
      }
    }
  })
  const long = `${' '.repeat(10)}"5"`
  t.equal(await outcomeOf(await connect(t, `${origin}/10`), '"5"'), '5')
  t.equal(await outcomeOf(await connect(t, `${origin}/10`), long), 1009)
  t.equal(await outcomeOf(await connect(t, `${origin}/all`), long), '5')
})

test('handle has a schema as an option of the plugin, also beside HTTP routes', async (t) => {
  const plugin: WebsocketPluginOptions = {
    handle: echo, schema: { incoming: { type: 'object' }, outgoing: NUMBER }
  }
  const { origin } = await serve(t, {
    plugin,
    declare: (fastify) => { fastify.get('/page', async () => 'page') }
  })
  for (const path of ['/', '/any', '/page']) {
    const client = await connect(t, origin + path)
    t.equal(await outcomeOf(client, '{"n":"5","m":1}'), '{"n":5}', path)
    t.equal(await outcomeOf(client, '[]'), 1008, path)
  }
})

test('handle below a prefix has its schema on every path', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => {
    scope.register(fastifyWebsocket, { handle: echo, schema: { incoming: { type: 'array' } } })
  }, { prefix: '/p' })
  const origin = await listen(fastify)
  for (const path of ['/p', '/p/a']) {
    const client = await connect(t, origin + path)
    t.equal(await outcomeOf(client, '[1]'), '[1]', path)
    t.equal(await outcomeOf(client, '{}'), 1008, path)
  }
})

const MESSAGES = { incoming: { type: 'string' }, outgoing: { type: 'string' } }

test('a route for HTTP as well is served and described as without schemas', async (t) => {
  const described: unknown[] = []
  for (const messages of [{}, MESSAGES]) {
    const fastify = createFastify(t)
    let early: unknown
    await fastify.register(swagger, { openapi: {} })
    fastify.addHook('onReady', async () => { early = fastify.swagger() })
    await fastify.register(fastifyWebsocket)
    const route = (url: string, schema: FastifySchema): void => {
      fastify.route({
        method: 'GET',
        url,
        schema: { ...schema, ...messages },
        handler: async (request) => ({ query: request.query }),
        wsHandler: echo
      })
    }
    route('/bare', {})
    route('/whole', {
      querystring: { type: 'object', properties: { n: { type: 'integer' } } },
      response: { 200: { type: 'object', properties: { query: { type: 'object' } } } }
    })
    await fastify.ready()
    t.same(early, fastify.swagger(), 'in an earlier hook of the application')
    described.push(fastify.swagger())
    for (const path of ['/bare', '/whole']) {
      const headers = { 'content-type': 'application/json' }
      const { statusCode } = await fastify.inject({ path: `${path}?n=1`, headers })
      t.equal(statusCode, 200)
    }
  }
  t.same(described[1], described[0])
})

test('hooks and handlers see the schema of the route, and no part that it lacks', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/', { websocket: true, schema: MESSAGES }, (connection, _req, request) => {
        connection.write(Object.keys(request.routeOptions.schema ?? {}).join())
      })
    }
  })
  const client = await connect(t, origin)
  t.equal(await client.nextText(), '"incoming,outgoing"')
})

const INVALID: ReadonlyArray<readonly [
  title: string, schema: object, expected: { code: string, message: string | RegExp }
]> = [
  [
    'an incoming schema that ajv cannot compile',
    { incoming: { type: 'strng' } },
    {
      code: 'FST_WS_INVALID_SCHEMA',
      message: /^cannot compile the schema incoming of \/rooms: schema is invalid/
    }
  ],
  [
    'an incoming schema that refers to none',
    { incoming: { $ref: 'none#' } },
    { code: 'FST_WS_INVALID_SCHEMA', message: /none#/ }
  ],
  [
    'an outgoing schema that refers to none',
    { outgoing: { $ref: 'none#' } },
    { code: 'FST_WS_INVALID_SCHEMA', message: /the schema outgoing of \/rooms: .*none/ }
  ],
  [
    'an asynchronous schema',
    { incoming: { $async: true, type: 'object' } },
    { code: 'FST_WS_ASYNC_VALIDATOR', message: /\/rooms/ }
  ],
  [
    'a name that is nearly incoming',
    { incomming: { type: 'object' } },
    {
      code: 'FST_WS_UNKNOWN_OPTION',
      message: 'unknown option schema.incomming of the route: did you mean incoming?'
    }
  ],
  [
    'a name that is nearly outgoing',
    { outGoing: { type: 'object' } },
    { code: 'FST_WS_UNKNOWN_OPTION', message: /did you mean outgoing\?/ }
  ]
]

for (const [title, schema, expected] of INVALID) {
  test(`ready() rejects for ${title}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    fastify.get('/rooms', { websocket: true, schema }, echo)
    await t.rejects(settled(fastify.ready()), expected)
  })
}

test('ready() rejects for a compiler that makes no function', async (t) => {
  const wrong = [
    () => undefined, () => 'text', async () => () => true, () => Promise.reject(new Error('late'))
  ]
  for (const validatorCompiler of wrong) {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    // The types of Fastify do not allow it.
    const compilers: object = { validatorCompiler }
    fastify.get('/', { ...compilers, websocket: true, schema: MESSAGES }, echo)
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_INVALID_SCHEMA', message: /its compiler has made no function/
    })
  }
})

for (const options of [
  { objectMode: false }, { binary: true }, { objectMode: false, binary: false }
]) {
  test(`ready() rejects for a schema beside ${JSON.stringify(options)}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options })
    fastify.get('/a', { websocket: true, schema: MESSAGES }, echo)
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_CONFLICTING_OPTIONS', message: /options\.objectMode: false and schema of \/a/
    })
  })
}

for (const options of [{ objectMode: true }, { binary: false }, {}]) {
  test(`a schema is taken beside ${JSON.stringify(options)}`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { options },
      declare: (fastify) => {
        fastify.get('/', { websocket: true, schema: { incoming: { type: 'object' } } }, echo)
      }
    })
    t.equal(await outcomeOf(await connect(t, origin), '{"n":1}'), '{"n":1}')
  })
}

const WRONG_PLUGIN_SCHEMAS: ReadonlyArray<readonly [object, string]> = [
  [{ handle: echo, schema: { body: {} } }, 'FST_WS_UNKNOWN_OPTION'],
  [{ handle: echo, schema: { incomming: {} } }, 'FST_WS_UNKNOWN_OPTION'],
  [{ handle: echo, schema: true }, 'FST_WS_INVALID_OPTION'],
  [{ schema: { incoming: {} } }, 'FST_WS_MISSING_OPTION']
]

for (const [options, code] of WRONG_PLUGIN_SCHEMAS) {
  test(`${JSON.stringify(options)} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    await t.rejects(settled(fastify.register(fastifyWebsocket, options)), { code })
  })
}

test('a route with a schema for messages and no plugin is only warned of', async (t) => {
  const fastify = createFastify(t)
  fastify.register(async (scope) => { scope.register(fastifyWebsocket) })
  const warned = new Promise((resolve) => { process.once('warning', resolve) })
  fastify.get('/', { websocket: true, schema: { incoming: { $ref: 'none#' } } }, echo)
  await fastify.ready()
  t.match(await warned, { code: 'FST_WS_NOT_REGISTERED' })
})
