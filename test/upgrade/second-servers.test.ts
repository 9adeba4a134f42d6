// If Fastify listens on `localhost`, it opens a server for each address of that name. WebSockets
// over HTTP/2 reach the application on all of them, and end with it.
import dns from 'node:dns'
import { once } from 'node:events'
import { channel } from 'node:diagnostics_channel'
import { createServer } from 'node:http2'
import { connect, createServer as createTcpServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { answerTo, ask, BOTH, H2, H2C, openSession, readUntil } from '../helpers/http2'
import { echo } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'

const TEXT = 0x81
const GOING_AWAY = Buffer.from([0x03, 0xe9])

const listening = channel('tracing:net.server.listen:asyncStart')

/** Whether this machine has the address `::1`. */
function hasIpv6 (): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createTcpServer()
    server.once('error', () => { resolve(false) })
    server.listen(0, '::1', () => { server.close(() => { resolve(true) }) })
  })
}

/** Resolves when no server listens on the port any more. */
async function untilFree (port: number, host: string): Promise<void> {
  for (;;) {
    const socket = connect(port, host)
    const [error] = await once(socket, 'connect').catch((error: unknown) => [error])
    socket.destroy()
    if (error !== undefined) return
  }
}

/** Makes `localhost` have both addresses, whatever this machine says of it. */
function resolveBoth (t: Test): void {
  const { lookup } = dns
  const addresses = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }]
  t.teardown(() => { dns.lookup = lookup })
  Object.assign(dns, {
    // Node.js 20 gives no options.
    lookup (name: string, ...args: unknown[]) {
      if (name !== 'localhost') return Reflect.apply(lookup, dns, [name, ...args])
      const isAll = Object(args[0]).all === true
      const answer = isAll ? [addresses] : ['127.0.0.1', 4]
      process.nextTick(args.at(-1) as () => void, null, ...answer)
    }
  })
}

const SERVERS: ReadonlyArray<readonly [
  name: string, scheme: string, server: object, isOffered: boolean, extendedConnect?: boolean
]> = [
  ['HTTP/2 without TLS', 'http', H2C, true],
  ['HTTP/2 alone', 'https', H2, true],
  ['both versions, with the option', 'https', BOTH, true, true],
  ['both versions', 'https', BOTH, false]
]

test('both servers of localhost offer what the main one offers', async (t) => {
  const skip = !await hasIpv6() && 'this machine has no ::1'
  for (const [name, scheme, server, isOffered, extendedConnect] of SERVERS) {
    const verb = isOffered ? 'offer' : 'do not offer'
    t.test(`both servers of ${name} ${verb} it, and close`, { skip }, async (t) => {
      resolveBoth(t)
      const fastify = createFastify(t, server)
      fastify.register(fastifyWebsocket, { handle: echo, options: { extendedConnect } })
      await fastify.listen({ port: 0, host: 'localhost' })
      const addresses = fastify.addresses().map((each) => Object(each).address)
      t.same(addresses.sort(), ['127.0.0.1', '::1'])
      const port = portOf(fastify.server)
      const ends = ['127.0.0.1', '[::1]'].map(async (host) => {
        const session = await openSession(t, port, scheme, host)
        t.equal(session.remoteSettings.enableConnectProtocol, isOffered, host)
        const ended = once(session, 'close')
        if (!isOffered) {
          session.close()
          return { ended }
        }
        const stream = ask(session, '/')
        t.equal((await answerTo(stream)).status, 200)
        stream.write(frame(TEXT, 'hello'))
        await readUntil(stream, Buffer.from('hello'))
        return { stream, ended }
      })
      const clients = await Promise.all(ends)
      const closed = fastify.close()
      for (const { stream } of clients) {
        if (stream === undefined) continue
        await readUntil(stream, GOING_AWAY)
        stream.write(frame(0x88, GOING_AWAY))
      }
      await closed
      for (const { ended } of clients) await ended
      t.equal(fastify.websocketServer.clients.size, 0)
      // The ports are free again when the servers have closed.
      for (const host of ['127.0.0.1', '::1']) await untilFree(port, host)
    })
  }
})

test('a server belongs to the application by its listener, until close()', async (t) => {
  const fastify = createFastify(t, H2C)
  fastify.register(fastifyWebsocket, { handle: echo })
  await listen(fastify)
  const [second, stranger, plain] = [createServer(), createServer(() => {}), createTcpServer()]
  // As Fastify does for its own.
  for (const listener of fastify.server.listeners('request')) {
    second.on('request', listener as () => void)
  }
  for (const server of [second, stranger, plain]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => { server.close() })
  }
  const other = await openSession(t, portOf(stranger))
  t.equal(other.remoteSettings.enableConnectProtocol, false)
  t.equal(stranger.listenerCount('connect'), 0)
  const session = await openSession(t, portOf(second))
  const stream = ask(session, '/')
  stream.write(frame(TEXT, 'hello'))
  await readUntil(stream, Buffer.from('hello'))
  t.equal(second.listenerCount('connect'), 1)
  const closed = fastify.close()
  await readUntil(stream, GOING_AWAY)
  stream.write(frame(0x88, GOING_AWAY))
  await Promise.all([once(session, 'close'), closed])
  t.equal(second.listenerCount('connect'), 0)
  t.equal(listening.hasSubscribers, false)
})

test('another application is no second server, even with a listener in common', async (t) => {
  const onRequest = (): void => {}
  const [first, second] = ['first', 'second'].map((name) => {
    const fastify = createFastify(t, H2C)
    fastify.register(fastifyWebsocket, { handle: ({ socket }) => { socket.send(name) } })
    fastify.server.on('request', onRequest)
    return fastify
  }) as [FastifyInstance, FastifyInstance]
  await listen(first)
  await listen(second)
  const session = await openSession(t, portOf(second.server))
  await readUntil(ask(session, '/'), Buffer.from('second'))
  t.equal(second.server.listenerCount('connect'), 1)
})

test('it offers only what the main server offers', async (t) => {
  const fastify = createFastify(t, BOTH)
  fastify.register(fastifyWebsocket, { handle: echo })
  await listen(fastify)
  const second = createServer()
  for (const listener of fastify.server.listeners('request')) {
    second.on('request', listener as () => void)
  }
  second.listen(0, '127.0.0.1')
  await once(second, 'listening')
  t.teardown(() => { second.close() })
  const session = await openSession(t, portOf(second))
  t.equal(session.remoteSettings.enableConnectProtocol, false)
  t.equal(second.listenerCount('connect'), 1)
})

test('an application that never listens, or only over HTTP/1, watches no server', async (t) => {
  for (const options of [H2C, {}]) {
    const fastify = createFastify(t, options)
    const before = fastify.server.listenerCount('listening')
    fastify.register(fastifyWebsocket, { handle: echo })
    await fastify.ready()
    t.equal(listening.hasSubscribers, false)
    await fastify.close()
    t.equal(fastify.server.listenerCount('listening'), before)
  }
})
