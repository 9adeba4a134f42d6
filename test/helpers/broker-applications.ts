import type { FastifyInstance } from 'fastify'
import fastifyWebsocket from '../../src/index'
import type { TopicBroker } from '../../src/topics/broker'
import { connectBroker, startBroker, type Kind } from './brokers'
import { connect, type Client } from './client'
import { Logs } from './logs'
import { createFastify, listen, type Teardown } from './servers'

/** An application on a broker. */
export interface Application {
  readonly fastify: FastifyInstance
  readonly origin: string
  readonly logs: Logs
  /** How often it has said that messages may be missing. */
  readonly gaps: { count: number }
  /** Resolves when it can publish. */
  readonly ready: Promise<unknown>
}

/** An application whose broker is a server on a port of 127.0.0.1. */
export async function createApplication (
  t: Teardown, kind: Kind, port: number
): Promise<Application> {
  const { broker, ready, end } = await connectBroker(kind, port)
  t.teardown(end)
  return { ...await serveTopics(t, broker), ready }
}

/** An application whose clients choose their topic. */
export async function serveTopics (
  t: Teardown, broker: TopicBroker
): Promise<Omit<Application, 'ready'>> {
  const logs = new Logs()
  const fastify = createFastify(t, { logger: logs.logger })
  await fastify.register(fastifyWebsocket, { broker })
  const gaps = { count: 0 }
  fastify.websocketServer.on('gap', () => { gaps.count++ })
  fastify.get<{ Querystring: { topic: string } }>(
    '/', { websocket: true }, async ({ socket }, req, { query: { topic } }) => {
      await socket.subscribe(topic)
      socket.send('subscribed')
    })
  return { fastify, origin: await listen(fastify), logs, gaps }
}

/** A client that is subscribed. */
export async function subscribe (
  t: Teardown, { origin }: Pick<Application, 'origin'>, topic: string
): Promise<Client> {
  const client = await connect(t, `${origin}/?topic=${encodeURIComponent(topic)}`)
  await client.next()
  return client
}

/** A server, and two applications with it that can publish. */
export async function createTwo (t: Teardown, kind: Kind) {
  const server = await startBroker(t, kind)
  const one = await createApplication(t, kind, server.port)
  const two = await createApplication(t, kind, server.port)
  await Promise.all([one.ready, two.ready])
  return { server, one, two }
}

/** Whether a publish succeeds. */
export async function succeeds (promise: Promise<unknown>): Promise<boolean> {
  return promise.then(() => true, () => false)
}
