// The broker of an example: Redis or NATS, if the environment says where, or none.
import type { TopicBroker } from 'fastify-websocket'

/** A broker, and what closes its client. */
interface Connected {
  readonly broker: TopicBroker
  readonly close: () => unknown
}

/** By `REDIS_URL` or `NATS_URL`; undefined without them. */
export async function connectBroker (
  { REDIS_URL, NATS_URL } = process.env
): Promise<Connected | undefined> {
  if (REDIS_URL !== undefined) {
    const { Redis } = await import('ioredis')
    const { redisBroker } = await import('fastify-websocket/redis')
    const client = new Redis(REDIS_URL, { enableOfflineQueue: false })
    return { broker: redisBroker({ client }), close: () => client.disconnect() }
  }
  if (NATS_URL !== undefined) {
    const { connect } = await import('@nats-io/transport-node')
    const { natsBroker } = await import('fastify-websocket/nats')
    const connection = await connect({ servers: NATS_URL, maxReconnectAttempts: -1 })
    return { broker: natsBroker({ connection }), close: () => connection.close() }
  }
  return undefined
}
