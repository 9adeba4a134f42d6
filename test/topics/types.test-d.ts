// Checked by the compiler alone: what is wrong here does not compile.
import { connect } from '@nats-io/transport-node'
import Fastify from 'fastify'
import Ioredis, { type Cluster } from 'ioredis'
import { createClient } from 'redis'
import { natsBroker } from '../../src/brokers/nats'
import { redisBroker } from '../../src/brokers/redis'
import fastifyWebsocket, {
  type PublishOptions, type StreamSocket, type TopicBroker, type WebSocketStreamServer
} from '../../src/index'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles only if it is given the type `true`. */
function assertType<T extends true> (..._values: T[]): void {}

// --- A connection ---

declare const socket: StreamSocket

assertType<Equal<ReturnType<typeof socket.subscribe>, Promise<void>>>()
assertType<Equal<ReturnType<typeof socket.unsubscribe>, boolean>>()
assertType<Equal<ReturnType<typeof socket.isSubscribed>, boolean>>()
assertType<Equal<typeof socket.subscriptions, string[]>>()
assertType<Equal<ReturnType<typeof socket.publish>, Promise<void>>>()

socket.publish('topic', 'text')
socket.publish('topic', Buffer.from('bytes'), { volatile: true })
socket.publish('topic', new Uint8Array(1), {})
// @ts-expect-error: a topic is a string
socket.subscribe(1)
// @ts-expect-error: there is no topic
socket.unsubscribe()
// @ts-expect-error: a value is to be serialized first
socket.publish('topic', { n: 1 })
// @ts-expect-error: as any bytes, in a Uint8Array
socket.publish('topic', new ArrayBuffer(1))
// @ts-expect-error: no such option
socket.publish('topic', 'text', { compress: true })
// @ts-expect-error: a list that cannot be replaced
socket.subscriptions = []

// --- The server ---

const fastify = Fastify()
const server: WebSocketStreamServer = fastify.websocketServer

assertType<Equal<ReturnType<typeof server.publish>, Promise<void>>>()
assertType<Equal<ReturnType<typeof server.subscriberCount>, number>>()
assertType<Equal<PublishOptions['volatile'], boolean | undefined>>()

server.on('gap', () => {})
server.publish('topic', 'text', { volatile: false })
// @ts-expect-error: a server does not subscribe
server.subscribe('topic')

fastify.get('/', { websocket: true }, async (connection) => {
  await connection.socket.subscribe('topic')
  connection.socket.publish('topic', connection.serialize({ n: 1 }))
})

// --- Brokers ---

const ioredis = new Ioredis()
const nodeRedis = createClient()

fastify.register(fastifyWebsocket, { broker: redisBroker({ client: ioredis }) })
fastify.register(fastifyWebsocket, { broker: redisBroker({ client: nodeRedis, prefix: 'a:' }) })
fastify.register(fastifyWebsocket, { maxSubscriptions: 10 })
// @ts-expect-error: an integer
fastify.register(fastifyWebsocket, { maxSubscriptions: '10' })
// @ts-expect-error: a broker, and not its client
fastify.register(fastifyWebsocket, { broker: ioredis })
// @ts-expect-error: there is no client
redisBroker({})
// @ts-expect-error: a client, and not its address
redisBroker({ client: 'redis://127.0.0.1' })

declare const cluster: Cluster

// @ts-expect-error: a cluster is not supported
redisBroker({ client: cluster })

async function useNats (): Promise<TopicBroker> {
  const connection = await connect()
  // @ts-expect-error: no such option
  natsBroker({ connection, subject: 'a' })
  // @ts-expect-error: the connection itself, and not a promise of it
  natsBroker({ connection: connect() })
  return natsBroker({ connection, prefix: 'a.' })
}

class OwnBroker implements TopicBroker {
  open (
    receive: (topic: string, bytes: Uint8Array) => void, report: (error: Error) => void,
    gap: () => void
  ): void {
    receive('topic', new Uint8Array())
    report(new Error('out of reach'))
    gap()
  }

  async publish (topic: string, bytes: Uint8Array): Promise<void> {
    assertType<Equal<typeof topic, string>>()
    assertType<Equal<typeof bytes, Uint8Array>>()
  }

  subscribe (topic: string): boolean { return topic !== '' }

  unsubscribe (): void {}

  close (): void {}
}

fastify.register(fastifyWebsocket, { broker: new OwnBroker() })

class LosingBroker extends OwnBroker {
  override open (
    receive: (topic: string, bytes: Uint8Array) => void,
    report: (error: Error, lost?: string) => void
  ): void {
    receive('topic', new Uint8Array())
    report(new Error('forbidden'), 'topic')
  }
}

fastify.register(fastifyWebsocket, { broker: new LosingBroker() })

// @ts-expect-error: without `unsubscribe` and `close`
fastify.register(fastifyWebsocket, { broker: { open () {}, publish () {}, subscribe () {} } })
useNats()
