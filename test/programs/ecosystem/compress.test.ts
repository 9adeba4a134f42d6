import compress from '@fastify/compress'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo } from '../../helpers/plugin'
import { createFastify, listen } from '../../helpers/servers'
import { watchProcess } from '../../helpers/uncaught'

const TEXT = 'some text, '.repeat(100)
const HEADERS = { 'accept-encoding': 'gzip' }

for (const order of ['before', 'after']) {
  test(`loaded ${order} ours, it leaves upgrades alone and packs refusals`, async (t) => {
    const uncaught = watchProcess(t)
    const fastify = createFastify(t)
    if (order === 'after') fastify.register(fastifyWebsocket, { handle: echo })
    await fastify.register(compress, { threshold: 0 })
    if (order === 'before') fastify.register(fastifyWebsocket, { handle: echo })
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

    for (const path of ['/ws', '/of-handle']) {
      const client = await connect(t, origin + path, { headers: HEADERS })
      t.notOk('content-encoding' in client.headers, path)
      client.send('hello')
      t.equal(await client.nextText(), 'hello', path)
    }
    const plain = await fetch(`${origin.replace('ws', 'http')}/plain`, { headers: HEADERS })
    t.equal(plain.headers.get('content-encoding'), 'gzip')
    t.equal(await plain.text(), TEXT)
    for (const [path, text] of [['/refused', TEXT], ['/streamed', TEXT.repeat(1000)]] as const) {
      const { statusCode, bytes } = await refused(t, origin + path, { headers: HEADERS })
      t.equal(statusCode, 403, path)
      t.equal(gunzipSync(bytes).toString(), text, path)
    }
    await fastify.close()
    t.strictSame(uncaught, [])
  })
}
