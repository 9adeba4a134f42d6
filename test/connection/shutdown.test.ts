// fastify.close() and its clients: each is told 1001, and a silent one is cut off.
import { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { run, ROOT } from '../helpers/program'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'
import { testOnce } from '../helpers/test-once'
import { isUsual } from '../helpers/transports'
import { join } from 'node:path'

/** What came behind the head of the answer. */
function framesOf ({ received }: RawClient): Buffer {
  return received.subarray(received.indexOf('\r\n\r\n') + 4)
}

const CLOSE_1001 = Buffer.from([0x88, 0x02, 0x03, 0xe9])

test('closes with 1001 when the server closes', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const clients = await Promise.all([connect(t, origin), connect(t, origin)])
  await fastify.close()
  for (const client of clients) t.strictSame(await client.closed, { code: 1001, reason: '' })
  t.equal(fastify.websocketServer.clients.size, 0)
})

test('what was written before close() arrives before the 1001', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: ({ socket }) => { socket.on('message', () => { answer(socket) }) } }
  })
  const size = 4 * 1024 * 1024
  function answer (socket: { send (data: string | Buffer): void }) {
    socket.send(Buffer.alloc(size, 'a'))
    socket.send('last')
    fastify.close()
  }
  const client = await connect(t, origin)
  client.send('go')
  t.equal((await client.next()).data.length, size)
  t.equal(await client.nextText(), 'last')
  t.equal((await client.closed).code, 1001)
})

test('the handler sees the close, and its stream ends', async (t) => {
  const seen: unknown[] = []
  const { fastify, origin } = await serve(t, {
    plugin: {
      handle: (connection) => {
        connection.resume().on('end', () => { seen.push('end') })
        connection.on('close', () => { seen.push(connection.closeCode) })
      }
    }
  })
  await connect(t, origin)
  await fastify.close()
  t.strictSame(seen, ['end', 1001])
})

test('a client that does not answer is terminated at closeTimeout', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo, closeTimeout: 30 } })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await fastify.close()
  await client.closed
  t.strictSame(framesOf(client), CLOSE_1001)
})

test('a client that does not answer is terminated before Fastify gives up closing', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: echo }, server: { pluginTimeout: 2_000 }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await t.resolves(settled(fastify.close()))
  await client.closed
  t.strictSame(framesOf(client), CLOSE_1001)
})

test('registrations close their clients at once, not one after the other', async (t) => {
  const fastify = createFastify(t)
  for (const prefix of ['/silent', '/other']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket, { handle: echo, closeTimeout: 60_000 })
    }, { prefix })
  }
  const origin = await listen(fastify)
  const silent = new RawClient(t, portOf(fastify.server))
  silent.write(upgradeHead('/silent'))
  await silent.until('\r\n\r\n')
  const other = await connect(t, `${origin}/other`)
  const closed = fastify.close()
  t.equal((await other.closed).code, 1001)
  silent.socket.destroy()
  await closed
})

test('a client that is closing already is waited for, and keeps its code', async (t) => {
  const { fastify, origin } = await serve(t, {
    plugin: { handle: ({ socket }) => { socket.close(4000) }, closeTimeout: 30 }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  await client.until('\r\n\r\n')
  await fastify.close()
  await client.closed
  t.strictSame(framesOf(client), Buffer.from([0x88, 0x02, 0x0f, 0xa0]))
})

test('close() while a connection listener is about to accept tells that client too', async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  fastify.websocketServer.on('connection', () => { fastify.close() })
  const client = await connect(t, origin)
  t.equal((await client.closed).code, 1001)
})

/** Handshakes of TLS, and sessions of HTTP/2, take more time than a socket. */
const MANY = isUsual() ? 1000 : 100

test(`${MANY} clients get 1001`, async (t) => {
  const { fastify, origin } = await serve(t, { plugin: { handle: echo } })
  const clients = await Promise.all(Array.from({ length: MANY }, () => connect(t, origin)))
  await fastify.close()
  const codes = await Promise.all(clients.map(async ({ closed }) => (await closed).code))
  t.equal(codes.filter((code) => code === 1001).length, MANY)
})

testOnce('the process exits by itself after close()', async (t) => {
  const output = await run(t, process.execPath, [
    '--import', 'tsx', '--input-type=commonjs', '--eval', `
      const fastifyWebsocket = require(${JSON.stringify(join(ROOT, 'src', 'index.ts'))})
      const { WebSocket } = require('ws')
      const fastify = require('fastify')()
      fastify.register(fastifyWebsocket, { handle () {} })
      fastify.listen({ port: 0, host: '127.0.0.1' }).then(async (address) => {
        const client = new WebSocket(address.replace('http', 'ws'))
        client.on('close', (code) => { console.log(code) })
        await require('events').once(client, 'open')
        await fastify.close()
        console.log('closed')
      })`
  ])
  t.strictSame(output.trim().split('\n').sort(), ['1001', 'closed'])
})
