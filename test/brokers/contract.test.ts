// One suite for every client library, against real servers: two applications with a broker each.
import { once } from 'node:events'
import { join } from 'node:path'
import t, { test } from 'tap'
import Ioredis from 'ioredis'
import { connect as connectNats } from '@nats-io/transport-node'
import { natsBroker } from '../../src/brokers/nats'
import fastifyWebsocket from '../../src/index'
import {
  BrokerServer, connectBroker, KINDS, startBroker, whySkipBroker, type Kind
} from '../helpers/brokers'
import { createApplication, createTwo, subscribe, succeeds } from '../helpers/broker-applications'
import { connect } from '../helpers/client'
import { ERROR, Logs } from '../helpers/logs'
import { createFastify } from '../helpers/servers'
import { turn } from '../helpers/streams'
import { textsUntil } from '../helpers/topics'

t.setTimeout(120_000)

const NAMES = [
  '>', '*', 'a.b', 'constructor', '__proto__', 'gr\u00fc\u00df %/ \u{1f600}', 'x'.repeat(256)
]

/** Publishes without the plugin, as any program can. */
async function publishForeign (
  kind: Kind, { port }: BrokerServer, topic: string, messages: Buffer[]
): Promise<void> {
  if (kind === 'nats') {
    const connection = await connectNats({ port })
    for (const message of messages) connection.publish(`ws.${topic}`, message)
    await connection.flush()
    await connection.close()
    return
  }
  const client = new Ioredis(port)
  for (const message of messages) await client.publish(`ws:${topic}`, message)
  client.disconnect()
}

for (const kind of KINDS) {
  const skip = whySkipBroker(kind)

  test(`${kind}: messages reach both applications once, in order`, { skip }, async (t) => {
    const { one, two } = await createTwo(t, kind)
    const clients = [await subscribe(t, one, 'room'), await subscribe(t, two, 'room')]
    const other = await subscribe(t, two, 'other')
    for (let i = 0; i < 200; i++) one.fastify.websocketServer.publish('room', `text ${i}`)
    await one.fastify.websocketServer.publish('room', 'end')
    for (const client of clients) {
      const expected = [...Array.from({ length: 200 }, (_, i) => `text ${i}`), 'end']
      t.strictSame(await textsUntil(client, 'end'), expected)
    }
    await two.fastify.websocketServer.publish('room', Buffer.of(0, 255))
    for (const client of clients) {
      t.match(await client.next(), { data: Buffer.of(0, 255), isBinary: true })
    }
    await one.fastify.websocketServer.publish('other', 'for the other')
    t.equal(await other.nextText(), 'for the other')
  })

  test(`${kind}: a name is a name, whatever it means to the server`, { skip }, async (t) => {
    const { one, two } = await createTwo(t, kind)
    const clients = await Promise.all(NAMES.map((name) => subscribe(t, two, name)))
    for (const name of NAMES) await one.fastify.websocketServer.publish(name, name)
    for (const [i, client] of clients.entries()) t.equal(await client.nextText(), NAMES[i])
    await one.fastify.websocketServer.publish('a', 'for no one')
    for (const name of NAMES) await one.fastify.websocketServer.publish(name, 'end')
    for (const client of clients) t.equal(await client.nextText(), 'end')
  })

  test(`${kind}: texts of other programs arrive, and nothing malformed`, { skip }, async (t) => {
    const { server, one } = await createTwo(t, kind)
    const client = await subscribe(t, one, 'room')
    await publishForeign(kind, server, 'room', [
      Buffer.from('hello'), Buffer.of(0xff), Buffer.of(0x80), Buffer.alloc(20, 0xff),
      Buffer.alloc(14, 0xfe), Buffer.from('end')
    ])
    t.strictSame(await textsUntil(client, 'end'), ['hello', 'end'])
  })

  test(`${kind}: after a restart all is there again, and gap comes once`, { skip }, async (t) => {
    const { server, one, two } = await createTwo(t, kind)
    const a = await subscribe(t, one, 'room')
    const b = await subscribe(t, two, 'room')
    await server.kill()
    while (await succeeds(one.fastify.websocketServer.publish('room', 'x'))) await turn()
    one.fastify.websocketServer.publish('room', 'during the outage')
    await server.start()
    while (one.gaps.count === 0 || two.gaps.count === 0) await turn()
    while (!await succeeds(one.fastify.websocketServer.publish('room', 'again'))) await turn()
    await one.fastify.websocketServer.publish('room', 'end')
    const local = await textsUntil(a, 'end')
    t.ok(local.includes('during the outage'), 'subscribers of the process get all')
    t.ok((await textsUntil(b, 'end')).includes('again'))
    t.equal(one.gaps.count, 1)
    t.equal(two.gaps.count, 1)
    const lines = one.logs.lines.filter(({ level }) => level === ERROR)
    t.equal(lines.length, 1, 'the outage is logged once')
  })

  test(`${kind}: subscribed during an outage, there after it`, { skip }, async (t) => {
    const { server, one, two } = await createTwo(t, kind)
    const client = await connect(t, `${one.origin}/?topic=first`)
    t.equal(await client.nextText(), 'subscribed')
    // An application that has never been connected has no gap.
    await subscribe(t, two, 'room')
    const [socket] = one.fastify.websocketServer.clients
    await server.kill()
    while (await succeeds(one.fastify.websocketServer.publish('room', 'x'))) await turn()
    // The promise may fail or wait. The subscription stands.
    socket?.subscribe('late')
    socket?.unsubscribe('first')
    await server.start()
    while (one.gaps.count === 0 || two.gaps.count === 0) await turn()
    await socket?.subscribe('late')
    while (!await succeeds(two.fastify.websocketServer.publish('first', 'not this'))) await turn()
    await two.fastify.websocketServer.publish('late', 'this')
    t.equal(await client.nextText(), 'this')
  })

  test(`${kind}: closed in an outage, the application ends`, { skip }, async (t) => {
    const { server, one } = await createTwo(t, kind)
    await subscribe(t, one, 'room')
    await server.kill()
    await one.fastify.close()
    t.equal(one.fastify.websocketServer.subscriberCount('room'), 0)
  })
}

/** Milliseconds that a server stands still. */
const STANDSTILL = 2000

for (const kind of ['ioredis 6', 'nats'] as const) {
  const skip = whySkipBroker(kind)

  test(`${kind}: a server that stands still for a while loses nothing`, { skip }, async (t) => {
    const { server, one, two } = await createTwo(t, kind)
    const client = await subscribe(t, two, 'room')
    server.signal('SIGSTOP')
    const published = Array.from({ length: 50 }, (_, i) => {
      return one.fastify.websocketServer.publish('room', `text ${i}`)
    })
    // The server stands still for as long as this. A stopped process tells of nothing.
    await new Promise((resolve) => { setTimeout(resolve, STANDSTILL) })
    server.signal('SIGCONT')
    await Promise.all(published)
    await one.fastify.websocketServer.publish('room', 'end')
    t.equal((await textsUntil(client, 'end')).length, 51)
    t.equal(one.gaps.count, 0)
  })
}

for (const kind of KINDS.filter((kind) => kind !== 'nats')) {
  const skip = whySkipBroker(kind)

  test(`${kind}: close leaves neither a connection nor a listener`, { skip }, async (t) => {
    const server = await startBroker(t, kind)
    const admin = new Ioredis(server.port)
    t.teardown(() => admin.disconnect())
    const { fastify, origin } = await createApplication(t, kind, server.port)
    const client = await connect(t, `${origin}/?topic=room`)
    await client.next()
    t.strictSame(await admin.pubsub('CHANNELS'), ['ws:room'])
    t.equal((await clientsOf(admin)).length, 3)
    await fastify.close()
    while ((await clientsOf(admin)).length > 2) await turn()
    t.strictSame(await admin.pubsub('CHANNELS'), [])
  })
}

/** How often all connections of an application break. */
const BREAKS = 10

for (const kind of KINDS.filter((kind) => kind !== 'nats')) {
  const skip = whySkipBroker(kind)

  test(`${kind}: at a gap, the client of the application is ready`, { skip }, async (t) => {
    const server = await startBroker(t, kind)
    const admin = new Ioredis(server.port)
    t.teardown(() => admin.disconnect())
    const application = await createApplication(t, kind, server.port)
    await Promise.all([application.ready, subscribe(t, application, 'room')])
    const { websocketServer } = application.fastify
    for (let i = 0; i < BREAKS; i++) {
      const published = once(websocketServer, 'gap').then(() => websocketServer.publish('a', 'x'))
      await Promise.all(['normal', 'pubsub'].map((type) => {
        return admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
      }))
      await t.resolves(published)
    }
  })
}

async function clientsOf (admin: Ioredis): Promise<string[]> {
  const list = await admin.client('LIST')
  return String(list).trim().split('\n')
}

test('nats: a connection that is closed for good is reported', { skip: whySkipBroker('nats') },
  async (t) => {
    const server = await startBroker(t, 'nats')
    const { broker, end } = await connectBroker('nats', server.port)
    const logs = new Logs()
    const fastify = createFastify(t, { logger: logs.logger })
    await fastify.register(fastifyWebsocket, { broker })
    await fastify.ready()
    await end()
    const line = await logs.find('websocket topics: the broker has failed')
    t.match(line, { level: ERROR, err: { message: /closed for good/ } })
    await t.rejects(fastify.websocketServer.publish('room', 'x'), { code: 'FST_WS_BROKER' })
  })

const PERMISSIONS = `authorization {
  users: [{
    user: app, password: app,
    permissions: { publish: { deny: ["ws.sealed"] }, subscribe: { deny: ["ws.secret"] } }
  }]
}`

test('nats: what the server forbids is told', { skip: whySkipBroker('nats') }, async (t) => {
  const folder = t.testdir({ 'nats.conf': PERMISSIONS })
  const server = new BrokerServer(t, 'nats', ['-c', join(folder, 'nats.conf')])
  await server.start()
  const { port } = server
  const connection = await connectNats({ port, user: 'app', pass: 'app' })
  t.teardown(() => connection.close())
  const reports: string[] = []
  const broker = natsBroker({ connection })
  broker.open(() => {}, ({ message }) => { reports.push(message) }, () => {})
  const subscribe = async (topic: string): Promise<unknown> => broker.subscribe(topic)
  // The server answers to all of them at once.
  await Promise.all([
    t.rejects(subscribe('secret'), { message: /ws.secret/ }),
    t.resolves(subscribe('open')),
    t.resolves(subscribe('sealed'))
  ])
  await t.rejects(subscribe('secret'), { message: /ws.secret/ }, 'asked for again')
  broker.publish('sealed', Buffer.from('x'))
  while (reports.length === 0) await turn()
  t.equal(reports.length, 1, 'what rejects is not reported as well')
  t.match(reports[0], /ws.sealed/)
  await broker.close()
})

test('the server may come late', { skip: whySkipBroker('ioredis 6') }, async (t) => {
  const server = await startBroker(t, 'ioredis 6')
  await server.kill()
  const one = await createApplication(t, 'ioredis 6', server.port)
  const opened = once(one.fastify.websocketServer, 'connection')
  const client = await connect(t, `${one.origin}/?topic=room`)
  await opened
  await server.start()
  t.equal(await client.nextText(), 'subscribed')
  while (!await succeeds(one.fastify.websocketServer.publish('room', 'x'))) await turn()
  t.equal(one.gaps.count, 0)
})
