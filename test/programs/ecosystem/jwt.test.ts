import cookie from '@fastify/cookie'
import jwt, { type FastifyJWTOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { serve } from '../../helpers/plugin'
import type { Teardown } from '../../helpers/servers'

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: { name: string, iat?: number }
    user: string
  }
}

/** Serves `/whoami`, which tells the user of a token, and a `handle` that does the same. */
async function serveUsers (
  t: Teardown, options: Partial<FastifyJWTOptions> = {}
): Promise<{ fastify: FastifyInstance, origin: string, token: string }> {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: ({ socket }, _req, { user }) => { socket.send(`handle: ${user}`) } },
    declare: (fastify) => {
      fastify.register(cookie)
      fastify.register(jwt, {
        secret: 'a secret for tests', formatUser: ({ name }) => name, ...options
      })
      fastify.addHook('onRequest', (request) => request.jwtVerify())
      fastify.get('/whoami', { websocket: true }, ({ socket }, _req, { user }) => {
        socket.send(user)
      })
    }
  })
  return { fastify, origin, token: fastify.jwt.sign({ name: 'ada' }) }
}

test('a token in the Authorization header lets in, to routes and to handle', async (t) => {
  const { origin, token } = await serveUsers(t)
  const headers = { authorization: `Bearer ${token}` }
  t.equal(await (await connect(t, `${origin}/whoami`, { headers })).nextText(), 'ada')
  t.equal(await (await connect(t, `${origin}/other`, { headers })).nextText(), 'handle: ada')
})

test('a token in a cookie lets in, as browsers send it', async (t) => {
  const { origin, token } = await serveUsers(t, { cookie: { cookieName: 'token', signed: false } })
  const headers = { cookie: `token=${token}` }
  t.equal(await (await connect(t, `${origin}/whoami`, { headers })).nextText(), 'ada')
})

test('a token in the query lets in, and without one the answer is 400', async (t) => {
  const { origin, token } = await serveUsers(t, {
    verify: { extractToken: (request) => Object(request.query).token }
  })
  t.equal(await (await connect(t, `${origin}/whoami?token=${token}`)).nextText(), 'ada')
  t.match(await refused(t, `${origin}/whoami?token=forged`), { statusCode: 401 })
  t.match(await refused(t, `${origin}/whoami`), { statusCode: 400, body: /FST_JWT_BAD_REQUEST/ })
})

/** Of Ada, with the algorithm `none`. */
const UNSIGNED = 'eyJhbGciOiJub25lIn0.eyJuYW1lIjoiYWRhIn0.'

const REFUSALS: Record<string, {
  token: (fastify: FastifyInstance) => string, body: RegExp
}> = {
  'no token': { token: () => '', body: /FST_JWT_NO_AUTHORIZATION_IN_HEADER/ },
  'a token that nobody signed': { token: () => UNSIGNED, body: /FAST_JWT_MISSING_SIGNATURE/ },
  'an expired token': {
    token: ({ jwt }) => jwt.sign({ name: 'ada', iat: 1 }, { expiresIn: '1s' }),
    body: /FST_JWT_AUTHORIZATION_TOKEN_EXPIRED/
  }
}

for (const [what, { token, body }] of Object.entries(REFUSALS)) {
  test(`${what} is refused with 401 before the 101`, async (t) => {
    const { fastify, origin } = await serveUsers(t)
    const value = token(fastify)
    const headers: Record<string, string> = value === '' ? {} : { authorization: `Bearer ${value}` }
    for (const path of ['/whoami', '/other']) {
      t.match(await refused(t, origin + path, { headers }), {
        statusCode: 401, headers: { connection: 'close' }, body
      })
    }
    t.equal(fastify.websocketServer.clients.size, 0)
  })
}

test('a handler verifies the token of its upgrade again when it wants to', async (t) => {
  const { fastify, origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(jwt, { secret: 'a secret for tests' })
      fastify.get('/watch', {
        websocket: true, onRequest: (request) => request.jwtVerify()
      }, ({ socket }, _req, request) => {
        socket.on('message', () => {
          // The application looks again, when it wants to know.
          request.jwtVerify({ decode: {}, verify: { clockTimestamp: Date.now() + 60_000 } }).then(
            () => { socket.send('still valid') },
            (error) => { socket.close(4401, error.code) }
          )
        })
      })
    }
  })
  const token = fastify.jwt.sign({ name: 'ada' }, { expiresIn: '30s' })
  const client = await connect(t, `${origin}/watch`, {
    headers: { authorization: `Bearer ${token}` }
  })
  client.send('look')
  t.match(await client.closed, { code: 4401, reason: 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED' })
})
