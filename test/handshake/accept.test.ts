import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { test } from 'tap'
import { WebSocket } from 'ws'
import type fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { INFO, Logs } from '../helpers/logs'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

declare module 'fastify' {
  interface Session {
    visits?: number
  }
}

type VerifyClient = NonNullable<fastifyWebsocket.WebsocketServerOptions['verifyClient']>

const FORMS: Record<string, VerifyClient> = {
  'that returns': (info) => info.req.headers['x-key'] === 'open',
  'that returns any true value': (info) => info.req.headers['x-key'],
  'that calls back': (info, next) => { next(info.req.headers['x-key'] === 'open') },
  'that calls back later': (info, next) => {
    setImmediate(() => { next(info.req.headers['x-key'] === 'open') })
  },
  'that returns a promise': async (info) => info.req.headers['x-key'] === 'open',
  'that calls back twice': (info, next) => {
    next(info.req.headers['x-key'] === 'open')
    next(info.req.headers['x-key'] !== 'open')
  }
}

for (const [form, verifyClient] of Object.entries(FORMS)) {
  test(`a verifyClient ${form} lets in and keeps out`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: echo, options: { verifyClient } },
      // With it, the reply is not sent yet when a second answer comes.
      declare: (fastify) => fastify.addHook('onSend', async () => { await nextTurn() })
    })
    const client = await connect(t, origin, { headers: { 'x-key': 'open' } })
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    const { statusCode, headers, body } = await refused(t, origin)
    t.equal(statusCode, 401)
    t.equal(headers['connection'], 'close')
    t.match(headers['content-type'], 'text/plain')
    t.equal(body, 'Unauthorized')
  })
}

test('verifyClient refuses with a status, message and headers of its own', async (t) => {
  const { origin } = await serve(t, {
    plugin: {
      handle: echo,
      options: {
        verifyClient: (_info, next) => {
          next(false, 418, 'short and stout', { 'x-pot': 'tea', 'content-type': 'text/tea' })
        }
      }
    }
  })
  const { statusCode, headers, body } = await refused(t, origin)
  t.equal(statusCode, 418)
  t.equal(headers['x-pot'], 'tea')
  t.match(headers['content-type'], 'text/tea')
  t.equal(body, 'short and stout')
})

test('verifyClient that refuses with status 0 refuses with 401, as in ws', async (t) => {
  const verifyClient: VerifyClient = (_info, next) => { next(false, 0) }
  const { origin } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  t.equal((await refused(t, origin)).statusCode, 401)
})

test('verifyClient that refuses with an impossible status refuses with 500', async (t) => {
  const verifyClient: VerifyClient = (_info, next) => { next(false, 99999) }
  const { origin } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  t.equal((await refused(t, origin)).statusCode, 500)
})

test('verifyClient gets the origin, the encryption and the request', async (t) => {
  const seen: unknown[] = []
  const verifyClient: VerifyClient = ({ origin, secure, req }) =>
    seen.push([origin, secure, req.url])
  const { origin } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  await connect(t, `${origin}/a`, { origin: 'http://example.com' })
  await connect(t, `${origin}/b`, { origin: 'http://example.com', protocolVersion: 8 })
  await connect(t, `${origin}/c`)
  t.strictSame(seen, [
    ['http://example.com', false, '/a'],
    ['http://example.com', false, '/b'],
    [undefined, false, '/c']
  ])
})

const FAILURES: Record<string, VerifyClient> = {
  throws: () => { throw new Error('no idea') },
  rejects: async () => { throw new Error('no idea') },
  'with a callback throws': (_info, _next) => { throw new Error('no idea') },
  'with a callback rejects': async (_info, _next) => { throw new Error('no idea') }
}

for (const [form, verifyClient] of Object.entries(FAILURES)) {
  test(`a verifyClient that ${form} goes to the error handler of Fastify`, async (t) => {
    const { origin } = await serve(t, {
      plugin: { handle: echo, options: { verifyClient } },
      declare: (fastify) => fastify.setErrorHandler(async (error: Error, _request, reply) => {
        return reply.code(503).send({ said: error.message })
      })
    })
    const { statusCode, body } = await refused(t, origin)
    t.equal(statusCode, 503)
    t.strictSame(JSON.parse(body), { said: 'no idea' })
  })
}

test('a verifyClient that throws what is no error refuses with 500', async (t) => {
  // eslint-disable-next-line no-throw-literal
  const verifyClient: VerifyClient = async () => { throw 'nothing' }
  const { origin } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  const { statusCode, body } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { message: "'nothing'" })
})

test('a verifyClient that throws after it has let in changes nothing', async (t) => {
  const verifyClient: VerifyClient = (_info, next) => {
    next(true)
    throw new Error('too late')
  }
  const { origin } = await serve(t, {
    plugin: { handle: echo, options: { verifyClient } },
    declare: (fastify) => fastify.addHook('onSend', async () => { await nextTurn() })
  })
  const client = await connect(t, origin)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('a verifyClient that never answers is ended by handlerTimeout, and may answer', async (t) => {
  const answers: Array<() => void> = []
  const verifyClient: VerifyClient = (_info, next) => { answers.push(() => { next(true) }) }
  const { origin } = await serve(t, {
    plugin: { handle: echo, options: { verifyClient } }, server: { handlerTimeout: 20 }
  })
  t.equal((await refused(t, origin)).statusCode, 503)
  t.equal(answers.length, 1)
  for (const answer of answers) t.doesNotThrow(answer)
})

test('a verifyClient may reject after handlerTimeout has answered', async (t) => {
  const failures: Array<() => void> = []
  const verifyClient: VerifyClient = () => new Promise((_resolve, reject) => {
    failures.push(() => { reject(new Error('too late')) })
  })
  const { origin } = await serve(t, {
    plugin: { handle: echo, options: { verifyClient } }, server: { handlerTimeout: 20 }
  })
  t.equal((await refused(t, origin)).statusCode, 503)
  t.equal(failures.length, 1)
  for (const fail of failures) fail()
  await nextTurn()
})

test('a verifyClient may answer when the client has gone', async (t) => {
  const verifying = deferred()
  const verifyClient: VerifyClient = (info, next) => {
    info.req.once('close', () => {
      next(true)
      verifying.resolve(info)
    })
    client.socket.destroy()
  }
  const { fastify } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await verifying.promise
  t.equal(fastify.websocketServer.clients.size, 0)
})

function deferred () {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

test('hooks run before verifyClient, and one that answers keeps it from being asked', async (t) => {
  const seen: string[] = []
  const verifyClient: VerifyClient = () => seen.push('verifyClient')
  const { origin } = await serve(t, {
    plugin: { handle: echo, options: { verifyClient } },
    declare: (fastify) => fastify.addHook('preHandler', async (request, reply) => {
      seen.push('preHandler')
      if (request.url === '/no') return reply.code(403).send('no')
    })
  })
  await connect(t, `${origin}/yes`)
  t.strictSame(seen, ['preHandler', 'verifyClient'])
  t.equal((await refused(t, `${origin}/no`)).body, 'no')
  t.strictSame(seen, ['preHandler', 'verifyClient', 'preHandler'])
})

const HANDSHAKES: ReadonlyArray<[string, Record<string, string>, number, string]> = [
  ['no version', { 'Sec-WebSocket-Version': '' }, 426, 'FST_WS_UNSUPPORTED_VERSION'],
  ['version 12', { 'Sec-WebSocket-Version': '12' }, 426, 'FST_WS_UNSUPPORTED_VERSION'],
  ['an empty key', { 'Sec-WebSocket-Key': '' }, 400, 'FST_WS_INVALID_HANDSHAKE'],
  ['a short key', { 'Sec-WebSocket-Key': 'AAAA==' }, 400, 'FST_WS_INVALID_HANDSHAKE']
]

test('a handshake without a key or a version is refused', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  for (const [name, statusCode] of [['Key', 400], ['Version', 426]] as const) {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/').replace(new RegExp(`^Sec-WebSocket-${name}: .*\\r\\n`, 'm'), ''))
    t.match(await client.until('}'), `HTTP/1.1 ${statusCode} `)
    await client.closed
  }
})

for (const [what, lines, statusCode, code] of HANDSHAKES) {
  test(`a handshake with ${what} is answered with ${statusCode}`, async (t) => {
    const { fastify } = await serve(t, { plugin: { handle: echo } })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', lines))
    const answer = await client.until('}')
    t.match(answer, `HTTP/1.1 ${statusCode} `)
    t.match(answer, code)
    t.equal(/sec-websocket-version: 13, 8/i.test(answer), statusCode === 426)
    await client.closed
  })
}

for (const [name, value] of [
  ['Sec-WebSocket-Protocol', 'chat, chat'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; server_max_window_bits=1']
] as const) {
  test(`a handshake with a malformed ${name} is answered with 400`, async (t) => {
    const logs = new Logs()
    const { fastify } = await serve(t, {
      plugin: { handle: echo, options: { perMessageDeflate: true } },
      server: { logger: logs.logger }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', { [name]: value }))
    t.match(await client.until('}'), 'HTTP/1.1 400 ')
    t.match(await logs.find(`invalid WebSocket handshake: invalid ${name} header`), { level: INFO })
    await client.closed
    t.equal(fastify.websocketServer.clients.size, 0)
  })
}

test('wsClientError listeners of the user answer a malformed handshake', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('wsClientError', (_error, socket) => {
    socket.end('HTTP/1.1 499 Mine\r\n\r\n')
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/', { 'Sec-WebSocket-Protocol': 'chat, chat' }))
  t.match(await client.until('\r\n\r\n'), 'HTTP/1.1 499 Mine')
  await client.closed
})

test('frames behind the head of the request reach the handler', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(Buffer.concat([Buffer.from(upgradeHead('/')), frame(0x81, 'at once')]))
  t.match(await client.until('at once'), 'HTTP/1.1 101 Switching Protocols')
})

test('headers that hooks set go out with the 101, but not those of the handshake', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => {
      fastify.addHook('onRequest', async (_request, reply) => {
        reply.header('x-first', 'one')
        reply.header('connection', 'keep-alive')
        reply.header('upgrade', 'h2c')
        reply.header('content-length', '10')
        reply.header('transfer-encoding', 'chunked')
        reply.header('sec-websocket-accept', 'forged')
        reply.header('sec-websocket-protocol', 'forged')
      })
      fastify.addHook('onSend', async (_request, reply) => { reply.header('x-second', ['a', 'b']) })
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  const lines = (await client.until('\r\n\r\n')).trim().split('\r\n')
  t.strictSame(lines.sort(), [
    'Connection: Upgrade',
    'HTTP/1.1 101 Switching Protocols',
    'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'Upgrade: websocket',
    'x-first: one',
    'x-second: a',
    'x-second: b'
  ])
  await connect(t, origin)
})

test('cookies and the session go out with the 101 and come back', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cookie)
      fastify.register(session, {
        secret: 'a secret with a minimum of thirty-two characters', cookie: { secure: false }
      })
      fastify.addHook('preHandler', async (request, reply) => {
        reply.setCookie('one', '1').setCookie('two', '2')
        request.session.visits = (request.session.visits ?? 0) + 1
      })
      fastify.get('/', { websocket: true }, (connection, _req, request) => {
        connection.socket.send(`visit ${request.session.visits}`)
      })
    }
  })
  const socket = new WebSocket(origin)
  const [response] = await once(socket, 'upgrade')
  socket.terminate()
  const cookies: string[] = response.headers['set-cookie']
  t.equal(cookies.length, 3)
  t.strictSame(cookies.map((line) => line.split('=')[0]), ['one', 'two', 'sessionId'])

  const again = await connect(t, origin, { headers: { cookie: cookies.join('; ') } })
  t.equal(await again.nextText(), 'visit 2')
})

test('a header value with a line break is a 500 and no header', async (t) => {
  const { origin } = await serve(t, {
    plugin: { handle: echo },
    declare: (fastify) => fastify.addHook('onSend', async (_request, reply) => {
      reply.header('x-name', 'a\r\nx-forged: yes')
    })
  })
  const { statusCode, headers } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.equal(headers['x-forged'], undefined)
  t.equal(headers['x-name'], undefined)
})
