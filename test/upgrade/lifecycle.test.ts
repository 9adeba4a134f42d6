// The request lifecycle of Fastify that an upgrade runs before the 101, and what of it a running
// connection no longer meets.
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import { type Client, connect, refused } from '../helpers/client'
import { Logs } from '../helpers/logs'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { testOnce } from '../helpers/test-once'

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

function deferred () {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

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

/** A machine that is busy may take longer than the timeout to connect. Then it is tried again. */
async function connectInTime (t: Test, url: string, attempts = 20): Promise<Client> {
  return connect(t, url).catch((error: unknown) => {
    if (attempts === 1) throw error
    return connectInTime(t, url, attempts - 1)
  })
}

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
    const client = await connectInTime(t, `${origin}/running`)
    timeouts.length = 0
    // A client that comes later does meet the timeout.
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

testOnce('a hook that hijacks the reply has the socket to itself', async (t) => {
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
