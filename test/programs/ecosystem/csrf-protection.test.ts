import cookie from '@fastify/cookie'
import csrfProtection from '@fastify/csrf-protection'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { say, serve } from '../../helpers/plugin'

function declare (fastify: FastifyInstance): void {
  fastify.register(cookie)
  fastify.register(csrfProtection, {
    // A browser can send no header of its own with an upgrade.
    getToken: ({ query }) => String(Object(query).token)
  })
  fastify.get('/token', async (_request, reply) => ({ token: reply.generateCsrf() }))
  fastify.get('/private', {
    websocket: true,
    onRequest: (request, reply, done) => { fastify.csrfProtection(request, reply, done) }
  }, say('welcome'))
}

test('an upgrade needs a token, and the cookie that it belongs to', async (t) => {
  const { origin } = await serve(t, { declare })
  const answer = await fetch(`${origin.replace('ws', 'http')}/token`)
  const { token } = Object(await answer.json())
  const [line = ''] = answer.headers.getSetCookie()
  const options = { headers: { cookie: line.split(';', 1)[0] ?? '' } }
  const path = `${origin}/private?token=${encodeURIComponent(token)}`

  const client = await connect(t, path, options)
  t.equal(await client.nextText(), 'welcome')
  t.match(await refused(t, path), { statusCode: 403, body: /FST_CSRF_MISSING_SECRET/ })
  for (const wrong of [`${origin}/private`, `${origin}/private?token=wrong`]) {
    const refusal = await refused(t, wrong, options)
    t.match(refusal, { statusCode: 403, body: /FST_CSRF_INVALID_TOKEN/ }, wrong)
  }
})
