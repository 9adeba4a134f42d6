import cors from '@fastify/cors'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'

const ALLOWED = 'https://example.com'

test('its headers go out with the 101, and no origin is refused', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cors, { origin: [ALLOWED], credentials: true })
      fastify.get('/echo', { websocket: true }, echo)
    }
  })
  const allowed = await connect(t, `${origin}/echo`, { origin: ALLOWED })
  t.match(allowed.headers, {
    'access-control-allow-origin': ALLOWED,
    'access-control-allow-credentials': 'true',
    vary: 'Origin'
  })
  const stranger = await connect(t, `${origin}/echo`, { origin: 'https://evil.example' })
  t.notOk('access-control-allow-origin' in stranger.headers)
  stranger.send('let in all the same')
  t.equal(await stranger.nextText(), 'let in all the same')
})

test('a refused upgrade has its headers, too', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cors, { origin: ALLOWED })
      fastify.addHook('preHandler', async (_request, reply) => reply.code(403).send('no'))
      fastify.get('/echo', { websocket: true }, echo)
    }
  })
  t.match(await refused(t, `${origin}/echo`), {
    statusCode: 403, headers: { 'access-control-allow-origin': ALLOWED }
  })
})

test('a preflight for the HTTP side of a route is answered, with and without handle', async (t) => {
  for (const plugin of [{}, { handle: echo }]) {
    const { origin } = await serve(t, {
      plugin,
      declare: (fastify) => {
        fastify.register(cors, { origin: ALLOWED })
        fastify.route({
          method: 'GET', url: '/both', handler: async () => 'plain', wsHandler: echo
        })
      }
    })
    const preflight = await fetch(`${origin.replace('ws', 'http')}/both`, {
      method: 'OPTIONS', headers: { origin: ALLOWED, 'access-control-request-method': 'GET' }
    })
    t.equal(preflight.status, 204)
    t.equal(preflight.headers.get('access-control-allow-origin'), ALLOWED)
    const client = await connect(t, `${origin}/both`)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
  }
})

test('an origin that is an error to it refuses the upgrade', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(cors, {
        origin: (value, callback) => {
          if (value === ALLOWED) callback(null, true)
          else callback(Object.assign(new Error('not from there'), { statusCode: 403 }), false)
        }
      })
      fastify.get('/echo', { websocket: true }, echo)
    }
  })
  await connect(t, `${origin}/echo`, { origin: ALLOWED })
  t.match(await refused(t, `${origin}/echo`, { origin: 'https://evil.example' }), {
    statusCode: 403, body: /not from there/
  })
})
