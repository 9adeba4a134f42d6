import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { Logs, INFO } from '../helpers/logs'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, createHttp, portOf } from '../helpers/servers'
import { serveOnce } from '../helpers/upgrades'

test('handleProtocols is asked once for each upgrade', async (t) => {
  const asked: string[][] = []
  const { origin, finish } = await serveOnce(t, {
    plugin: {
      options: {
        handleProtocols: (protocols) => {
          asked.push([...protocols])
          return protocols.has('b') ? 'b' : false
        }
      }
    }
  })
  const chosen = await connect(t, `${origin}/ws`, {}, ['a', 'b'])
  t.equal(chosen.socket.protocol, 'b')
  chosen.close()
  t.strictSame(asked, [['a', 'b']])
  await finish(1)
})

test('handleProtocols is asked for an upgrade that the application hands over', async (t) => {
  const { server, origin } = await createHttp(t)
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    options: { noServer: true, handleProtocols: (protocols) => protocols.has('b') && 'b' }
  })
  await fastify.ready()
  server.on('upgrade', (request, transport, head) => {
    fastify.websocketServer.handleUpgrade(request, transport, head, () => {})
  })
  const client = await connect(t, origin, {}, ['a', 'b'])
  t.equal(client.socket.protocol, 'b')
})

test('handleProtocols that answers nothing chooses none', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    // The types want an answer; a program in JavaScript may give none.
    plugin: { options: { handleProtocols: (() => {}) as never } }
  })
  await t.rejects(connect(t, `${origin}/ws`, {}, ['a']), /subprotocol/)
  await finish(1)
})

test('a promise of handleProtocols is no subprotocol', async (t) => {
  for (const answer of [async () => 'a', async () => { throw new Error('odd') }]) {
    const { origin, finish } = await serveOnce(t, {
      // The types refuse it; a program in JavaScript has none.
      plugin: { options: { handleProtocols: answer as never } }
    })
    const { statusCode, body } = await refused(t, `${origin}/ws`, {}, ['a'])
    t.equal(statusCode, 500)
    t.match(JSON.parse(body), { code: 'FST_WS_ASYNC_CALLBACK' })
    await finish(0)
  }
})

test('an extension that the server does not know is not negotiated', async (t) => {
  const { fastify, finish } = await serveOnce(t, {
    plugin: { options: { perMessageDeflate: true } }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws', { 'Sec-WebSocket-Extensions': 'x-own; a=1' }))
  await client.until('101 Switching')
  client.write(frame(0x81, 'plain'))
  await client.until('plain')
  client.socket.destroy()
  await finish(1)
})

for (const [name, value] of [
  ['Sec-WebSocket-Protocol', 'chat, chat'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; server_max_window_bits=1']
] as const) {
  test(`a handshake with a malformed ${name} is answered with 400`, async (t) => {
    const logs = new Logs()
    const { fastify } = await serve(t, {
      plugin: { handle: echo, options: { perMessageDeflate: true } },
      server: { logger: logs.logger }
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', { [name]: value }))
    t.match(await client.until('}'), 'HTTP/1.1 400 ')
    t.match(await logs.find(`invalid WebSocket handshake: invalid ${name} header`), { level: INFO })
    await client.closed
    t.equal(fastify.websocketServer.clients.size, 0)
  })
}
