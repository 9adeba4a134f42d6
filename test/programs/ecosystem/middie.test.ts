import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import middie from '@fastify/middie'
import compression from 'compression'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

type Next = (error?: Error) => void

const TEXT = 'some text, '.repeat(100)

/** When the middlewares run, as options of middie. */
const HOOKS = ['onRequest', 'preValidation', 'preHandler'] as const

for (const hook of HOOKS) {
  test(`a middleware in ${hook} sees upgrades, and can refuse them`, async (t) => {
    const uncaught = watchProcess(t)
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket)
    await fastify.register(middie, { hook })
    fastify.use((_request: IncomingMessage, response: ServerResponse, next: Next) => {
      response.setHeader('x-middleware', 'yes')
      next()
    })
    fastify.use('/forbidden', (_request: IncomingMessage, response: ServerResponse) => {
      response.statusCode = 403
      response.end('from a middleware')
    })
    fastify.use('/broken', (_request: IncomingMessage, _response: ServerResponse, next: Next) => {
      next(new Error('broken'))
    })
    for (const path of ['/ws', '/forbidden', '/broken']) {
      fastify.get(path, { websocket: true }, echo)
    }
    const origin = await listen(fastify)
    const client = await connect(t, `${origin}/ws`)
    t.equal(client.headers['x-middleware'], 'yes')
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    t.match(await refused(t, `${origin}/forbidden`), {
      statusCode: 403, body: 'from a middleware', headers: { connection: 'close' }
    })
    t.match(await refused(t, `${origin}/broken`), { statusCode: 500 })
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}

test('compression leaves upgrades alone, and packs refusals and plain answers', async (t) => {
  const uncaught = watchProcess(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  await fastify.register(middie)
  fastify.use(compression({ threshold: 0 }))
  fastify.get('/ws', { websocket: true }, echo)
  fastify.get('/plain', async () => TEXT)
  fastify.get('/refused', {
    websocket: true,
    preHandler: async (_request, reply) => reply.code(403).type('text/plain').send(TEXT)
  }, echo)
  fastify.get('/streamed', {
    websocket: true,
    preHandler: async (_request, reply) => {
      return reply.code(403).type('text/plain').send(Readable.from(Array(1000).fill(TEXT)))
    }
  }, echo)
  const origin = await listen(fastify)
  const headers = { 'accept-encoding': 'gzip' }

  const client = await connect(t, `${origin}/ws`, { headers })
  t.notOk('content-encoding' in client.headers)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')

  const plain = await fetch(`${origin.replace('ws', 'http')}/plain`, { headers })
  t.equal(plain.headers.get('content-encoding'), 'gzip')
  t.equal(await plain.text(), TEXT)

  for (const [path, text] of [['/refused', TEXT], ['/streamed', TEXT.repeat(1000)]] as const) {
    const { statusCode, bytes } = await refused(t, origin + path, { headers })
    t.equal(statusCode, 403, path)
    t.equal(gunzipSync(bytes).toString(), text, path)
  }
  await fastify.close()
  t.strictSame(uncaught, [])
})
