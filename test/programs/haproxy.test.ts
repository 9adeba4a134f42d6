// HAProxy speaks HTTP/2 to the application, and HTTP/1 or HTTP/2 to clients.
import { test, type Test } from 'tap'
import { connect, refused, type Client } from '../helpers/client'
import { hasHaproxy, startHaproxy } from '../helpers/haproxy'
import { answerTo, ask, H2C, openSession, readUntil } from '../helpers/http2'
import { whySkip } from '../helpers/optional'
import { echo, serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { findPort, portOf } from '../helpers/servers'
import { until } from '../helpers/streams'

const skip = whySkip(hasHaproxy, 'no HAProxy: install haproxy')

/** An application over HTTP/2 behind HAProxy, and the ports of that for each version of HTTP. */
async function serveBehind (t: Test) {
  const { fastify } = await serve(t, {
    server: H2C,
    plugin: { closeTimeout: 2000, options: { perMessageDeflate: true } },
    declare (fastify) {
      fastify.get('/echo', { websocket: true }, echo)
      fastify.get('/version', { websocket: true }, ({ socket }, req) => {
        socket.send(req.httpVersion)
      })
    }
  })
  const ports = { http1: await findPort(), http2: await findPort() }
  await startHaproxy(t, `
    defaults
      mode http
      timeout connect 5s
      timeout client 60s
      timeout server 60s
      timeout tunnel 60s
    frontend http1
      bind 127.0.0.1:${ports.http1}
      default_backend application
    frontend http2
      bind 127.0.0.1:${ports.http2} proto h2
      default_backend application
    backend application
      server one 127.0.0.1:${portOf(fastify.server)} proto h2`, ports.http2)
  return { fastify, ports, origin: `ws://127.0.0.1:${ports.http1}` }
}

test('a client of HTTP/1 reaches an application over HTTP/2 by HAProxy', { skip }, async (t) => {
  const { fastify, origin } = await serveBehind(t)
  t.equal(await (await connect(t, `${origin}/version`)).nextText(), '2.0')

  const client = await connect(t, `${origin}/echo`, {}, ['a', 'b'])
  t.equal(client.socket.protocol, 'a')
  t.equal(client.socket.extensions, 'permessage-deflate')
  const large = 'the same words. '.repeat(30_000)
  client.send(large)
  t.equal(await client.nextText(), large)
  client.close(4000, 'bye')
  t.same(await client.closed, { code: 4000, reason: 'bye' })

  t.equal((await refused(t, `${origin}/none`)).statusCode, 404)
  const clients: Client[] = []
  for (let i = 0; i < 10; i++) clients.push(await connect(t, `${origin}/echo`))
  clients[0]?.socket.terminate()
  await until(() => fastify.websocketServer.clients.size === 10)
  await fastify.close()
  for (const { closed } of clients.slice(1)) t.match(await closed, { code: 1001 })
})

test('a client of HTTP/2 reaches the application behind HAProxy', { skip }, async (t) => {
  const { ports: { http2 } } = await serveBehind(t)
  const session = await openSession(t, http2)
  t.equal(session.remoteSettings.enableConnectProtocol, true)
  const stream = ask(session, '/echo', { ':authority': 'localhost' })
  t.equal((await answerTo(stream)).status, 200)
  stream.write(frame(0x81, 'hello'))
  await readUntil(stream, Buffer.from('hello'))
})
