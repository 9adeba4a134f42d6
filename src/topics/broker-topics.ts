/**
 * Which topics the broker has been asked for. It gets the calls for one topic one after the other,
 * because two of them at once could take effect in either order. A `subscribe` that has failed is
 * made again, as long as the topic has subscribers.
 *
 * A topic takes no memory here while the broker has what the subscribers of the topic want. Any
 * other topic has one of these states:
 *
 * | state     | what is under way   | next, if it is wanted               | next, if it is not |
 * |-----------|---------------------|-------------------------------------|--------------------|
 * | `joining` | `subscribe`         | done, or `waiting` if it has failed | `leaving`          |
 * | `leaving` | `unsubscribe`       | `joining`                           | done               |
 * | `waiting` | the retry delay     | `joining`                           | `leaving`          |
 *
 * So a client that subscribes and unsubscribes a thousand times while the broker is slow costs the
 * broker two further calls at most.
 */
import { BrokerError } from './errors'
import { RESOLVED, unheard } from './promises'

/** Milliseconds until the first retry, at least. Each further delay is twice as long. */
export const MIN_RETRY_DELAY = 1000

/** Milliseconds that a retry delay grows to. */
export const MAX_RETRY_DELAY = 30_000

/** The calls to a broker, which reject if it fails. */
export interface TopicCalls {
  /** @param isRetry whether the last `subscribe` for this topic has failed */
  subscribe (name: string, isRetry: boolean): Promise<void>
  unsubscribe (name: string): Promise<void>
}

/** A topic in one of the states above. */
class UnsettledTopic {
  readonly name: string
  isWanted = true
  /** Whether a call is under way. */
  isBusy = false
  /** Milliseconds, 0 if the last `subscribe` has not failed. */
  retryDelay = 0
  /** Null if it is not `waiting`. */
  timer: NodeJS.Timeout | null = null
  #joined: Promise<void> | null = null
  #resolve = (): void => {}
  #reject: (error: unknown) => void = this.#resolve

  constructor (name: string) {
    this.name = name
  }

  /** Settles with the `subscribe` that is under way, or with the next one. */
  get joined (): Promise<void> {
    this.#joined ??= unheard(new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    }))
    return this.#joined
  }

  resolve (): void {
    this.#joined = null
    this.#resolve()
  }

  reject (error: unknown): void {
    this.#joined = null
    this.#reject(error)
  }
}

/** See the header of this file. */
export class BrokerTopics {
  readonly #calls: TopicCalls
  readonly #unsettled = new Map<string, UnsettledTopic>()
  #isClosed = false

  constructor (calls: TopicCalls) {
    this.#calls = calls
  }

  /**
   * The topic has its first subscriber. The promise resolves when the broker has the topic, rejects
   * if it has refused it, and need not be awaited.
   */
  subscribe (name: string): Promise<void> {
    const topic = this.#find(name)
    const { joined } = topic
    topic.isWanted = true
    this.#work(topic)
    return joined
  }

  /** The same for a further subscriber. A retry that waits is made at once. */
  join (name: string): Promise<void> {
    return this.#unsettled.has(name) ? this.subscribe(name) : RESOLVED
  }

  /** The topic has lost its last subscriber. */
  unsubscribe (name: string): void {
    const topic = this.#find(name)
    topic.isWanted = false
    this.#work(topic)
  }

  #find (name: string): UnsettledTopic {
    const known = this.#unsettled.get(name)
    if (known !== undefined) return known
    const topic = new UnsettledTopic(name)
    this.#unsettled.set(name, topic)
    return topic
  }

  /** Makes the next call for a topic. */
  #work (topic: UnsettledTopic): void {
    if (topic.isBusy) return
    this.#stopWaiting(topic)
    topic.isBusy = true
    if (topic.isWanted) {
      this.#calls.subscribe(topic.name, topic.retryDelay > 0).then(
        () => { this.#onJoined(topic) },
        (error: unknown) => { this.#onRefused(topic, error) }
      )
      return
    }
    // A failure counts as done: messages that the broker still brings have no subscriber here.
    const onLeft = (): void => { this.#onLeft(topic) }
    this.#calls.unsubscribe(topic.name).then(onLeft, onLeft)
  }

  #onJoined (topic: UnsettledTopic): void {
    topic.isBusy = false
    topic.retryDelay = 0
    topic.resolve()
    if (topic.isWanted) this.#unsettled.delete(topic.name)
    else this.#work(topic)
  }

  #onRefused (topic: UnsettledTopic, error: unknown): void {
    topic.isBusy = false
    topic.retryDelay = Math.min(Math.max(topic.retryDelay * 2, MIN_RETRY_DELAY), MAX_RETRY_DELAY)
    topic.reject(error)
    // If it is no longer wanted, `unsubscribe` is called all the same: some client libraries carry
    // out a failed `subscribe` when they are connected again.
    if (topic.isWanted) this.#wait(topic)
    else this.#work(topic)
  }

  #onLeft (topic: UnsettledTopic): void {
    topic.isBusy = false
    if (topic.isWanted) {
      this.#work(topic)
      return
    }
    // A subscriber may have come and left meanwhile, and wait for this promise.
    topic.resolve()
    this.#unsettled.delete(topic.name)
  }

  // --- Retries ---

  #wait (topic: UnsettledTopic): void {
    if (this.#isClosed) return
    // At random, so that neither all topics nor all processes ask at the same time.
    const delay = topic.retryDelay * (1 + Math.random())
    topic.timer = setTimeout(() => { this.#work(topic) }, delay).unref()
  }

  #stopWaiting (topic: UnsettledTopic): void {
    if (topic.timer !== null) clearTimeout(topic.timer)
    topic.timer = null
  }

  /** The broker works again: asks at once for all topics that wait for their retry. */
  retry (): void {
    for (const topic of [...this.#unsettled.values()]) {
      topic.retryDelay = 0
      if (topic.timer !== null) this.#work(topic)
    }
  }

  /** Makes no more retries, and rejects all promises that still wait. */
  close (): void {
    this.#isClosed = true
    for (const topic of this.#unsettled.values()) {
      this.#stopWaiting(topic)
      topic.reject(new BrokerError('it is closed'))
    }
  }
}
