/**
 * Topics through Redis: a channel for each topic, with plain PUBLISH and SUBSCRIBE. The client of
 * the application publishes. A duplicate of the client, made by the broker, subscribes.
 */
import { InvalidOptionError } from '../stream/errors'
import type { TopicBroker } from '../topics/broker'
import { IoredisBroker } from './ioredis'
import { NodeRedisBroker } from './node-redis'
import type { IoredisClient, NodeRedisClient } from './redis-clients'

export type {
  IoredisClient, IoredisSubscriber, NodeRedisClient, NodeRedisSubscriber
} from './redis-clients'

const DEFAULT_PREFIX = 'ws:'

/** Options of {@link redisBroker}. */
export interface RedisBrokerOptions {
  /**
   * A client of ioredis 5 or 6, such as `fastify.redis`, or of node-redis 5 or later. The broker
   * never closes it. It should not keep commands while it is offline, so that a publish then fails:
   * `enableOfflineQueue: false`, or `disableOfflineQueue: true`.
   */
  client: IoredisClient | NodeRedisClient
  /** The channel of a topic is this prefix and the topic. Default: `'ws:'`. */
  prefix?: string
}

/**
 * A broker for the option `broker` of one registration.
 *
 * @throws FST_WS_INVALID_OPTION
 */
export function redisBroker ({ client, prefix = DEFAULT_PREFIX }: RedisBrokerOptions): TopicBroker {
  if (typeof client?.duplicate !== 'function') {
    throw new InvalidOptionError('client', 'a client of ioredis or node-redis', client)
  }
  if (isCluster(client)) throw new InvalidOptionError('client', 'a client of one server', client)
  return 'pSubscribe' in client
    ? new NodeRedisBroker(client, prefix)
    : new IoredisBroker(client, prefix)
}

/** Only clusters of node-redis have `masters`. */
function isCluster (client: object): boolean {
  return Reflect.get(client, 'isCluster') === true || 'masters' in client
}
