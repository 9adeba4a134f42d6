/** What a WebSocket can do with topics: subscribe to them, and publish to other subscribers. */
import { WebSocket } from 'ws'
import type { PublishOptions } from '../topics/hub'
import type { TopicData } from '../topics/message'
import { refuse } from '../topics/promises'
import { InvalidChunkError, NotOpenError } from './errors'
import type { StreamSettings } from './settings'
import { kOutbox, kSettings } from './symbols'
import type { TopicOutbox } from './topic-outbox'

/** See the header of this file. */
export abstract class TopicSocket extends WebSocket {
  abstract readonly [kSettings]: StreamSettings
  abstract readonly [kOutbox]: TopicOutbox

  /** The topics that this connection is subscribed to. */
  get subscriptions (): string[] {
    return this[kOutbox].subscriptions?.names ?? []
  }

  /**
   * Subscribes this connection to a topic, in this process at once. The promise resolves when the
   * broker has the topic as well; without a broker, at once. It need not be awaited, and rejects
   * with FST_WS_NOT_OPEN, FST_WS_TOO_MANY_SUBSCRIPTIONS or FST_WS_BROKER.
   *
   * @param topic 1 to 256 characters
   * @throws FST_WS_INVALID_TOPIC
   */
  subscribe (topic: string): Promise<void> {
    const { topics } = this[kSettings]
    // `isSubscribed` checks the name.
    if (!topics.isSubscribed(this[kOutbox], topic) && this.readyState !== this.OPEN) {
      return refuse(new NotOpenError())
    }
    return topics.subscribe(this[kOutbox], topic)
  }

  /**
   * Ends a subscription. Returns whether there was one. The end of the connection ends all of them.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  unsubscribe (topic: string): boolean {
    return this[kSettings].topics.unsubscribe(this[kOutbox], topic)
  }

  /** @throws FST_WS_INVALID_TOPIC */
  isSubscribed (topic: string): boolean {
    return this[kSettings].topics.isSubscribed(this[kOutbox], topic)
  }

  /**
   * Publishes to all subscribers of a topic but this connection, which need not be subscribed, or
   * open. A string becomes a text message, bytes a binary one. Subscribers of this process get the
   * message at once. The promise resolves when the broker has it, rejects with FST_WS_BROKER, and
   * need not be awaited.
   *
   * @throws FST_WS_INVALID_TOPIC, FST_WS_INVALID_CHUNK
   */
  publish (topic: string, data: TopicData, options?: PublishOptions): Promise<void> {
    return this[kSettings].topics.publish(topic, checkData(data), options, this[kOutbox])
  }

  /** The connection has ended. */
  protected leaveTopics (): void {
    this[kSettings].topics.leave(this[kOutbox])
  }
}

/** @throws FST_WS_INVALID_CHUNK */
export function checkData (data: unknown): TopicData {
  if (typeof data === 'string' || data instanceof Uint8Array) return data
  throw new InvalidChunkError(typeof data)
}
