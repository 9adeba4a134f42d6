// What a Fastify user expects of any route: its hooks, its errors, its request, its paths.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { Logs } from '../../helpers/logs'
import { echo, serve } from '../../helpers/plugin'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, listen, portOf } from '../../helpers/servers'

declare module 'fastify' {
  interface FastifyReply {
    deny (why: string): FastifyReply
  }
  interface FastifyRequest {
    visitor: string
  }
}

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
