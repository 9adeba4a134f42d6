/**
 * The subscriptions of a hub. A topic has a list of its subscribers. A subscriber has a list of its
 * topics, with its place in the list of each topic. So a subscription costs two pointers and a
 * number, and ends without a search in the list of a topic, which may be long.
 */
import type { TopicMessage } from './message'

/**
 * Publishers whose counts are remembered for a topic. A process has a new name each time that it
 * starts, so without a limit the counts of a topic that lives for years would grow.
 */
const MAX_PUBLISHERS = 1024

/** Gets the messages of topics. */
export interface Subscriber {
  /** Null until the first subscription. Only the hub changes it. */
  subscriptions: Subscriptions | null
  /** Sends a message. Never throws. */
  deliver (message: TopicMessage): void
}

/** The topics of a subscriber. */
export class Subscriptions {
  readonly #topics: Topic[] = []
  /** For each of the topics, the place of the subscriber in it. */
  readonly #places: number[] = []
  /** Messages that wait because the last frame of the subscriber was a fragment. */
  #held: TopicMessage[] | null = null
  #heldBytes = 0

  get size (): number {
    return this.#topics.length
  }

  get names (): string[] {
    return this.#topics.map(({ name }) => name)
  }

  has (topic: Topic): boolean {
    return this.#topics.includes(topic)
  }

  add (topic: Topic, place: number): void {
    this.#topics.push(topic)
    this.#places.push(place)
  }

  /** The subscriber has another place in a topic now. */
  move (topic: Topic, place: number): void {
    this.#places[this.#topics.indexOf(topic)] = place
  }

  /** Bytes of the messages that are held. */
  get heldBytes (): number {
    return this.#heldBytes
  }

  /** Keeps a message that cannot be sent now. */
  hold (message: TopicMessage): void {
    this.#held ??= []
    this.#held.push(message)
    this.#heldBytes += message.frame.length
  }

  /** Returns the messages that were held and forgets them; null if there are none. */
  release (): TopicMessage[] | null {
    const held = this.#held
    this.#held = null
    this.#heldBytes = 0
    return held
  }

  /** Removes a topic and returns the place of the subscriber in it, or undefined. */
  remove (topic: Topic): number | undefined {
    const index = this.#topics.indexOf(topic)
    if (index < 0) return undefined
    this.#topics.splice(index, 1)
    const [place] = this.#places.splice(index, 1)
    return place
  }

  /** Removes the topic that was added last, and returns it with the place, or undefined. */
  pop (): [topic: Topic, place: number] | undefined {
    const topic = this.#topics.pop()
    const place = this.#places.pop()
    return topic === undefined || place === undefined ? undefined : [topic, place]
  }
}

/** A topic that has subscribers. */
export class Topic {
  readonly name: string
  /** The only subscriber, or a list: in some applications most topics have only one. */
  #subscribers: Subscriber | Subscriber[]
  /** The count of the last message of each publisher in another process. */
  #counts: Map<string, number> | null = null

  constructor (name: string, first: Subscriber) {
    this.name = name
    this.#subscribers = first
  }

  get size (): number {
    return Array.isArray(this.#subscribers) ? this.#subscribers.length : 1
  }

  /** Adds another subscriber and returns its place. */
  add (subscriber: Subscriber): number {
    if (Array.isArray(this.#subscribers)) return this.#subscribers.push(subscriber) - 1
    this.#subscribers = [this.#subscribers, subscriber]
    return 1
  }

  /**
   * Removes the subscriber at a place, which the last subscriber gets then. Returns whether the
   * topic still has subscribers.
   *
   * @param isRead whether a message is being delivered: its list of subscribers must not change
   */
  remove (place: number, isRead: boolean): boolean {
    if (!Array.isArray(this.#subscribers)) return false
    const subscribers = isRead ? [...this.#subscribers] : this.#subscribers
    this.#subscribers = subscribers
    const last = subscribers.pop()
    if (last !== undefined && place < subscribers.length) {
      subscribers[place] = last
      last.subscriptions?.move(this, place)
    }
    return subscribers.length > 0
  }

  /** Delivers to all present subscribers but `except`. */
  deliver (message: TopicMessage, except: Subscriber | null): void {
    if (!Array.isArray(this.#subscribers)) {
      if (this.#subscribers !== except) this.#subscribers.deliver(message)
      return
    }
    const subscribers = this.#subscribers
    // Subscribers that are added meanwhile come after these, and do not get the message.
    const count = subscribers.length
    for (let i = 0; i < count; i++) {
      const subscriber = subscribers[i]
      if (subscriber !== except) subscriber?.deliver(message)
    }
  }

  /** Whether a message is newer than all before it from its publisher. If so, its count is kept. */
  isNewer (publisher: string, count: number): boolean {
    this.#counts ??= new Map()
    const last = this.#counts.get(publisher)
    if (last !== undefined && count <= last) return false
    if (this.#counts.size > MAX_PUBLISHERS) this.#counts.clear()
    this.#counts.set(publisher, count)
    return true
  }
}
