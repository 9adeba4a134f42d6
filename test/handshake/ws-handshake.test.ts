import { test } from 'tap'
import { refused } from '../helpers/client'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { serveOnce } from '../helpers/upgrades'

test('a handshake that a hook has spoiled is a 400', async (t) => {
  const { origin, finish } = await serveOnce(t, {
    declare (fastify) {
      fastify.addHook('onSend', async (request) => {
        request.raw.headers['sec-websocket-key'] = 'spoiled'
      })
    }
  })
  const { statusCode, body } = await refused(t, `${origin}/ws`)
  t.equal(statusCode, 400)
  t.match(JSON.parse(body), { code: 'FST_WS_INVALID_HANDSHAKE' })
  await finish(0)
})

test('wsClientError listeners of the user answer a malformed handshake', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('wsClientError', (_error, socket) => {
    socket.end('HTTP/1.1 499 Mine\r\n\r\n')
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/', { 'Sec-WebSocket-Protocol': 'chat, chat' }))
  t.match(await client.until('\r\n\r\n'), 'HTTP/1.1 499 Mine')
  await client.closed
})
