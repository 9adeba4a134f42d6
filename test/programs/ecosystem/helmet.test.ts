import helmet from '@fastify/helmet'
import { test } from 'tap'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'

test('its headers go out with the 101 and do no harm', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(helmet)
      fastify.get('/echo', { websocket: true }, echo)
    }
  })
  const client = await connect(t, `${origin}/echo`)
  t.match(client.headers, {
    'content-security-policy': /default-src 'self'/,
    'strict-transport-security': /max-age=/,
    'x-content-type-options': 'nosniff',
    upgrade: 'websocket',
    connection: 'Upgrade'
  })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

test('a refused upgrade has its headers, too', async (t) => {
  const { origin } = await serve(t, { declare: (fastify) => fastify.register(helmet) })
  t.match(await refused(t, `${origin}/nothing`), {
    statusCode: 404, headers: { 'x-content-type-options': 'nosniff' }
  })
})

test('a route that is declared after it does without with helmet: false', async (t) => {
  const { origin } = await serve(t, {
    declare: (fastify) => {
      fastify.register(helmet)
      fastify.register(async (scope) => {
        scope.get('/echo', { websocket: true, helmet: false }, echo)
      })
    }
  })
  const { headers } = await connect(t, `${origin}/echo`)
  t.strictSame(Object.keys(headers).sort(), ['connection', 'sec-websocket-accept', 'upgrade'])
})
