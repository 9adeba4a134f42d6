/**
 * The topics of one registration: a hub over subscribers, which knows nothing of WebSockets. A
 * published message reaches the subscribers of this process at once, and those of other processes
 * through a link to a broker, if there is one.
 */
import { TopicCounts } from '../observe/topic-counts'
import type { DeflateSettings } from '../protocol/deflate'
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
  /** The topic has its first subscriber. */
  subscribe (name: string): Promise<void>
  /** The topic has a further subscriber. */
  join (name: string): Promise<void>
  unsubscribe (name: string): void
}

/** Options of a {@link Hub}. */
export interface HubOptions {
  /** Topics that one subscriber may have. Default: 1000. */
  readonly maxSubscriptions?: number
  /** How messages are compressed for subscribers that can share them. Default: they are not. */
  readonly deflate?: DeflateSettings | null
}

/** See the header of this file. */
export class Hub {
  /** Null if there is only this process. */
  #link: HubLink | null = null
  readonly counts = new TopicCounts()
  readonly #topics = new Map<string, Topic>()
  readonly #maxSubscriptions: number
  readonly #deflate: DeflateSettings | null
  /** Messages that are being delivered: one, or more if a subscriber publishes meanwhile. */
  #deliveries = 0

  constructor ({ maxSubscriptions, deflate }: HubOptions = {}) {
    this.#maxSubscriptions = maxSubscriptions ?? DEFAULT_MAX_SUBSCRIPTIONS
    this.#deflate = deflate ?? null
  }

  /** From now on, reaches other processes, also for topics that have subscribers already. */
  linkTo (link: HubLink): void {
    this.#link = link
    for (const name of this.#topics.keys()) link.subscribe(name).catch(() => {})
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
    if (known !== undefined && subscriptions.has(known)) return this.#join(name)
    if (subscriptions.size >= this.#maxSubscriptions) {
      return refuse(new TooManySubscriptionsError(this.#maxSubscriptions))
    }
    subscriber.subscriptions = subscriptions
    this.counts.subscriptions++
    if (known !== undefined) {
      subscriptions.add(known, known.add(subscriber))
      return this.#join(name)
    }
    const topic = new Topic(name, subscriber)
    this.#topics.set(name, topic)
    subscriptions.add(topic, 0)
    return this.#link?.subscribe(name) ?? RESOLVED
  }

  #join (name: string): Promise<void> {
    return this.#link?.join(name) ?? RESOLVED
  }

  /**
   * Ends a subscription. Returns whether there was one.
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
    this.counts.subscriptions--
    if (topic.remove(place, this.#deliveries > 0)) return
    this.#topics.delete(topic.name)
    this.#link?.unsubscribe(topic.name)
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

  /** Whether a topic has subscribers. Any string can be asked for. */
  has (name: string): boolean {
    return this.#topics.has(name)
  }

  /** A topic that has subscribers. Only the name of an unknown topic has to be checked. */
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
    const link = this.#link
    this.counts.published++
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

  /** Whether a message comes after all earlier messages of its publisher on the topic. */
  isNewer (name: string, publisher: string, count: number): boolean {
    return this.#topics.get(name)?.isNewer(publisher, count) === true
  }
}
