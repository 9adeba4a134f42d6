import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer as createHttpServer } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fastifyRequestContext, requestContext } from '@fastify/request-context'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../src/index'
import { connect, refused } from './helpers/client'
import { Logs } from './helpers/logs'
import { echo, serve, settled } from './helpers/plugin'
import { frame, RawClient, upgradeHead } from './helpers/raw'
import { createFastify, listen, portOf } from './helpers/servers'
import { watchProcess } from './helpers/uncaught'

declare module '@fastify/request-context' {
  interface RequestContextData {
    user: string
  }
}

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const
type Hook = typeof HOOKS[number]

/** Adds an async hook, whatever arguments it gets before request and reply come back. */
function addHook (
  fastify: FastifyInstance, name: Hook,
  hook: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
): void {
  // The overloads of addHook take no union of names.
  fastify.addHook(name as 'onRequest', hook)
}

// --- Lifecycle before the 101 ---

test('all hooks run once and in order, and onSend and onResponse see the 101', async (t) => {
  const seen: string[] = []
  const responded = deferred()
  const { origin } = await serve(t, {
    declare: (fastify) => {
      for (const name of HOOKS) addHook(fastify, name, async () => { seen.push(name) })
      fastify.addHook('preHandler', (_request, _reply, done) => {
        seen.push('callback')
        setImmediate(done)
      })
      fastify.addHook('onSend', async (_request, reply) => {
        seen.push(`onSend ${reply.statusCode}`)
      })
      fastify.addHook('onResponse', async (_request, reply) => {
        seen.push(`onResponse ${reply.statusCode}`)
        responded.resolve(true)
      })
      fastify.addHook('onRequestAbort', async (_request) => { seen.push('onRequestAbort') })
      fastify.addHook('onError', async () => { seen.push('onError') })
      fastify.addHook('onTimeout', async () => { seen.push('onTimeout') })
      fastify.register(async (scope) => {
        scope.addHook('preHandler', async () => { seen.push('scope') })
        const preHandler = async () => { seen.push('route') }
        scope.get('/', { websocket: true, preHandler }, (connection) => {
          seen.push('handler')
          connection.socket.send('ready')
        })
      })
    }
  })
  const client = await connect(t, origin)
  await Promise.all([client.next(), responded.promise])
  client.close()
  await client.closed
  await nextTurn()
  t.strictSame(seen.filter((name) => name !== 'handler'), [
    ...HOOKS, 'callback', 'scope', 'route', 'onSend 101', 'onResponse 101'
  ])
  t.equal(seen.filter((name) => name === 'handler').length, 1)
})

for (const name of HOOKS) {
  test(`an ${name} hook that answers refuses with that response`, async (t) => {
    const seen: string[] = []
    const { fastify, origin } = await serve(t, {
      plugin: { handle: () => { seen.push('handler') } },
      declare: (fastify) => {
        addHook(fastify, name, async (_request, reply) => {
          return reply.code(401).header('x-why', 'because').send({ no: true })
        })
        fastify.addHook('onSend', async () => { seen.push('onSend') })
      }
    })
    const { statusCode, headers, body } = await refused(t, origin)
    t.equal(statusCode, 401)
    t.equal(headers['x-why'], 'because')
    t.equal(headers['connection'], 'close')
    t.equal(body, '{"no":true}')
    t.strictSame(seen, ['onSend'])
    t.equal(fastify.websocketServer.clients.size, 0)
  })

  test(`an ${name} hook that throws goes to the error handler`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: echo },
      declare: (fastify) => {
        addHook(fastify, name, async () => { throw new Error('hook') })
        fastify.setErrorHandler(async (error: Error, _request, reply) => {
          return reply.code(409).send(`handled ${error.message}`)
        })
      }
    })
    t.match(await refused(t, origin), { statusCode: 409, body: 'handled hook' })
  })

  test(`an ${name} hook that answers twice answers once`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: echo },
      declare: (fastify) => addHook(fastify, name, async (_request, reply) => {
        reply.code(403).send('first')
        reply.code(200).send('second')
        return reply
      })
    })
    t.match(await refused(t, origin), { statusCode: 403, body: 'first' })
  })
}

test('an onSend hook that throws refuses with 500', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 101) throw new Error('onSend')
    })
  })
  t.equal((await refused(t, origin)).statusCode, 500)
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('a hook that refuses with a stream of 10 MB sends all of it', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'a')
  const { origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('onRequest', async (_request, reply) => {
      return reply.code(403).send(Readable.from(Array.from({ length: 160 }, () => chunk)))
    })
  })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 403)
  t.equal(body.length, 160 * chunk.length)
})

test('schemas of params, query and headers are checked before the 101', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => fastify.get('/rooms/:room', {
      websocket: true,
      schema: {
        params: { type: 'object', properties: { room: { type: 'integer' } } },
        querystring: { type: 'object', properties: { page: { type: 'integer' } } },
        headers: { type: 'object', properties: { 'x-size': { type: 'integer' } } }
      }
    }, (connection, _req, { params, query }) => {
      connection.socket.send(JSON.stringify({ params, query }))
    })
  })
  const client = await connect(t, `${origin}/rooms/7?page=2`)
  t.strictSame(JSON.parse(await client.nextText()), { params: { room: 7 }, query: { page: 2 } })
  for (const [path, headers, where] of [
    ['/rooms/a', {}, 'params/room'],
    ['/rooms/7?page=b', {}, 'querystring/page'],
    ['/rooms/7', { 'x-size': 'c' }, 'headers/x-size']
  ] as const) {
    const { statusCode, body } = await refused(t, origin + path, { headers })
    t.equal(statusCode, 400)
    t.match(JSON.parse(body), {
      statusCode: 400, code: 'FST_ERR_VALIDATION', message: `${where} must be integer`
    })
  }
})

test('onRequestAbort fires when the client leaves while a hook waits', async (t) => {
  const hooked = deferred()
  const aborted = deferred()
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => {
      fastify.addHook('onRequestAbort', async (request) => { aborted.resolve(request.ws) })
      fastify.addHook('preHandler', async () => {
        hooked.resolve(true)
        await aborted.promise
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await hooked.promise
  client.socket.destroy()
  t.equal(await aborted.promise, true)
  await nextTurn()
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('handlerTimeout answers for a hook that hangs', async (t) => {
  const { origin } = await serve(t, {
    plugin: { handle: echo },
    server: { handlerTimeout: 20 },
    declare: (fastify) => fastify.addHook('preHandler', () => {})
  })
  t.equal((await refused(t, origin)).statusCode, 503)
})

// Each option with what a client does to meet it, and the end of what comes back.
const TIMEOUTS: Array<[option: string, request: string, answer: RegExp]> = [
  ['handlerTimeout', 'GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', / 503 /],
  ['requestTimeout', 'GET /', / 408 /],
  ['connectionTimeout', 'GET /', /^$/],
  ['keepAliveTimeout', 'GET /quick HTTP/1.1\r\nHost: x\r\n\r\n', /quick$/]
]

for (const [option, request, answer] of TIMEOUTS) {
  test(`${option} has no effect on a running connection`, async (t) => {
    const timeouts: string[] = []
    // The types of Fastify have `http` only where the kind of the server is known.
    const server = { [option]: 30, http: { connectionsCheckingInterval: 10 } } as object
    const { fastify, origin } = await serve(t, {
      plugin: { handle: echo },
      server,
      declare: (fastify) => {
        fastify.get('/slow', () => {})
        fastify.get('/quick', async () => 'quick')
        fastify.addHook('onTimeout', async ({ url }) => { timeouts.push(url) })
        fastify.addHook('onError', async ({ url }) => { timeouts.push(url) })
      }
    })
    const client = await connect(t, `${origin}/running`)
    // Whoever came later has run into it.
    const late = new RawClient(t, portOf(fastify.server))
    late.write(request)
    await late.closed
    t.match(late.received.toString(), answer)
    client.send('still here')
    t.equal(await client.nextText(), 'still here')
    t.notOk(timeouts.includes('/running'))
  })
}

test('the request log has the 101', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, { plugin: { handle: echo }, server: { logger: logs.logger } })
  await connect(t, origin)
  const { res, reqId } = await logs.find('request completed')
  t.equal(res?.statusCode, 101)
  t.equal(reqId, 'req-1')
  t.equal(logs.lines.filter(({ msg }) => msg === 'incoming request').length, 1)
})

test('an error before the 101 goes to the error handler of Fastify and nowhere else', async (t) => {
  const errors: unknown[] = []
  const { origin } = await serve(t, {
    plugin: { handle: echo, errorHandler: (error) => { errors.push(error) } },
    declare: (fastify) => fastify.addHook('preHandler', async () => { throw new Error('before') })
  })
  t.equal((await refused(t, origin)).statusCode, 500)
  t.strictSame(errors, [])
})

test('a hook that hijacks the reply has the socket to itself', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('onRequest', async (request, reply) => {
      reply.hijack()
      request.raw.socket.end('HTTP/1.1 299 Mine\r\nConnection: close\r\n\r\n')
    })
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 299 Mine\r\nConnection: close\r\n\r\n$/)
})

// --- Request context ---

test('the async context of the request is there in message and data listeners', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(fastifyRequestContext)
      fastify.addHook('onRequest', async (request) => {
        request.requestContext.set('user', String(Object(request.query).user))
      })
      fastify.get('/socket', { websocket: true }, ({ socket }) => {
        socket.on('message', () => { socket.send(String(requestContext.get('user'))) })
      })
      fastify.get('/stream', { websocket: true }, (connection) => {
        connection.on('data', () => { connection.write(String(requestContext.get('user'))) })
      })
    }
  })
  for (const path of ['/socket', '/stream']) {
    const ada = await connect(t, `${origin}${path}?user=ada`)
    const bob = await connect(t, `${origin}${path}?user=bob`)
    ada.send('who?')
    bob.send('who?')
    t.equal(await ada.nextText(), 'ada', path)
    t.equal(await bob.nextText(), 'bob', path)
  }
})

test('the listeners of a connection run in the context of its handler', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.addHook('onRequest', (request, _reply, done) => { storage.run(request.url, done) })
      fastify.get('/*', { websocket: true }, ({ socket }) => {
        for (const event of ['message', 'ping']) {
          socket.on(event, () => { socket.send(String(storage.getStore())) })
        }
      })
    }
  })
  const client = await connect(t, `${origin}/one`)
  client.send('message')
  t.equal(await client.nextText(), '/one')
  client.socket.ping()
  t.equal(await client.nextText(), '/one')
})

// --- The server ---

test('websocketServer emits connection and stream for every connection', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const seen: unknown[] = []
  fastify.websocketServer.on('connection', (socket, request) => {
    seen.push(['connection', request.url, fastify.websocketServer.clients.has(socket)])
  })
  fastify.websocketServer.on('stream', (stream, request) => {
    seen.push(['stream', request.url, fastify.websocketServer.clients.has(stream.socket)])
  })
  await connect(t, `${origin}/a`)
  t.strictSame(seen.sort(), [['connection', '/a', true], ['stream', '/a', true]])
})

test('a throw in a connection listener closes that connection with 1011', async (t) => {
  const logs = new Logs()
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo }, server: { logger: logs.logger }
  })
  fastify.websocketServer.on('connection', () => { throw new Error('listener') })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1011)
  t.equal((await logs.find('websocket connection failed')).err?.message, 'listener')
})

test('shouldHandle of the server decides which requests it takes', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.get('/route', { websocket: true }, echo)
  })
  fastify.websocketServer.shouldHandle = (request) => request.headers['x-key'] === 'open'
  const headers = { 'x-key': 'open' }
  for (const path of ['/any', '/route']) {
    await connect(t, origin + path, { headers })
    t.equal((await refused(t, origin + path)).statusCode, 404)
  }
})

test('websocketServer has the address of the Fastify server', async (t) => {
  const { fastify } = await serve(t, { plugin: { options: { port: 0, host: '127.0.0.1' } } })
  t.match(fastify.websocketServer.address(), { address: '127.0.0.1', family: 'IPv4' })
})

test('headers listeners of the user see and add to the 101', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('headers', (lines) => { lines.push('x-mine: yes') })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  t.match(await client.until('\r\n\r\n'), 'x-mine: yes\r\n')
})

// --- Listening ---

test('a Unix socket, as Fastify listens on it', async (t) => {
  const path = join(t.testdir(), 'socket')
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.listen({ path })
  const client = await connect(t, `ws+unix://${path}:/any`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('a server of the serverFactory takes upgrades', async (t) => {
  const server = createHttpServer()
  const fastify = createFastify(t, {
    serverFactory: (handler) => server.on('request', handler)
  })
  fastify.register(fastifyWebsocket, { handle: echo })
  const origin = await listen(fastify)
  const client = await connect(t, origin)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('upgrades work after ready() on a server that the user makes listen', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.ready()
  await new Promise<void>((resolve) => { fastify.server.listen(0, '127.0.0.1', resolve) })
  await connect(t, `ws://127.0.0.1:${portOf(fastify.server)}`)
  t.equal(fastify.websocketServer.clients.size, 1)
})

// --- The process survives ---

const ATTACKS: Record<string, string | Buffer> = {
  'a frame with reserved bits': frame(0xf1, 'hello'),
  'an unmasked frame': Buffer.from([0x81, 0x01, 0x61]),
  'an oversize message': frame(0x82, 'a'.repeat(100)),
  'a frame of an unknown kind': frame(0x8b),
  'invalid UTF-8': frame(0x81, Buffer.from([0xff])),
  'an invalid close code': frame(0x88, Buffer.from([0, 1])),
  'plain HTTP': 'GET / HTTP/1.1\r\n\r\n'
}

for (const path of ['/route', '/handle', '/plain']) {
  for (const [what, bytes] of Object.entries(ATTACKS)) {
    test(`the process survives ${what} on ${path}`, async (t) => {
      const uncaught = watchProcess(t)
      const { fastify, origin } = await serve(t, {
        plugin: { ...(path === '/handle' && { handle: echo }), options: { maxPayload: 99 } },
        declare: (fastify) => {
          fastify.get('/route', { websocket: true }, echo)
          fastify.get('/plain', async () => 'plain')
        }
      })
      for (const isTogether of [true, false]) {
        const client = new RawClient(t, portOf(fastify.server))
        client.write(upgradeHead(path))
        if (!isTogether) await client.until('\r\n\r\n')
        client.write(bytes)
        await client.closed
      }
      const client = await connect(t, `${origin}/route`)
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
      t.strictSame(uncaught, [])
    })
  }
}

for (const path of ['/route', '/plain', '/nothing']) {
  test(`the process survives resets on ${path}: at once, in a hook, later`, async (t) => {
    const uncaught = watchProcess(t)
    const hooked: Array<() => void> = []
    const { fastify, origin } = await serve(t, {
      declare: (fastify) => {
        fastify.addHook('onRequest', async (request) => {
          for (const resolve of hooked.splice(0)) resolve()
          if (request.headers['x-slow'] !== undefined) await nextTurn()
        })
        fastify.get('/route', { websocket: true }, echo)
        fastify.get('/plain', async () => 'plain')
      }
    })
    const atOnce = new RawClient(t, portOf(fastify.server))
    atOnce.socket.write(upgradeHead(path), () => { atOnce.socket.resetAndDestroy() })
    await atOnce.closed

    const inHook = new RawClient(t, portOf(fastify.server))
    const reached = new Promise<void>((resolve) => { hooked.push(resolve) })
    inHook.write(upgradeHead(path, { 'X-Slow': 'yes' }))
    await reached
    inHook.socket.resetAndDestroy()
    await inHook.closed

    const after = new RawClient(t, portOf(fastify.server))
    after.write(upgradeHead(path))
    await after.until('\r\n\r\n')
    after.socket.resetAndDestroy()
    await after.closed

    const client = await connect(t, `${origin}/route`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.strictSame(uncaught, [])
  })
}

test('ready() may be called again and again', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { handle: echo })
  await fastify.ready()
  await settled(fastify.ready())
  t.equal(fastify.server.listenerCount('upgrade'), 1)
})

function deferred () {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

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
