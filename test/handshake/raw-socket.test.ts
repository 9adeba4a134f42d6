import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { test, type Test } from 'tap'
import { RawSocket } from '../../src/handshake/raw-socket'
import { UpgradeListener } from '../../src/upgrade/listener'
import { get, serveSlowly } from '../helpers/pipelined'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

/** Milliseconds that nothing else here takes. */
const PATIENCE = 44_444

/** Takes the upgrades of a server that has another listener, `stranger`, whose time is held. */
async function serveBeside (
  t: Test, stranger: (request: IncomingMessage, transport: Socket) => void = () => {}
) {
  const timers = holdTimers(t, PATIENCE)
  const fastify = createFastify(t)
  let answer = (): void => {}
  fastify.get('/slow', (_request, reply) => { answer = () => { reply.send('slow') } })
  fastify.get('/sync', async () => 'sync')
  const listener = new UpgradeListener(fastify.server, PATIENCE)
  const upgrades = listener.upgradesOf(fastify)
  listener.attach(upgrades)
  t.teardown(() => { listener.detach(upgrades) })
  await listen(fastify)
  fastify.server.on('upgrade', stranger)
  const client = new RawClient(t, portOf(fastify.server))
  return { client, timers, answer: () => { answer() } }
}

test('what waits behind an earlier answer beside another listener gets a 404', async (t) => {
  const { client, timers, answer } = await serveBeside(t)
  client.write(get('/slow') + upgradeHead('/nobody'))
  await until(() => timers.size === 1)
  answer()
  await client.until('slow')
  timers.run()
  await client.closed
  t.match(client.received.toString(), /200 OK[^]*slowHTTP\/1.1 404 /)
})

test('what waits behind an earlier answer beside another listener waits on for it', async (t) => {
  const { client, timers, answer } = await serveBeside(t)
  client.write(get('/slow') + upgradeHead('/nobody'))
  await until(() => timers.size === 1)
  timers.run()
  answer()
  await client.closed
  t.match(client.received.toString(), /200 OK[^]*slowHTTP\/1.1 404 /)
})

test('another listener may begin when the earlier answer is out', async (t) => {
  let begin = (): void => {}
  const { client, timers } = await serveBeside(t, (_request, transport) => {
    begin = () => { transport.end('HTTP/1.1 502 Mine\r\n\r\n') }
  })
  client.write(get('/sync') + upgradeHead('/theirs'))
  await client.until('sync')
  begin()
  await client.until('Mine')
  timers.run()
  await client.closed
  t.notMatch(client.received.toString(), /404/)
})

test('a listener of another protocol has its time to begin', async (t) => {
  const { begin } = await serveSlowly(t, {
    stranger: (_request, transport) => {
      setImmediate(() => { transport.end('HTTP/1.1 101 Mine\r\n\r\n') })
    }
  })
  const client = await begin()
  client.write('GET /sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  await client.until('Mine')
  t.equal(client.received.toString(), 'HTTP/1.1 101 Mine\r\n\r\n')
})

test('another protocol that no listener answers is plain HTTP in the end', async (t) => {
  const timers = holdTimers(t, 10_000)
  const { begin } = await serveSlowly(t, { stranger: () => {} })
  const client = await begin()
  client.write('GET /sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  await until(() => timers.size === 1)
  timers.run()
  await client.until('sync')
  t.match(client.received.toString(), /^HTTP\/1.1 200 /)
})

test('a transport that does not count has written nothing', (t) => {
  const transport = new RawSocket(
    new IncomingMessage(new Socket()), new PassThrough(), Buffer.alloc(0))
  t.equal(transport.bytesWritten, 0)
  t.end()
})
