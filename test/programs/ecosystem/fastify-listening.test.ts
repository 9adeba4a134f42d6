// What a Fastify user expects of any server: every address, https, HTTP/2 beside it, and an end.
import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import fastifyWebsocket from '../../../src/index'
import { connect, refused } from '../../helpers/client'
import { echo, serve } from '../../helpers/plugin'
import { RawClient, upgradeHead } from '../../helpers/raw'
import { createFastify, listen, portOf } from '../../helpers/servers'
import { recordTimers } from '../../helpers/timers'
import { CERTIFICATE } from '../../helpers/tls'

const H2C = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'

test('a request for h2c is plain HTTP on every address of localhost', async (t) => {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket)
  fastify.get('/', async ({ ip }) => `hello ${ip}`)
  await fastify.listen({ port: 0, host: 'localhost' })
  for (const { address } of await lookup('localhost', { all: true })) {
    const socket = connectTcp(portOf(fastify.server), address)
    t.teardown(() => { socket.destroy() })
    socket.end(H2C)
    t.match(await text(socket), new RegExp(`^HTTP/1.1 200 [^]*hello ${address}$`))
  }
})

test('pipelined requests that ask for h2c are answered in order over https', async (t) => {
  // The types of Fastify tell an application over https from the others; here it is one.
  const server = { https: CERTIFICATE } as object
  const { fastify } = await serve(t, {
    server, declare: (fastify) => fastify.get('/', async ({ id }) => `hello ${id};`)
  })
  const socket = connectTls(portOf(fastify.server), '127.0.0.1', { ca: CERTIFICATE.cert })
  t.teardown(() => { socket.destroy() })
  // Not `end`, after which Node.js answers only the first, whatever it asks for.
  socket.write(H2C.repeat(5))
  let received = ''
  while (!received.includes('req-5;')) received += String(await once(socket, 'data'))
  const ids = [...received.matchAll(/hello req-(\d);/g)].map(([, id]) => id)
  t.strictSame(ids, ['1', '2', '3', '4', '5'])
})

test('http2 with allowHTTP1 still serves HTTP/2, beside a websocket', async (t) => {
  const http2: unknown = Fastify({ http2: true, https: { ...CERTIFICATE, allowHTTP1: true } })
  // As above.
  const fastify = http2 as FastifyInstance
  t.teardown(() => fastify.close())
  fastify.register(fastifyWebsocket, { handle: echo })
  fastify.get('/', async ({ raw }) => raw.httpVersion)
  await listen(fastify)
  const origin = `127.0.0.1:${portOf(fastify.server)}`
  const client = await connect(t, `wss://${origin}`, { ca: CERTIFICATE.cert })
  const session = connectHttp2(`https://${origin}`, { ca: CERTIFICATE.cert })
  t.teardown(() => { session.destroy() })
  t.equal(await text(session.request({ ':path': '/' })), '2.0')
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  session.close()
})

test('no timer is left after close()', async (t) => {
  const timers = recordTimers(t)
  const { fastify, origin } = await serve(t, {
    plugin: { closeTimeout: 7777 },
    declare: (fastify) => fastify.get('/', { websocket: true }, echo)
  })
  const client = await connect(t, origin)
  const left = await connect(t, origin)
  left.close()
  await left.closed
  t.equal((await refused(t, `${origin}/missing`)).statusCode, 404)
  fastify.server.on('upgrade', () => {})
  const stranger = new RawClient(t, portOf(fastify.server))
  const upgraded = once(fastify.server, 'upgrade')
  stranger.write(upgradeHead('/nobody'))
  await upgraded
  await fastify.close()
  await Promise.all([client.closed, stranger.closed])
  // The clients of this test have their own.
  const ours = [...timers.values()].filter((delay) => [7777, 2000, 10_000].includes(delay))
  t.strictSame(ours, [])
})
