import { once } from 'node:events'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'

test('headers of hooks go out with the 101, a list as several lines', async (t) => {
  const { fastify } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          reply.header('set-cookie', 'a=1').header('set-cookie', 'b=2').header('x-n', 1)
          reply.header('connection', 'close').header('sec-websocket-protocol', 'evil')
        }
      }, echo)
    }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  const head = await client.until('\r\n\r\n')
  t.match(head, /^HTTP\/1.1 101 [^]*set-cookie: a=1\r\nset-cookie: b=2\r\nx-n: 1\r\n/)
  t.notMatch(head, /close|evil/)
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

// Name and value as a hook sets them, and what of it must not be in the 101.
const WITHHELD: Array<[headers: Record<string, string>, trace: RegExp]> = [
  [{ connection: 'close' }, /close/],
  [{ 'keep-alive': 'timeout=77' }, /keep-alive|77/i],
  [{ trailer: 'x-checksum' }, /trailer|checksum/i],
  [{ 'transfer-encoding': 'chunked' }, /transfer-encoding|chunked/i],
  [{ upgrade: 'h2c' }, /h2c/],
  [{ 'content-length': '77' }, /content-length|77/i],
  [{ 'content-type': 'text/plain' }, /content-type|plain/i],
  [{ 'sec-websocket-accept': 'evil' }, /evil/],
  [{ 'sec-websocket-protocol': 'evil' }, /evil|-protocol/i],
  [{ 'sec-websocket-extensions': 'evil' }, /evil|-extensions/i],
  [{ connection: 'X-Foo, x-bar', 'x-foo': 'evil', 'X-Bar': 'evil' }, /evil|x-foo|x-bar/i]
]

for (const [headers, trace] of WITHHELD) {
  const what = JSON.stringify(headers)
  test(`${what} of a hook does not go out with the 101`, async (t) => {
    const { fastify } = await serve(t, {
      declare: (fastify) => fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => { reply.headers({ ...headers, 'x-fine': 'fine' }) }
      }, echo)
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    const head = await client.until('\r\n\r\n')
    t.match(head, /^HTTP\/1.1 101 [^]*x-fine: fine\r\n/)
    t.equal(head.match(/^(connection|upgrade|sec-websocket-accept):/gim)?.length, 3)
    t.notMatch(head, trace)
  })
}

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

test('a header with a line break is a 500, not a header', async (t) => {
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.get('/', {
        websocket: true,
        preHandler: async (_request, reply) => {
          reply.header('x-fine', 'a').header('x-name', 'a\r\nx-evil: b')
        }
      }, echo)
    }
  })
  const { statusCode, headers } = await refused(t, origin)
  t.equal(statusCode, 500)
  t.notOk('x-evil' in headers || 'x-fine' in headers)
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

test('a header that cannot be sent with a refusal is answered as in a plain request', async (t) => {
  const { origin } = await serve(t, {
    declare (fastify) {
      fastify.addHook('preHandler', async (_request, reply) => {
        return reply.code(401).header('x-name', 'a\nb').send('no')
      })
      fastify.get('/', { websocket: true }, echo)
    }
  })
  const { statusCode, headers, body } = await refused(t, origin)
  const plain = await fetch(origin.replace('ws', 'http'))
  t.equal(statusCode, plain.status)
  t.equal(body, await plain.text())
  t.match(JSON.parse(body), { code: 'ERR_INVALID_CHAR' })
  t.notOk('x-name' in headers)
})

declare module 'fastify' {
  interface Session {
    visits?: number
  }
}
