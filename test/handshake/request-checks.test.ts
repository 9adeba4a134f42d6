import { test } from 'tap'
import { echo, serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { serveOnce } from '../helpers/upgrades'

test('a method other than GET is a 405 that names GET', async (t) => {
  const { fastify, finish } = await serveOnce(t, {})
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/ws').replace('GET', 'POST'))
  await client.closed
  t.match(client.received.toString(), /^HTTP\/1.1 405 [^]*\r\nallow: GET\r\n/)
  await finish(0)
})

const HANDSHAKES: ReadonlyArray<[string, Record<string, string>, number, string]> = [
  ['no version', { 'Sec-WebSocket-Version': '' }, 426, 'FST_WS_UNSUPPORTED_VERSION'],
  ['version 12', { 'Sec-WebSocket-Version': '12' }, 426, 'FST_WS_UNSUPPORTED_VERSION'],
  ['an empty key', { 'Sec-WebSocket-Key': '' }, 400, 'FST_WS_INVALID_HANDSHAKE'],
  ['a short key', { 'Sec-WebSocket-Key': 'AAAA==' }, 400, 'FST_WS_INVALID_HANDSHAKE']
]

test('a handshake without a key or a version is refused', async (t) => {
  const { fastify } = await serve(t, { plugin: { handle: echo } })
  for (const [name, statusCode] of [['Key', 400], ['Version', 426]] as const) {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/').replace(new RegExp(`^Sec-WebSocket-${name}: .*\\r\\n`, 'm'), ''))
    t.match(await client.until('}'), `HTTP/1.1 ${statusCode} `)
    await client.closed
  }
})

for (const [what, lines, statusCode, code] of HANDSHAKES) {
  test(`a handshake with ${what} is answered with ${statusCode}`, async (t) => {
    const { fastify } = await serve(t, { plugin: { handle: echo } })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/', lines))
    const answer = await client.until('}')
    t.match(answer, `HTTP/1.1 ${statusCode} `)
    t.match(answer, code)
    t.equal(/sec-websocket-version: 13, 8/i.test(answer), statusCode === 426)
    await client.closed
  })
}

test('a malformed handshake reaches the error handlers of the application', async (t) => {
  const seen: unknown[] = []
  const { fastify, finish } = await serveOnce(t, {
    plugin: { options: { perMessageDeflate: true } },
    declare (fastify) {
      fastify.addHook('onError', async (_request, _reply, error) => { seen.push(error.code) })
      fastify.setErrorHandler((_error, _request, reply) => { reply.code(418).send('mine') })
    }
  })
  for (const lines of [
    { 'Sec-WebSocket-Protocol': 'a, a' },
    { 'Sec-WebSocket-Extensions': 'permessage-deflate; server_max_window_bits=1' },
    { 'Sec-WebSocket-Key': 'short' },
    { 'Sec-WebSocket-Version': '7' }
  ]) {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/ws', lines))
    await client.closed
    t.match(client.received.toString(), /^HTTP\/1.1 418 [^]*mine$/)
  }
  const code = 'FST_WS_INVALID_HANDSHAKE'
  t.strictSame(seen, [code, code, code, 'FST_WS_UNSUPPORTED_VERSION'])
  await finish(0)
})
