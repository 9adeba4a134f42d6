// Topics that a real server refuses after it had them, and allows again.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import Ioredis from 'ioredis'
import { connect as connectNats } from '@nats-io/transport-node'
import { natsBroker } from '../../src/brokers/nats'
import { BrokerServer, startBroker, whySkipBroker } from '../helpers/brokers'
import {
  createApplication, serveTopics, subscribe, succeeds, type Application
} from '../helpers/broker-applications'
import { ERROR } from '../helpers/logs'
import { settled } from '../helpers/plugin'
import { turn } from '../helpers/streams'

t.setTimeout(120_000)

/** An application whose broker may have no topic `news` while it is forbidden. */
interface Sealed {
  readonly application: Omit<Application, 'ready'>
  /** How often the connection to the server breaks when the topic is forbidden. */
  readonly outages: number
  forbid (): Promise<unknown>
  allow (): Promise<unknown>
  publish (text: string): Promise<unknown>
}

async function sealRedis (t: Test): Promise<Sealed> {
  const server = await startBroker(t, 'ioredis 6')
  const root = new Ioredis(server.port)
  await root.acl('SETUSER', 'admin', 'on', '>admin', '~*', '+@all', 'allchannels')
  root.disconnect()
  const admin = new Ioredis(server.port, { username: 'admin', password: 'admin' })
  t.teardown(() => admin.disconnect())
  const application = await createApplication(t, 'ioredis 6', server.port)
  await application.ready
  return {
    application,
    outages: 1,
    // Redis also cuts off the clients that have channels they may no longer have.
    forbid: () => admin.acl('SETUSER', 'default', 'resetchannels', '&ws:open'),
    allow: () => admin.acl('SETUSER', 'default', 'allchannels'),
    publish: (text) => admin.publish('ws:news', text)
  }
}

/** @param isRestarted whether the server is started again each time that permissions change */
async function sealNats (t: Test, isRestarted: boolean): Promise<Sealed> {
  const file = join(t.testdir({}), 'nats.conf')
  const write = (denied: string): void => {
    const permissions = `permissions: { subscribe: { deny: [${denied}] } }`
    writeFileSync(file, `authorization { users: [
      { user: app, password: app, ${permissions} }, { user: admin, password: admin }
    ] }`)
  }
  write('"ws.never"')
  const server = new BrokerServer(t, 'nats', ['-c', file])
  await server.start()
  const { port } = server
  const connection = await connectNats({
    port, user: 'app', pass: 'app', maxReconnectAttempts: -1, reconnectTimeWait: 50
  })
  t.teardown(() => connection.close())
  const change = async (denied: string): Promise<void> => {
    write(denied)
    if (!isRestarted) {
      server.signal('SIGHUP')
      return
    }
    await server.kill()
    await server.start()
  }
  return {
    application: await serveTopics(t, natsBroker({ connection })),
    outages: Number(isRestarted),
    forbid: () => change('"ws.news"'),
    allow: () => change('"ws.never"'),
    async publish (text) {
      const admin = await connectNats({ port, user: 'admin', pass: 'admin' })
      admin.publish('ws.news', Buffer.from(text))
      await admin.drain()
    }
  }
}

/** Whether the server has forbidden what was asked for, and not only an outage has failed it. */
async function isForbidden (promise: Promise<unknown>): Promise<boolean> {
  return promise.then(() => false, ({ message }: Error) => /permissions/i.test(message))
}

const CASES = [
  { title: 'ioredis 6', kind: 'ioredis 6', seal: sealRedis },
  { title: 'nats, started again', kind: 'nats', seal: (t: Test) => sealNats(t, true) },
  { title: 'nats, running', kind: 'nats', seal: (t: Test) => sealNats(t, false) }
] as const

for (const { title, kind, seal } of CASES) {
  const skip = whySkipBroker(kind)

  test(`${title}: a topic that was forbidden is back when allowed`, { skip }, async (t) => {
    const { application, outages, forbid, allow, publish } = await seal(t)
    const { fastify, gaps, logs } = application
    const client = await subscribe(t, application, 'news')
    await subscribe(t, application, 'open')
    await publish('before')
    t.equal(await client.nextText(), 'before')
    const [socket] = fastify.websocketServer.clients
    const rejoin = (): Promise<unknown> => settled(socket?.subscribe('news'))
    await forbid()
    while (!await isForbidden(rejoin())) await turn()
    while (gaps.count < outages) await turn()
    t.equal(gaps.count, outages)
    await publish('missed')
    await allow()
    while (!await succeeds(rejoin())) await turn()
    t.ok(gaps.count > outages, 'the application learns that it has missed something')
    await publish('after')
    t.equal(await client.nextText(), 'after')
    const losses = logs.lines.filter(({ msg }) => msg.endsWith('the broker has lost a topic'))
    t.strictSame(losses.map(({ level, topic }) => [level, topic]), [[ERROR, 'news']])
  })
}
