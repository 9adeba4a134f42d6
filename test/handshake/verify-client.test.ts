import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { createGate, serveOnce } from '../helpers/upgrades'

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
  const verified = createGate()
  const verifyClient: VerifyClient = (info, next) => {
    info.req.once('close', () => {
      next(true)
      verified.open()
    })
    client.socket.destroy()
  }
  const { fastify } = await serve(t, { plugin: { handle: echo, options: { verifyClient } } })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/'))
  await verified.opened
  t.equal(fastify.websocketServer.clients.size, 0)
})

const VERIFY_ANSWERS: Array<[what: string, status: number, ...answer: unknown[]]> = [
  ['a status without a text', 499, false, 499],
  ['a header with a line break', 403, false, 403, 'no', { 'x-odd': 'a\r\nb' }],
  ['a message that is no text', 500, false, 403, { a: 1 }]
]

for (const [what, status, ...answer] of VERIFY_ANSWERS) {
  for (const isLate of [false, true]) {
    test(`${what} of verifyClient${isLate ? ', late,' : ''} is an answer`, async (t) => {
      const { origin, finish } = await serveOnce(t, {
        plugin: {
          options: {
            verifyClient: (_info, next) => {
              // The types know what verifyClient may answer; these answers do not keep to it.
              const args = answer as Parameters<typeof next>
              if (isLate) setImmediate(() => { next(...args) })
              else next(...args)
            }
          }
        }
      })
      t.equal((await refused(t, `${origin}/ws`)).statusCode, status)
      await finish(0)
    })
  }
}
