/**
 * The topics of one registration: a hub over subscribers, which knows nothing of WebSockets. What
 * is published reaches the subscribers of this process at once, and those of other processes
 * through a link to a broker, if there is one.
 */
import type { SharedDeflate } from '../protocol/deflate'
import { TooManySubscriptionsError } from './errors'
import { TopicMessage, type TopicData } from './message'
import { checkName } from './name'
import { refuse, RESOLVED } from './promises'
import { Subscriptions, Topic, type Subscriber } from './subscriptions'

/** Topics that a connection may be subscribed to, unless an option says otherwise. */
export const DEFAULT_MAX_SUBSCRIPTIONS = 1000

/** How a message is published. */
export interface PublishOptions {
  /**
   * Leaves the message out for each subscriber that has more than `highWaterMark` unsent. Default:
   * `false`.
   */
  volatile?: boolean | undefined
}

/** The way to the other processes. Its promises need not be awaited: each has a `catch`. */
export interface HubLink {
  publish (name: string, message: TopicMessage): Promise<void>
  subscribe (name: string): Promise<void>
  unsubscribe (name: string): void
}

/** What a hub is made with. */
export interface HubOptions {
  /** Topics that one subscriber may have. Default: 1000. */
  readonly maxSubscriptions?: number
  /** How messages are compressed for subscribers that can share them. Default: they are not. */
  readonly deflate?: SharedDeflate | null
}

/** See the header of this file. */
export class Hub {
  /** Null if there is only this process. */
  link: HubLink | null = null
  readonly #topics = new Map<string, Topic>()
  readonly #maxSubscriptions: number
  readonly #deflate: SharedDeflate | null
  /** Messages that are being delivered: one, or more if a subscriber publishes meanwhile. */
  #deliveries = 0

  constructor ({ maxSubscriptions, deflate }: HubOptions = {}) {
    this.#maxSubscriptions = maxSubscriptions ?? DEFAULT_MAX_SUBSCRIPTIONS
    this.#deflate = deflate ?? null
  }

  // --- Subscribers ---

  /**
   * Subscribes: in this process at once. The promise resolves when the broker has the topic, and
   * rejects with FST_WS_TOO_MANY_SUBSCRIPTIONS or FST_WS_BROKER.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  subscribe (subscriber: Subscriber, name: string): Promise<void> {
    const known = this.#find(name)
    const subscriptions = subscriber.subscriptions ?? new Subscriptions()
    if (known !== undefined && subscriptions.has(known)) return this.#join(known)
    if (subscriptions.size >= this.#maxSubscriptions) {
      return refuse(new TooManySubscriptionsError(this.#maxSubscriptions))
    }
    subscriber.subscriptions = subscriptions
    const topic = known ?? this.#create(name, subscriber)
    subscriptions.add(topic, known === undefined ? 0 : known.add(subscriber))
    return this.#join(topic)
  }

  #create (name: string, first: Subscriber): Topic {
    const topic = new Topic(name, first)
    this.#topics.set(name, topic)
    return topic
  }

  #join (topic: Topic): Promise<void> {
    if (this.link === null) return RESOLVED
    if (topic.joined !== null) return topic.joined
    const joined = this.link.subscribe(topic.name)
    topic.joined = joined
    // A settled promise is a waste of memory, and a failed one is not an answer to the next.
    joined.then(() => { topic.joined = RESOLVED }, () => { topic.joined = null })
    return joined
  }

  /**
   * Whether there was a subscription.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  unsubscribe (subscriber: Subscriber, name: string): boolean {
    const topic = this.#find(name)
    const place = topic && subscriber.subscriptions?.remove(topic)
    if (topic === undefined || place === undefined) return false
    this.#remove(topic, place)
    return true
  }

  /** Ends all subscriptions of a subscriber. */
  leave (subscriber: Subscriber): void {
    const { subscriptions } = subscriber
    if (subscriptions === null) return
    subscriptions.release()
    for (let last = subscriptions.pop(); last !== undefined; last = subscriptions.pop()) {
      this.#remove(...last)
    }
  }

  #remove (topic: Topic, place: number): void {
    if (topic.remove(place, this.#deliveries > 0)) return
    this.#topics.delete(topic.name)
    this.link?.unsubscribe(topic.name)
  }

  /** @throws FST_WS_INVALID_TOPIC */
  isSubscribed (subscriber: Subscriber, name: string): boolean {
    const topic = this.#find(name)
    return topic !== undefined && subscriber.subscriptions?.has(topic) === true
  }

  /**
   * How many subscribers a topic has in this process.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  subscriberCount (name: string): number {
    return this.#find(name)?.size ?? 0
  }

  /** A topic that has subscribers. A name that is known needs no check. */
  #find (name: string): Topic | undefined {
    const topic = this.#topics.get(name)
    if (topic === undefined) checkName(name)
    return topic
  }

  // --- Messages ---

  /**
   * Publishes to all subscribers but one: to those of this process at once. The promise resolves
   * when the broker has the message, and rejects with FST_WS_BROKER.
   *
   * @throws FST_WS_INVALID_TOPIC
   */
  publish (
    name: string, data: TopicData, options: PublishOptions | undefined, except: Subscriber | null
  ): Promise<void> {
    const topic = this.#find(name)
    const { link } = this
    if (topic === undefined && link === null) return RESOLVED
    const message = this.#toMessage(data, typeof data === 'string', options?.volatile === true)
    if (topic !== undefined) this.#deliver(topic, message, except)
    return link === null ? RESOLVED : link.publish(name, message)
  }

  #toMessage (data: TopicData, isText: boolean, isVolatile: boolean): TopicMessage {
    return new TopicMessage(data, isText, isVolatile, this.#deflate)
  }

  #deliver (topic: Topic, message: TopicMessage, except: Subscriber | null): void {
    this.#deliveries++
    try {
      topic.deliver(message, except)
    } finally {
      this.#deliveries--
    }
  }

  /** Delivers a message that another process has published. */
  receive (name: string, payload: Uint8Array, isText: boolean, isVolatile: boolean): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    this.#deliver(topic, this.#toMessage(payload, isText, isVolatile), null)
  }

  /** Whether a message of another process comes after all that it has published on the topic. */
  isNewer (name: string, publisher: string, count: number): boolean {
    return this.#topics.get(name)?.isNewer(publisher, count) === true
  }
}
