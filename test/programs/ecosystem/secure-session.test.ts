import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { serve } from '../../helpers/plugin'
import { watchProcess } from '../../helpers/uncaught'

type Options = Record<string, unknown>

/** As JavaScript loads it: its types and those of @fastify/session give one property two types. */
const secureSession: FastifyPluginCallback<Options> = require('@fastify/secure-session')

/** What the tests use of a session. */
interface SecureSession {
  get (key: string): unknown
  set (key: string, value: string): void
}

function sessionOf (request: FastifyRequest): SecureSession {
  return Object(request).session
}

/** The cookie to send back. */
function cookieOf ([line = '']: string[] = []): { cookie: string } {
  return { cookie: line.split(';', 1)[0] ?? '' }
}

function declare (fastify: FastifyInstance): void {
  fastify.register(secureSession, {
    key: Buffer.alloc(32, 'a key for tests'), cookie: { path: '/' }
  })
  fastify.get('/login', async (request) => { sessionOf(request).set('user', 'Ada') })
  fastify.get('/user', async (request) => ({ user: sessionOf(request).get('user') ?? null }))
  fastify.get('/private', {
    websocket: true,
    preValidation: async (request, reply) => {
      if (sessionOf(request).get('user') === undefined) return reply.code(401).send('log in')
    }
  }, ({ socket }, _req, request) => {
    socket.send(`hello, ${sessionOf(request).get('user')}`)
    sessionOf(request).set('user', 'changed after the 101')
  })
  fastify.get('/in-hook', {
    websocket: true, preHandler: async (request) => { sessionOf(request).set('user', 'hook') }
  }, ({ socket }) => { socket.send('hello') })
}

test('a hook refuses an upgrade without a session, and a handler reads it', async (t) => {
  const uncaught = watchProcess(t)
  const { fastify, origin } = await serve(t, { declare })
  t.match(await refused(t, `${origin}/private`), { statusCode: 401, body: 'log in' })
  const broken = { headers: { cookie: 'session=broken' } }
  t.match(await refused(t, `${origin}/private`, broken), { statusCode: 401 })
  const login = await fetch(`${origin.replace('ws', 'http')}/login`)
  const headers = cookieOf(login.headers.getSetCookie())
  const client = await connect(t, `${origin}/private`, { headers })
  t.equal(await client.nextText(), 'hello, Ada')
  t.notOk('set-cookie' in client.headers)
  await fastify.close()
  t.strictSame(uncaught, [])
})

test('what a hook puts into the session goes out with the 101', async (t) => {
  const { origin } = await serve(t, { declare })
  const client = await connect(t, `${origin}/in-hook`)
  const headers = cookieOf(client.headers['set-cookie'])
  const answer = await fetch(`${origin.replace('ws', 'http')}/user`, { headers })
  t.strictSame(await answer.json(), { user: 'hook' })
})
