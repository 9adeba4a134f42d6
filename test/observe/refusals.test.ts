// Refused upgrades in the numbers of `stats()` and on the channel `fastify-websocket.refused`.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { RefusalCounts } from '../../src/observe/refusal-counts'
import { connect, refused } from '../helpers/client'
import { ERROR, Logs } from '../helpers/logs'
import { echo, serve, type Served } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { testOnce } from '../helpers/test-once'

/** What the channel tells while the test runs. */
function listen (t: Test): fastifyWebsocket.RefusedMessage[] {
  const messages: fastifyWebsocket.RefusedMessage[] = []
  // The types of the channel do not know its messages.
  const onMessage = (message: unknown): void => { messages.push(message as never) }
  subscribe('fastify-websocket.refused', onMessage)
  t.teardown(() => unsubscribe('fastify-websocket.refused', onMessage))
  return messages
}

function coded (code: string, statusCode = 500): Error {
  return Object.assign(new Error(code), { code, statusCode })
}

/** An application that refuses, and what `stats()` and the channel tell of the answer. */
const REFUSALS: Record<string, Served & { statusCode: number, code: string | null }> = {
  'a payload of a hook': {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => reply.code(401).send('no'))
    },
    statusCode: 401,
    code: null
  },
  'an error of a hook': {
    declare (fastify) {
      fastify.addHook('preHandler', async () => { throw coded('NO_USER', 403) })
    },
    statusCode: 403,
    code: 'NO_USER'
  },
  'an error whose code is no text': {
    declare (fastify) {
      fastify.addHook('onRequest', async () => { throw Object.assign(new Error(), { code: 7 }) })
    },
    statusCode: 500,
    code: null
  },
  'an error that an error handler answers': {
    declare (fastify) {
      fastify.setErrorHandler(async (_error, _request, reply) => reply.code(418).send('tea'))
      fastify.addHook('onRequest', async () => { throw coded('NO_COFFEE') })
    },
    statusCode: 418,
    code: 'NO_COFFEE'
  },
  'an error for which an error handler has another one': {
    declare (fastify) {
      fastify.setErrorHandler(async () => { throw coded('SECOND', 503) })
      fastify.addHook('onRequest', async () => { throw coded('FIRST') })
    },
    statusCode: 503,
    code: 'SECOND'
  },
  'an error of an onSend hook that an error handler answers': {
    declare (fastify) {
      let calls = 0
      fastify.setErrorHandler(async (_error, _request, reply) => reply.code(502).send('sorry'))
      fastify.addHook('onSend', async () => { if (calls++ === 0) throw coded('NO_HEADER') })
    },
    statusCode: 502,
    code: 'NO_HEADER'
  },
  'a second answer, which is dropped': {
    declare (fastify) {
      fastify.addHook('onSend', async () => new Promise((resolve) => { setImmediate(resolve) }))
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.code(401).send('no')
        reply.send(coded('LATE'))
        return reply
      })
    },
    statusCode: 401,
    code: null
  },
  'a head that is written twice': {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(429)
        try {
          reply.raw.writeHead(430)
        } catch { /* The head is out. */ }
        reply.raw.end()
      })
    },
    statusCode: 429,
    code: null
  },
  'a redirect': {
    declare (fastify) {
      fastify.addHook('onRequest', async (_request, reply) => reply.redirect('/elsewhere'))
    },
    statusCode: 302,
    code: null
  },
  'a page of another origin': {
    plugin: { origin: 'https://example.com' },
    statusCode: 403,
    code: 'FST_WS_ORIGIN_NOT_ALLOWED'
  },
  'too many connections': {
    plugin: { maxConnections: 0 },
    statusCode: 503,
    code: 'FST_WS_TOO_MANY_CONNECTIONS'
  },
  'a refusal of verifyClient': {
    plugin: { options: { verifyClient: () => false } },
    statusCode: 401,
    code: null
  },
  'a path without a route': {
    plugin: { handle: undefined },
    declare (fastify) { fastify.get('/elsewhere', { websocket: true }, echo) },
    statusCode: 404,
    code: null
  },
  'a listener of ws that throws in the handshake': {
    declare (fastify) {
      fastify.ready(() => {
        fastify.websocketServer.on('headers', () => { throw coded('IN_HANDSHAKE') })
      })
    },
    statusCode: 500,
    code: 'IN_HANDSHAKE'
  }
}

for (const [what, { statusCode, code, declare, plugin }] of Object.entries(REFUSALS)) {
  test(`counted once: ${what}`, async (t) => {
    const messages = listen(t)
    const { fastify, origin } = await serve(t, {
      plugin: { handle: echo, ...plugin },
      ...(declare !== undefined && { declare })
    })
    const options = { headers: { origin: 'https://evil.example' } }
    for (let count = 1; count <= 2; count++) {
      const answer = await refused(t, `${origin}/path`, options)
      // The error handlers with a state of their own refuse the first client only.
      t.equal(answer.statusCode, statusCode)
      t.match(fastify.websocketServer.stats(), { open: 0, accepted: 0 })
      t.strictSame(fastify.websocketServer.stats().refused, [{ statusCode, code, count }])
      t.equal(messages.length, count)
      const [message] = messages.slice(-1)
      t.match(message, { statusCode, code, request: { url: '/path' }, id: `req-${count}` })
      t.equal(message?.route, statusCode === 404 ? null : '/*')
      if (what.includes('onSend hook')) break
    }
  })
}

test('a refusal is told with its route, and with the id that the log has', async (t) => {
  const messages = listen(t)
  const logs = new Logs()
  const { origin } = await serve(t, {
    server: { logger: logs.logger, genReqId: () => 'my id' },
    declare (fastify) {
      fastify.register(async (instance) => {
        instance.addHook('preHandler', async () => { throw coded('NO') })
        instance.get('/:room', { websocket: true }, echo)
      }, { prefix: '/rooms' })
    }
  })
  await refused(t, `${origin}/rooms/one`)
  t.match(messages, [{ code: 'NO', id: 'my id', route: '/rooms/:room' }])
  t.match(await logs.find('NO'), { level: ERROR, reqId: 'my id', err: { code: 'NO' } })
})

test('an upgrade whose URL Fastify cannot decode has neither id nor route', async (t) => {
  const messages = listen(t)
  const { origin } = await serve(t, { plugin: { handle: echo } })
  t.equal((await refused(t, `${origin}/%zz`)).statusCode, 400)
  t.match(messages, [{ statusCode: 400, code: null, id: null, route: null }])
})

test('a refusal after an answer that was overtaken has the code of its own error', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    server: { handlerTimeout: 20 },
    declare (fastify) {
      fastify.addHook('onSend', () => new Promise(() => {}))
    }
  })
  const { statusCode } = await refused(t, origin)
  t.equal(statusCode, 503)
  t.strictSame(fastify.websocketServer.stats().refused, [
    { statusCode: 503, code: 'FST_ERR_HANDLER_TIMEOUT', count: 1 }
  ])
})

test('an upgrade while the application closes is counted', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare (fastify) {
      fastify.addHook('preClose', async () => {
        const { statusCode } = await refused(t, `ws://127.0.0.1:${portOf(fastify.server)}`)
        t.equal(statusCode, 503)
      })
    }
  })
  await fastify.close()
  t.strictSame(fastify.websocketServer.stats().refused, [
    { statusCode: 503, code: 'FST_WS_CLOSING', count: 1 }
  ])
})

testOnce('an answer that the application writes to the socket itself is not counted', async (t) => {
  const messages = listen(t)
  const { fastify } = await serve(t, {
    plugin: { handle: echo },
    declare (fastify) {
      fastify.addHook('onRequest', async ({ raw }, reply) => {
        reply.hijack()
        raw.socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 400/)
  t.strictSame(fastify.websocketServer.stats().refused, [])
  t.strictSame(messages, [])
})

for (const isError of [true, false]) {
  const answer = isError ? 'an error' : 'a payload'
  test(`a client that leaves before its answer, ${answer}, is not counted`, async (t) => {
    const messages = listen(t)
    let onAsk = (): void => {}
    const asked = new Promise<void>((resolve) => { onAsk = resolve })
    let onAnswer = (): void => {}
    const answered = new Promise<void>((resolve) => { onAnswer = resolve })
    const { fastify } = await serve(t, {
      plugin: { handle: echo },
      declare (fastify) {
        fastify.addHook('onRequest', async ({ raw }, reply) => {
          onAsk()
          await new Promise((resolve) => { raw.once('close', resolve) })
          setImmediate(onAnswer)
          if (isError) throw coded('NO', 401)
          return reply.code(401).send('no')
        })
      }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    await asked
    client.reset()
    await answered
    t.match(fastify.websocketServer.stats(), { open: 0, accepted: 0, refused: [] })
    t.strictSame(messages, [])
  })
}

testOnce('a request for h2c that is served as plain HTTP is not counted', async (t) => {
  const { fastify } = await serve(t, {
    plugin: { handle: echo }, declare (fastify) { fastify.get('/plain', () => 'plain') }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/plain', { Upgrade: 'h2c', Connection: 'Upgrade, close' }))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 200/)
  t.strictSame(fastify.websocketServer.stats().refused, [])
})

test('all registrations of an application tell its refusals', async (t) => {
  const servers: fastifyWebsocket.WebsocketServer[] = []
  const { fastify, origin } = await serve(t, {
    declare (fastify) {
      fastify.addHook('onRequest', async () => { throw coded('NO') })
      fastify.register(async (instance) => {
        await instance.register(fastifyWebsocket, { handle: echo })
        servers.push(instance.websocketServer)
      }, { prefix: '/other' })
    }
  })
  await refused(t, `${origin}/other`)
  servers.push(fastify.websocketServer)
  t.equal(new Set(servers).size, 2)
  for (const server of servers) {
    t.strictSame(server.stats().refused, [{ statusCode: 500, code: 'NO', count: 1 }])
  }
})

test('a server that takes no upgrades has no refusals', async (t) => {
  const { fastify } = await serve(t, { plugin: { options: { noServer: true } } })
  t.strictSame(fastify.websocketServer.stats().refused, [])
})

test('what an application does with a snapshot changes no number', async (t) => {
  const { fastify, origin } = await serve(t, {})
  await refused(t, origin)
  const { refused: [first], closed } = fastify.websocketServer.stats()
  Object.assign(first ?? {}, { count: -1 })
  closed[1000] = -1
  t.match(fastify.websocketServer.stats(), { refused: [{ statusCode: 404, count: 1 }] })
  t.strictSame(fastify.websocketServer.stats().closed, {})
})

test('a client that is let in is no refusal', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  await connect(t, origin)
  t.strictSame(fastify.websocketServer.stats().refused, [])
})

test('codes that an application makes up without end do not take more and more memory', (t) => {
  const counts = new RefusalCounts()
  for (let index = 0; index < 1000; index++) counts.add(400, `code ${index}`)
  counts.add(400, 'code 0')
  counts.add(500, 'new')
  t.equal(counts.list.length, 202)
  t.strictSame(counts.list[0], { statusCode: 400, code: 'code 0', count: 2 })
  t.strictSame(counts.list.slice(-2), [
    { statusCode: 400, code: null, count: 800 }, { statusCode: 500, code: null, count: 1 }
  ])
  t.end()
})
