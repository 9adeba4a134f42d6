// What a Fastify user expects of any route, where no file of `src` is the one to test.
import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { Client, connect, refused } from '../../helpers/client'
import { Logs } from '../../helpers/logs'
import { echo, serve } from '../../helpers/plugin'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, listen, portOf } from '../../helpers/servers'
import { recordTimers } from '../../helpers/timers'
import { CERTIFICATE } from '../../helpers/tls'
import { contract, differences, type Connect } from '../../stream/contract'

declare module 'fastify' {
  interface FastifyReply {
    deny (why: string): FastifyReply
  }
  interface FastifyRequest {
    visitor: string
  }
}

// --- Lifecycle ---

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

type Done = (error?: Error) => void
type PayloadDone = (error: Error | null, payload: unknown) => void
type CallbackHook = (request: FastifyRequest, reply: FastifyReply, done: Done) => void
type AsyncHook = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
type HookName = typeof HOOKS[number]

/** In the form of the hook `name`, of which preParsing gets the body, too. */
function withCallback (name: HookName, hook: CallbackHook): object {
  if (name !== 'preParsing') return hook
  return (request: FastifyRequest, reply: FastifyReply, payload: Readable, done: PayloadDone) => {
    hook(request, reply, (error) => { done(error ?? null, payload) })
  }
}

/** Adds a hook in any form; the overloads of addHook take no union of names. */
function addHook (fastify: FastifyInstance, name: HookName, hook: object): void {
  fastify.addHook(name as 'onRequest', hook as AsyncHook)
}

test('hooks of instance, scope and route run once each, with a callback and async', async (t) => {
  const seen: string[] = []
  const pairOf = (name: HookName, where: string): object[] => [
    withCallback(name, (_request, _reply, done) => {
      seen.push(`${name} ${where} callback`)
      setImmediate(done)
    }),
    async () => { seen.push(`${name} ${where} async`) }
  ]
  const { origin } = await serve(t, {
    declare: (fastify) => {
      for (const name of HOOKS) {
        for (const hook of pairOf(name, 'root')) addHook(fastify, name, hook)
      }
      fastify.register(async (scope) => {
        for (const name of HOOKS) {
          for (const hook of pairOf(name, 'scope')) addHook(scope, name, hook)
        }
        const hooks: object = Object.fromEntries(HOOKS.map((name) => [name, pairOf(name, 'route')]))
        scope.get('/', { ...hooks, websocket: true }, ({ socket }) => { socket.send('ready') })
      }, { prefix: '/scope' })
      fastify.register(async (scope) => {
        for (const name of HOOKS) addHook(scope, name, async () => { seen.push('sibling') })
        scope.get('/', { websocket: true }, echo)
      }, { prefix: '/sibling' })
    }
  })
  t.equal(await (await connect(t, `${origin}/scope`)).nextText(), 'ready')
  const wheres = ['root callback', 'root async', 'scope callback', 'scope async']
    .concat('route callback', 'route async')
  t.strictSame(seen, HOOKS.flatMap((name) => wheres.map((where) => `${name} ${where}`)))
})

for (const name of HOOKS) {
  for (const form of ['callback', 'async'] as const) {
    test(`an ${form} ${name} of a route refuses with a stream of 10 MB`, async (t) => {
      const seen: string[] = []
      const chunk = Buffer.alloc(100_000, 'x')
      const refuse = (reply: FastifyReply): FastifyReply =>
        reply.code(401).send(Readable.from(Array.from({ length: 100 }, () => chunk)))
      const hook = form === 'async'
        ? async (_request: FastifyRequest, reply: FastifyReply) => refuse(reply)
        : withCallback(name, (_request, reply) => { refuse(reply) })
      const { fastify, origin } = await serve(t, {
        declare: (fastify) => {
          for (const later of ['onSend', 'onResponse', 'onError'] as const) {
            fastify.addHook(later as 'onResponse', async (_request, reply) => {
              seen.push(`${later} ${reply.statusCode}`)
            })
          }
          const hooks: object = { [name]: hook }
          fastify.get('/', { ...hooks, websocket: true }, () => { seen.push('handler') })
        }
      })
      const connection = once(fastify.server, 'connection')
      const answer = refused(t, origin)
      const [transport] = await connection
      const closed = once(transport, 'close')
      const { statusCode, headers, body } = await answer
      t.equal(statusCode, 401)
      t.equal(headers.connection, 'close')
      t.equal(body.length, 10_000_000)
      await closed
      t.strictSame(seen, ['onSend 401', 'onResponse 401'])
    })
  }

  test(`an error that ${name} passes on goes to the error handler of its scope`, async (t) => {
    const seen: string[] = []
    const { origin } = await serve(t, {
      declare: (fastify) => {
        fastify.setErrorHandler(async () => { seen.push('root') })
        fastify.addHook('onError', async () => { seen.push('onError') })
        fastify.register(async (scope) => {
          scope.setErrorHandler(async (error: Error, request, reply) => {
            seen.push(`scope ${request.ws}`)
            return reply.code(418).send(error.message)
          })
          const hooks: object = {
            [name]: withCallback(name, (_request, _reply, done) => { done(new Error('not today')) })
          }
          scope.get('/', { ...hooks, websocket: true }, () => { seen.push('handler') })
        })
      }
    })
    t.match(await refused(t, origin), { statusCode: 418, body: 'not today' })
    t.strictSame(seen.sort(), ['onError', 'scope true'])
  })
}

test('errorHandler of a route gets what fails before the 101', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => fastify.get('/', {
      websocket: true,
      schema: { querystring: { type: 'object', required: ['room'] } },
      errorHandler: (error, _request, reply) => { reply.code(422).send(`sorry: ${error.message}`) }
    }, echo)
  })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 422)
  t.match(body, /^sorry: querystring must have required property 'room'$/)
})

test('attachValidation of a route leaves the decision to its hooks', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => fastify.get('/', {
      websocket: true,
      attachValidation: true,
      schema: { querystring: { type: 'object', required: ['room'] } }
    }, ({ socket }, _req, request) => { socket.send(String(request.validationError?.message)) })
  })
  t.match(await (await connect(t, origin)).nextText(), /required property 'room'/)
})

test('handlerTimeout of a route ends its hooks that hang, and no other', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.get('/slow', { websocket: true, handlerTimeout: 20, preHandler: () => {} }, echo)
      fastify.get('/', { websocket: true, handlerTimeout: 20 }, echo)
    }
  })
  const client = await connect(t, origin)
  t.equal((await refused(t, `${origin}/slow`)).statusCode, 503)
  client.send('still here')
  t.equal(await client.nextText(), 'still here')
})

test('the request log has a refusal once', async (t) => {
  const logs = new Logs()
  const { origin } = await serve(t, {
    server: { logger: logs.logger },
    declare: (fastify) => fastify.get('/', {
      websocket: true, preHandler: async (_request, reply) => reply.code(403).send('no')
    }, echo)
  })
  t.equal((await refused(t, origin)).statusCode, 403)
  t.match(await logs.find('request completed'), { res: { statusCode: 403 }, reqId: 'req-1' })
  t.equal(logs.lines.filter(({ msg }) => msg === 'request completed').length, 1)
  t.equal(logs.lines.filter(({ msg }) => msg === 'incoming request').length, 1)
})

// --- Request context ---

const FORMS: Record<string, (handler: fastifyWebsocket.WebsocketHandler) => FastifyDeclaration> = {
  shorthand: (handler) => async (scope) => { scope.get('/:room', { websocket: true }, handler) },
  route: (handler) => async (scope) => {
    scope.route({ method: 'GET', url: '/:room', websocket: true, handler })
  },
  wsHandler: (handler) => async (scope) => {
    scope.route({ method: 'GET', url: '/:room', handler: async () => '', wsHandler: handler })
  },
  handle: (handler) => async (scope) => { scope.register(fastifyWebsocket, { handle: handler }) }
}

type FastifyDeclaration = (scope: FastifyInstance) => Promise<void>

for (const [form, declare] of Object.entries(FORMS)) {
  test(`the handler of a ${form} gets its instance and all of the request`, async (t) => {
    const fastify = createFastify(t, { genReqId: () => 'mine' })
    fastify.decorateRequest('visitor', '')
    fastify.decorateReply('deny', function (why) { return this.code(403).send(why) })
    if (form !== 'handle') fastify.register(fastifyWebsocket)
    fastify.register(async (scope) => {
      scope.addHook('onRequest', async (request) => { request.visitor = 'ada' })
      scope.addHook('preHandler', async ({ headers }, reply) => {
        if (headers['x-deny'] !== undefined) return reply.deny('denied')
      })
      await scope.register(declare(function ({ socket }, req, request) {
        socket.send(JSON.stringify([
          this.prefix, req === request.raw, request.params, request.query, request.id,
          request.visitor, request.ws, typeof request.log.info
        ]))
      }))
    }, { prefix: '/api' })
    const origin = await listen(fastify)
    const client = await connect(t, `${origin}/api/one?a=b`)
    const params = form === 'handle' ? { '*': 'one' } : { room: 'one' }
    t.strictSame(JSON.parse(await client.nextText()), [
      '/api', true, params, { a: 'b' }, 'mine', 'ada', true, 'function'
    ])
    const answer = await refused(t, `${origin}/api/one`, { headers: { 'x-deny': 'yes' } })
    t.match(answer, { statusCode: 403, body: 'denied' })
  })
}

// --- Routes ---

test('a URL may be long, and one above the limit of Node.js is its 431', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => fastify.get('/files/*', { websocket: true }, ({ socket }, req) => {
      socket.send(String(req.url?.length))
    })
  })
  const client = await connect(t, `${origin}/files/${'a'.repeat(12_000)}`)
  t.equal(await client.nextText(), '12007')
  const raw = new RawClient(t, portOf(fastify.server))
  raw.write(upgradeHead(`/files/${'a'.repeat(20_000)}`))
  await raw.closed
  t.match(raw.received.toString(), /^HTTP\/1.1 431 /)
})

test('a handle leaves printRoutes and hasRoute to the routes of the user', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.route({
      method: 'GET', url: '/both', handler: async () => '', wsHandler: echo
    })
  })
  for (const url of ['*', '/*', '/any']) t.notOk(fastify.hasRoute({ method: 'GET', url }), url)
  t.ok(fastify.hasRoute({ method: 'GET', url: '/both' }))
  t.match(fastify.printRoutes(), /both \(GET, HEAD\)/)
})

// --- Listening ---

const H2C = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'

test('a request for h2c is plain HTTP on every address of localhost', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.get('/', async ({ ip }) => `hello ${ip}`)
  await fastify.listen({ port: 0, host: 'localhost' })
  for (const { address } of await lookup('localhost', { all: true })) {
    const socket = connectTcp(portOf(fastify.server), address)
    t.teardown(() => { socket.destroy() })
    socket.end(H2C)
    t.match(await text(socket), new RegExp(`^HTTP/1.1 200 [^]*hello ${address}$`))
  }
})

test('pipelined requests that ask for h2c are answered in order over https', async (t) => {
  // The types of Fastify tell an application over https from the others; here it is one.
  const server = { https: CERTIFICATE } as object
  const { fastify } = await serve(t, {
    server, declare: (fastify) => fastify.get('/', async ({ id }) => `hello ${id};`)
  })
  const socket = connectTls(portOf(fastify.server), '127.0.0.1', { ca: CERTIFICATE.cert })
  t.teardown(() => { socket.destroy() })
  // Not `end`, after which Node.js answers only the first, whatever it asks for.
  socket.write(H2C.repeat(5))
  let received = ''
  while (!received.includes('req-5;')) received += String(await once(socket, 'data'))
  const ids = [...received.matchAll(/hello req-(\d);/g)].map(([, id]) => id)
  t.strictSame(ids, ['1', '2', '3', '4', '5'])
})

test('http2 with allowHTTP1 still serves HTTP/2, beside a websocket', async (t) => {
  const http2: unknown = Fastify({ http2: true, https: { ...CERTIFICATE, allowHTTP1: true } })
  // As above.
  const fastify = http2 as FastifyInstance
  t.teardown(() => fastify.close())
  fastify.register(fastifyWebsocket, { handle: echo })
  fastify.get('/', async ({ raw }) => raw.httpVersion)
  await listen(fastify)
  const origin = `127.0.0.1:${portOf(fastify.server)}`
  const client = await connect(t, `wss://${origin}`, { ca: CERTIFICATE.cert })
  const session = connectHttp2(`https://${origin}`, { ca: CERTIFICATE.cert })
  t.teardown(() => { session.destroy() })
  t.equal(await text(session.request({ ':path': '/' })), '2.0')
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  session.close()
})

// --- Shutdown ---

test('no timer is left after close()', async (t) => {
  const timers = recordTimers(t)
  const { fastify, origin } = await serve(t, {
    plugin: { closeTimeout: 7777 },
    declare: (fastify) => fastify.get('/', { websocket: true }, echo)
  })
  const client = await connect(t, origin)
  const left = await connect(t, origin)
  left.close()
  await left.closed
  t.equal((await refused(t, `${origin}/missing`)).statusCode, 404)
  fastify.server.on('upgrade', () => {})
  const stranger = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  stranger.write(upgradeHead('/nobody'))
  await upgraded
  await fastify.close()
  await Promise.all([client.closed, stranger.closed])
  // The clients of this test have their own.
  const ours = [...timers.values()].filter((delay) => [7777, 2000, 10_000].includes(delay))
  t.strictSame(ours, [])
})

// --- injectWS: what holds over a socket holds in memory ---

/** Connects to a `handle` in memory, with the stream that the handler got. */
const connectInMemory: Connect = async (t, options = {}) => {
  const fastify = createFastify(t)
  const accepted = new Promise<fastifyWebsocket.SocketStream>((resolve) => {
    fastify.register(fastifyWebsocket, { handle: resolve, options })
  })
  await fastify.after()
  return { client: await inject(t, fastify), stream: await accepted }
}

/** A client that listens from the first moment. */
async function inject (t: Test, fastify: FastifyInstance, path?: string): Promise<Client> {
  const clients: Client[] = []
  const socket = await fastify.injectWS(path, {}, {
    onInit: (socket) => { clients.push(new Client(socket)) }
  })
  t.teardown(() => { socket.terminate() })
  const [client = new Client(socket)] = clients
  return client
}

for (const [title, run] of Object.entries(contract)) {
  test(`injectWS: ${title}`, (t) => run(t, connectInMemory))
}

for (const { name, ours, observe } of differences) {
  test(`injectWS: ${name}: ${ours}`, async (t) => {
    t.equal(await observe(t, connectInMemory), ours)
  })
}

for (const handle of [undefined, say('handle')]) {
  const what = handle === undefined ? 'routes' : 'routes and a handle'
  test(`injectWS: ${what} are reached by the paths that reach them over a socket`, async (t) => {
    const { fastify, origin } = await serve(t, {
      plugin: { handle },
      server: { rewriteUrl: ({ url = '' }) => url.replace('/v1', '') },
      declare: (fastify) => {
        fastify.get('/rooms/:room', { websocket: true }, say('room'))
        fastify.get('/plain', async () => 'plain')
        fastify.route({
          method: 'GET', url: '/both', handler: async () => '', wsHandler: say('both')
        })
        fastify.register(async (scope) => {
          scope.get('/', { websocket: true }, say('prefix'))
          scope.get('/plain', async () => 'plain')
        }, { prefix: '/api' })
      }
    })
    const paths = [
      '/', '/rooms/1', '/rooms/1/', '/both', '/both/', '/plain', '/missing', '/api', '/api/',
      '/api/any', '/api/plain', '/v1/both', '/%', '/rooms/%41', `/rooms/${'a'.repeat(101)}`
    ]
    const reached = new Set<string>()
    for (const path of paths) {
      const overSocket = await reach(() => connect(t, origin + path))
      t.equal(await reach(() => inject(t, fastify, path)), overSocket, path)
      reached.add(overSocket)
    }
    // What is too long for `:room` is not too long for a handle.
    const others = handle === undefined ? ['404', '414'] : ['handle']
    t.strictSame([...reached].sort(), ['400', 'both', 'prefix', 'room', ...others].sort())
  })
}

/** A handler that says who it is. */
function say (name: string): fastifyWebsocket.WebsocketHandler {
  return ({ socket }) => { socket.send(name) }
}

/** What a connection hears first, or the status of its refusal. */
async function reach (open: () => Promise<Client>): Promise<string> {
  try {
    return await (await open()).nextText()
  } catch (error) {
    return String(/\d{3}/.exec(String(error)))
  }
}
