// The order of what a broker is asked for, against real servers: the last word counts. And a server
// that is started again before the application is ready.
import t, { test } from 'tap'
import fastifyWebsocket from '../../src/index'
import {
  createApplication, createTwo, subscribe, succeeds, type Application
} from '../helpers/broker-applications'
import { connectBroker, KINDS, startBroker, whySkipBroker } from '../helpers/brokers'
import type { Client } from '../helpers/client'
import { createFastify } from '../helpers/servers'
import { turn } from '../helpers/streams'

t.setTimeout(120_000)

for (const kind of KINDS) {
  const skip = whySkipBroker(kind)

  test(`${kind}: the last word on a topic counts, also in an outage`, { skip }, async (t) => {
    const { server, one, two } = await createTwo(t, kind)
    const client = await subscribe(t, one, 'first')
    await subscribe(t, two, 'room')
    const [socket] = one.fastify.websocketServer.clients
    const changeMind = async (): Promise<void> => {
      for (let i = 0; i < 10; i++) {
        socket?.subscribe('topic')
        if (i % 2 > 0) await turn()
        socket?.unsubscribe('topic')
        if (i % 3 > 0) await turn()
      }
    }
    await changeMind()
    await socket?.subscribe('topic')
    t.equal(await nextFrom(two, client, 'topic'), 'message')
    await server.kill()
    while (await succeeds(one.fastify.websocketServer.publish('room', 'x'))) await turn()
    await changeMind()
    socket?.subscribe('topic')
    await server.start()
    while (one.gaps.count === 0 || two.gaps.count === 0) await turn()
    await changeMind()
    await socket?.subscribe('topic')
    t.equal(await nextFrom(two, client, 'topic'), 'message')
  })

  test(`${kind}: a server that restarts before the application is ready`, { skip }, async (t) => {
    const server = await startBroker(t, kind)
    const { broker, end } = await connectBroker(kind, server.port)
    t.teardown(end)
    const fastify = createFastify(t)
    await fastify.register(fastifyWebsocket, { broker })
    fastify.get('/', { websocket: true }, async ({ socket }) => {
      // That of NATS rejects while the connection is lost.
      while (!await succeeds(socket.subscribe('topic'))) await turn()
      socket.send('subscribed')
    })
    await server.kill()
    const ready = fastify.ready()
    await server.start()
    await ready
    const other = await createApplication(t, kind, server.port)
    const client = await fastify.injectWS('/')
    const texts: string[] = []
    client.on('message', (message) => { texts.push(String(message)) })
    while (texts.length === 0) await turn()
    // Clients of Redis refuse to publish until they are connected.
    while (!await succeeds(other.fastify.websocketServer.publish('topic', 'here'))) await turn()
    while (texts.length === 1) await turn()
    t.strictSame(texts, ['subscribed', 'here'])
    client.terminate()
  })
}

/** What a client gets next when another application publishes on a topic. */
async function nextFrom (
  { fastify: { websocketServer: server } }: Application, client: Client, topic: string
): Promise<string> {
  while (!await succeeds(server.publish(topic, 'message'))) await turn()
  return client.nextText()
}
