// Java's own client, which asks for h2c with every first request on a connection.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { echo, serve } from '../helpers/plugin'
import { ROOT, run } from '../helpers/program'

const CLIENT = join(ROOT, 'test', 'fixtures', 'Client.java')

const isMissing = spawnSync('java', ['-version']).error !== undefined
const options = { skip: isMissing && 'no `java` on this machine', timeout: 60_000 }

function declareRoutes (fastify: FastifyInstance): void {
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
  fastify.get('/hello', async () => 'hello')
  fastify.post('/echo', { bodyLimit: 2 ** 20 }, async ({ body }) => body)
  fastify.get('/echo', { websocket: true }, echo)
}

test('a GET and a POST of 1 MB that ask for HTTP/2 are served as HTTP/1.1', options, async (t) => {
  const { fastify, origin } = await serve(t, { declare: declareRoutes })
  const sockets: unknown[] = []
  fastify.server.on('connection', (socket) => { sockets.push(socket) })
  const output = await run(t, 'java', [CLIENT, 'http', origin.replace('ws', 'http')])
  t.equal(output, 'GET 200 HTTP_1_1 hello\nPOST 200 HTTP_1_1 true\n')
  t.equal(new Set(sockets).size, 2)
  t.equal(sockets.length, 4, 'each was an upgrade, and then a connection like any other')
})

test('a WebSocket of Java is echoed and closes cleanly', options, async (t) => {
  const { fastify, origin } = await serve(t, { declare: declareRoutes })
  const connected = once(fastify.websocketServer, 'connection')
  const output = run(t, 'java', [CLIENT, 'websocket', origin])
  const [socket] = await connected
  t.strictSame(await once(socket, 'close'), [4000, Buffer.from('bye')])
  t.equal(await output, 'protocol chat\necho hello from Java\nclosed 4000 bye\n')
})
