import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket, type AddressInfo } from 'node:net'
import { PassThrough, type Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { FastifyServerOptions } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { UpgradeTransport } from '../../src/handshake/transport'
import { UpgradeListener } from '../../src/upgrade/listener'
import { echo } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { holdIntervals, holdTimers } from '../helpers/timers'
import { CERTIFICATE } from '../helpers/tls'
import { watchProcess } from '../helpers/uncaught'

/** Milliseconds that nothing else here takes. */
const PATIENCE = 44_444

const CLOSE_TIMEOUT = 200

/** More than the system keeps for a client that does not read. */
const LARGE = 16_000_000

const LEAVING = ['end', 'resetAndDestroy'] as const

function get (path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

interface Served {
  https?: boolean
  /** Another `upgrade` listener of the server. */
  stranger?: ((request: IncomingMessage, transport: Duplex) => void) | undefined
}

/** Routes whose answers take their time, beside the WebSocket route `/ws`. */
async function serveSlowly (t: Test, { https = false, stranger }: Served = {}) {
  const uncaught = watchProcess(t)
  const fastify = https
    // The types of Fastify tell an instance with TLS from one without.
    ? createFastify(t, { https: CERTIFICATE } as FastifyServerOptions)
    : createFastify(t)
  if (stranger !== undefined) fastify.server.on('upgrade', stranger)
  const answers: Array<() => void> = []
  fastify.register(fastifyWebsocket, { closeTimeout: CLOSE_TIMEOUT })
  fastify.get('/sync', (_request, reply) => { reply.send('sync') })
  fastify.get('/slow', (_request, reply) => {
    answers.push(() => { reply.send('slow') })
  })
  fastify.get('/parts', (_request, reply) => {
    reply.hijack().raw.write('part')
    answers.push(() => { reply.raw.write('part') })
  })
  fastify.get('/big', (_request, reply) => { reply.send(Buffer.alloc(LARGE)) })
  fastify.get('/ws', { websocket: true }, echo)
  const connected: Socket[] = []
  fastify.server.on(https ? 'secureConnection' : 'connection', (socket) => {
    connected.push(socket)
  })
  await listen(fastify)
  const begin = async (): Promise<RawClient> => {
    if (!https) return new RawClient(t, portOf(fastify.server))
    const { port } = fastify.server.address() as AddressInfo
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    return new RawClient(t, port, socket)
  }
  /** The socket of a client that has just sent an upgrade. */
  const upgraded = async (client: RawClient, packet: string): Promise<Socket> => {
    const event = once(fastify.server, 'upgrade')
    client.write(packet)
    const [, transport] = await event
    return transport
  }
  return { fastify, answers, begin, upgraded, connected, uncaught }
}

/** Waits for the end of a socket; not `once` of node:events, which rejects on an error. */
async function closed (socket: Duplex): Promise<void> {
  if (socket.closed) return
  await new Promise((resolve) => { socket.once('close', resolve) })
}

for (const path of ['/ws', '/nobody']) {
  for (const first of ['/sync', '/slow']) {
    test(`a reset behind ${first} and an upgrade of ${path} harms nobody`, async (t) => {
      const served = await serveSlowly(t, { stranger: () => {} })
      const { fastify, answers, begin, upgraded, connected, uncaught } = served
      for (let i = 0; i < 20; i++) {
        const client = await begin()
        const transport = await upgraded(client, get(first) + upgradeHead(path))
        client.socket.resetAndDestroy()
        await client.closed
        for (const answer of answers.splice(0)) answer()
        // Only a write tells of a reset while nobody reads, and closing writes.
        transport.write('.')
      }
      await fastify.close()
      await Promise.all(connected.map(closed))
      t.strictSame(uncaught, [])
    })
  }
}

test('what waits behind an earlier answer beside another listener gets a 404', async (t) => {
  const timers = holdTimers(t, PATIENCE)
  const fastify = createFastify(t)
  let answer = (): void => {}
  fastify.get('/slow', (_request, reply) => { answer = () => { reply.send('slow') } })
  const listener = new UpgradeListener(fastify.server, PATIENCE)
  const upgrades = listener.upgradesOf(fastify)
  listener.attach(upgrades)
  await listen(fastify)
  fastify.server.on('upgrade', () => {})
  const client = new RawClient(t, portOf(fastify.server))
  client.write(get('/slow') + upgradeHead('/nobody'))
  await until(() => timers.size === 1)
  answer()
  await client.until('slow')
  timers.run()
  await client.closed
  t.match(client.received.toString(), /200 OK[^]*slowHTTP\/1.1 404 /)
  listener.detach(upgrades)
})

test('what waits behind an earlier answer beside another listener waits on for it', async (t) => {
  const timers = holdTimers(t, PATIENCE)
  const fastify = createFastify(t)
  let answer = (): void => {}
  fastify.get('/slow', (_request, reply) => { answer = () => { reply.send('slow') } })
  const listener = new UpgradeListener(fastify.server, PATIENCE)
  const upgrades = listener.upgradesOf(fastify)
  listener.attach(upgrades)
  await listen(fastify)
  fastify.server.on('upgrade', () => {})
  const client = new RawClient(t, portOf(fastify.server))
  client.write(get('/slow') + upgradeHead('/nobody'))
  await until(() => timers.size === 1)
  timers.run()
  answer()
  await client.closed
  t.match(client.received.toString(), /200 OK[^]*slowHTTP\/1.1 404 /)
  listener.detach(upgrades)
})

for (const packet of ['/slow', '/slow, /sync', '/sync, /slow']) {
  test(`beside another listener, an upgrade of a route waits for ${packet}`, async (t) => {
    const { begin, upgraded, answers } = await serveSlowly(t, { stranger: () => {} })
    const client = await begin()
    const requests = packet.split(', ').map(get)
    await upgraded(client, requests.join('') + upgradeHead('/ws'))
    await until(() => answers.length === 1)
    answers[0]?.()
    await client.until('101 Switching')
    t.match(client.received.toString(), /slow[^]*101/)
    client.socket.destroy()
  })

  test(`beside another listener, an upgrade of no route waits for ${packet}`, async (t) => {
    const timers = holdTimers(t, 10_000)
    const { begin, upgraded, answers } = await serveSlowly(t, { stranger: () => {} })
    const client = await begin()
    const requests = packet.split(', ').map(get)
    await upgraded(client, requests.join('') + upgradeHead('/nobody'))
    await until(() => answers.length === 1 && timers.size === 1)
    answers[0]?.()
    await client.until('slow')
    timers.run()
    await client.closed
    t.match(client.received.toString(), /slow[^]*404/)
  })
}

test('another listener may begin when the earlier answer is out', async (t) => {
  const timers = holdTimers(t, PATIENCE)
  const fastify = createFastify(t)
  fastify.get('/sync', async () => 'sync')
  const listener = new UpgradeListener(fastify.server, PATIENCE)
  const upgrades = listener.upgradesOf(fastify)
  listener.attach(upgrades)
  await listen(fastify)
  let begin = (): void => {}
  fastify.server.on('upgrade', (_request, transport) => {
    begin = () => { transport.end('HTTP/1.1 502 Mine\r\n\r\n') }
  })
  const client = new RawClient(t, portOf(fastify.server))
  client.write(get('/sync') + upgradeHead('/theirs'))
  await client.until('sync')
  begin()
  await client.until('Mine')
  timers.run()
  await client.closed
  t.notMatch(client.received.toString(), /404/)
  listener.detach(upgrades)
})

for (const https of [false, true]) {
  const protocol = https ? 'TLS' : 'TCP'
  for (const stranger of [undefined, () => {}]) {
    const beside = stranger === undefined ? '' : ' beside another listener'
    for (const first of ['/slow', '/big']) {
      for (const leave of LEAVING) {
        test(`${protocol}: a client that leaves by ${leave} while its upgrade waits for ${first} ` +
          `is gone${beside}`, async (t) => {
          const served = await serveSlowly(t, { https, stranger })
          const { fastify, begin, upgraded, connected, uncaught } = served
          const client = await begin()
          if (first === '/big') client.socket.pause()
          await upgraded(client, get(first) + upgradeHead('/ws'))
          // TLS has no reset of its own.
          if (leave === 'resetAndDestroy' && https) client.socket.destroy()
          else client.socket[leave]()
          if (first === '/slow' && stranger === undefined) await Promise.all(connected.map(closed))
          await fastify.close()
          client.socket.resume()
          await Promise.all(connected.map(closed))
          t.equal(fastify.websocketServer.clients.size, 0)
          t.strictSame(uncaught, [])
        })
      }

      test(`${protocol}: close() ends while an upgrade waits for ${first}${beside}`, async (t) => {
        const { fastify, begin, upgraded, uncaught } = await serveSlowly(t, { https, stranger })
        const client = await begin()
        if (first === '/big') client.socket.pause()
        const transport = await upgraded(client, get(first) + upgradeHead('/ws'))
        await fastify.close()
        await closed(transport)
        t.strictSame(uncaught, [])
      })
    }
  }
}

test('a client that reads a large answer slowly gets all of it before its upgrade', async (t) => {
  const intervals = holdIntervals(t)
  const { begin, upgraded } = await serveSlowly(t)
  const client = await begin()
  client.socket.pause()
  await upgraded(client, get('/big') + upgradeHead('/ws'))
  client.socket.resume()
  // More than the systems keep for both sides, so that some has left the process meanwhile.
  await until(() => client.received.length > LARGE / 2)
  intervals.run()
  await until(() => client.received.subarray(LARGE).includes('101 Switching'))
  t.equal(client.socket.destroyed, false)
})

for (const isOver of [false, true]) {
  const when = isOver ? 'after the deadline of' : 'during'
  test(`an upgrade that comes behind an unfinished answer ${when} close() ends`, async (t) => {
    const timers = holdTimers(t, CLOSE_TIMEOUT)
    const { fastify, begin, upgraded, answers, uncaught } = await serveSlowly(t)
    const client = await begin()
    client.write(get('/slow'))
    await until(() => answers.length === 1)
    const closed = fastify.close()
    await until(() => timers.size > 0)
    if (isOver) timers.run()
    const transport = await upgraded(client, upgradeHead('/ws'))
    if (!isOver) timers.run()
    await closed
    t.equal(transport.destroyed, true)
    t.strictSame(uncaught, [])
  })
}

test('an earlier answer that makes no progress ends with the upgrade behind it', async (t) => {
  const intervals = holdIntervals(t)
  const { begin, upgraded, answers } = await serveSlowly(t)
  const client = await begin()
  const transport = await upgraded(client, get('/parts') + upgradeHead('/ws'))
  t.strictSame(intervals.delays.filter((delay) => delay === 10_000), [10_000])
  answers[0]?.()
  await until(() => client.received.toString().match(/part/g)?.length === 2)
  intervals.run()
  t.equal(transport.destroyed, false)
  intervals.run()
  t.equal(transport.destroyed, true)
  await client.closed
})

test('an upgrade waits for all earlier answers', async (t) => {
  const { begin, upgraded, answers } = await serveSlowly(t)
  const client = await begin()
  await upgraded(client, get('/slow') + get('/sync') + upgradeHead('/ws'))
  await until(() => answers.length === 1)
  answers[0]?.()
  await client.until('101 Switching')
  t.match(client.received.toString(), /slowHTTP\/1.1 200 [^]*syncHTTP\/1.1 101 /)
})

test('a transport that does not count has written nothing', (t) => {
  const transport = new UpgradeTransport(
    new IncomingMessage(new Socket()), new PassThrough(), Buffer.alloc(0))
  t.equal(transport.bytesWritten, 0)
  t.end()
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
