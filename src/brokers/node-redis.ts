import { RedisBroker } from './redis-broker'
import type { NodeRedisClient, NodeRedisSubscriber } from './redis-clients'

/**
 * Topics through Redis, with a client of node-redis. When its connection is back, node-redis makes
 * its subscriptions again by itself, all at once.
 */
export class NodeRedisBroker extends RedisBroker<NodeRedisSubscriber> {
  protected readonly client: NodeRedisClient

  constructor (client: NodeRedisClient, prefix: string) {
    super(prefix)
    this.client = client
  }

  protected duplicate (): NodeRedisSubscriber {
    return this.client.duplicate({ disableOfflineQueue: false })
  }

  protected connect (subscriber: NodeRedisSubscriber): void {
    // Not awaited: Redis may be out of reach for a while.
    subscriber.connect().catch(this.report)
  }

  /** Nothing to do: the subscriber is ready only when it has its subscriptions back. */
  protected async resubscribe (): Promise<void> {}

  subscribe (topic: string): unknown {
    return this.subscriber?.subscribe(this.channelOf(topic), this.onMessage, true)
  }

  unsubscribe (topic: string): unknown {
    return this.subscriber?.unsubscribe(this.channelOf(topic), this.onMessage, true)
  }

  protected isConnecting (): boolean {
    return this.client.isOpen && !this.client.isReady
  }

  protected end (subscriber: NodeRedisSubscriber): void {
    subscriber.destroy()
  }
}
