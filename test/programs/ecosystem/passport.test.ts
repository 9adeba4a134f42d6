import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { echo, say, serve } from '../../helpers/plugin'
import { watchProcess } from '../../helpers/uncaught'

type Options = Record<string, unknown>

// As JavaScript loads them: their types, and those of @fastify/session and @fastify/jwt, give some
// properties of a request two types.
const secureSession: FastifyPluginCallback<Options> = require('@fastify/secure-session')
const { Authenticator, Strategy } = require('@fastify/passport')

/** Knows one password, in the query. */
class PasswordStrategy extends Strategy {
  constructor () {
    super('password')
  }

  authenticate ({ query }: FastifyRequest): void {
    const { name, password } = Object(query)
    if (password === 'right') this.success({ name })
    else if (password === 'broken') this.error(new Error('no database'))
    else this.fail('Password')
  }
}

function declare (fastify: FastifyInstance): void {
  const passport = new Authenticator()
  passport.use(new PasswordStrategy())
  passport.registerUserSerializer(async ({ name }: { name: string }) => name)
  passport.registerUserDeserializer(async (name: string) => ({ name }))
  fastify.register(secureSession, {
    key: Buffer.alloc(32, 'a key for tests'), cookie: { path: '/' }
  })
  fastify.register(passport.initialize())
  fastify.register(passport.secureSession())
  const check = (options?: object) => passport.authenticate('password', options)

  fastify.get('/login', { preValidation: check() }, async () => 'welcome')
  fastify.get('/private', {
    websocket: true,
    preValidation: async (request, reply) => {
      if (Object(request).isUnauthenticated()) return reply.code(401).send('log in')
    }
  }, ({ socket }, _req, request) => { socket.send(`hello, ${Object(request).user.name}`) })
  fastify.get('/checked', {
    websocket: true, preValidation: check({ session: false })
  }, say('checked'))
  fastify.get('/redirected', {
    websocket: true, preValidation: check({ failureRedirect: '/login' })
  }, echo)
}

test('a handler gets the user of a session, and a hook refuses all others', async (t) => {
  const uncaught = watchProcess(t)
  const { fastify, origin } = await serve(t, { declare })
  t.match(await refused(t, `${origin}/private`), { statusCode: 401, body: 'log in' })
  const login = await fetch(`${origin.replace('ws', 'http')}/login?name=Ada&password=right`)
  const [line = ''] = login.headers.getSetCookie()
  const headers = { cookie: line.split(';', 1)[0] ?? '' }
  const client = await connect(t, `${origin}/private`, { headers })
  t.equal(await client.nextText(), 'hello, Ada')
  await fastify.close()
  t.strictSame(uncaught, [])
})

test('a strategy in a hook lets an upgrade through, or refuses it', async (t) => {
  const uncaught = watchProcess(t)
  const { fastify, origin } = await serve(t, { declare })
  const client = await connect(t, `${origin}/checked?name=Ada&password=right`)
  t.equal(await client.nextText(), 'checked')
  t.match(await refused(t, `${origin}/checked`), {
    statusCode: 401, headers: { 'www-authenticate': 'Password' }
  })
  t.match(await refused(t, `${origin}/checked?password=broken`), { statusCode: 500 })
  t.match(await refused(t, `${origin}/redirected`), {
    statusCode: 302, headers: { location: '/login' }
  })
  await fastify.close()
  t.strictSame(uncaught, [])
})
