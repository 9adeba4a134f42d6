/**
 * Which topics the broker has been asked for. It gets the calls for one topic one after the other,
 * because two of them at once could take effect in either order. A `subscribe` that has failed is
 * made again, as long as the topic has subscribers.
 *
 * A topic takes no memory here while the broker has what the subscribers of the topic want. Then
 * the broker owns the subscription: it makes the subscription again after an outage, or tells that
 * it is lost (`lose`). Any other topic is owned here: it has one of the states below, and only what
 * this file asks for counts. A client library may make a refused subscription by itself later. It
 * is asked for all the same, because that takes nothing from it.
 *
 * | state     | what is under way   | next, if it is wanted               | next, if it is not |
 * |-----------|---------------------|-------------------------------------|--------------------|
 * | `joining` | `subscribe`         | done, or `waiting` if it has failed | `leaving`          |
 * | `leaving` | `unsubscribe`       | `joining`                           | done               |
 * | `waiting` | the retry delay     | `joining`                           | `leaving`          |
 *
 * A topic that is lost becomes `waiting`. If it is lost while it is `joining`, its `subscribe` has
 * failed, whatever the answer: nothing says which of the two came first.
 *
 * So a client that subscribes and unsubscribes a thousand times while the broker is slow costs the
 * broker two further calls at most.
 *
 * Messages are missed on a topic from its loss, or its refusal, until a `subscribe` has succeeded.
 * Then a gap is announced. When one topic is back, the broker is asked for all other topics at
 * once, and one gap is announced for all of them.
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
  /** Messages may have been missed, and all topics that could be asked for are there again. */
  announceGap (): void
}

/** A topic in one of the states above. */
class UnsettledTopic {
  readonly name: string
  isWanted = true
  /** Whether a call is under way. */
  isBusy = false
  /** Milliseconds, 0 if the last `subscribe` has not failed. */
  retryDelay = 0
  /** Why the topic is lost, if the broker has said so since the last `subscribe`. Or null. */
  loss: Error | null = null
  /** Whether subscribers may have missed messages since the topic was lost or refused. */
  hasMissed = false
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

  /** A `subscribe` has failed. */
  lengthenDelay (): void {
    this.retryDelay = Math.min(Math.max(this.retryDelay * 2, MIN_RETRY_DELAY), MAX_RETRY_DELAY)
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
  /** How many `subscribe` calls are under way for topics that have missed messages. */
  #returning = 0
  /** Whether a gap is announced when these calls have been answered. */
  #isGapDue = false
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

  /**
   * The broker has lost the subscription of a topic that has subscribers, and does not make it
   * again by itself.
   */
  lose (name: string, loss: Error): void {
    const topic = this.#find(name)
    topic.loss = loss
    topic.hasMissed = true
    if (topic.isBusy) return
    this.#stopWaiting(topic)
    topic.retryDelay = 0
    topic.lengthenDelay()
    this.#wait(topic)
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
      this.#ask(topic)
      return
    }
    // A failure counts as done: messages that the broker still brings have no subscriber here.
    const onLeft = (): void => { this.#onLeft(topic) }
    this.#calls.unsubscribe(topic.name).then(onLeft, onLeft)
  }

  #ask (topic: UnsettledTopic): void {
    const { hasMissed } = topic
    if (hasMissed) this.#returning++
    topic.loss = null
    const onAnswer = (): void => {
      if (hasMissed) this.#returning--
      this.#announceGap()
    }
    this.#calls.subscribe(topic.name, topic.retryDelay > 0).then(
      () => {
        this.#onJoined(topic)
        onAnswer()
      },
      (error: unknown) => {
        this.#onRefused(topic, error)
        onAnswer()
      }
    )
  }

  #onJoined (topic: UnsettledTopic): void {
    if (topic.loss !== null) {
      this.#onRefused(topic, topic.loss)
      return
    }
    topic.isBusy = false
    topic.retryDelay = 0
    topic.resolve()
    if (!topic.isWanted) {
      this.#work(topic)
      return
    }
    this.#unsettled.delete(topic.name)
    if (topic.hasMissed) this.#onReturned()
  }

  #onRefused (topic: UnsettledTopic, error: unknown): void {
    topic.isBusy = false
    topic.hasMissed = true
    topic.lengthenDelay()
    topic.reject(error)
    // If it is no longer wanted, `unsubscribe` is called all the same: some client libraries carry
    // out a failed `subscribe` when they are connected again.
    if (topic.isWanted) this.#wait(topic)
    else this.#work(topic)
  }

  #onLeft (topic: UnsettledTopic): void {
    topic.isBusy = false
    // All who have missed messages are gone.
    topic.hasMissed = false
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

  /**
   * The broker works again, after messages may have been lost. Asks at once for all topics that
   * wait for their retry. A topic that the broker has just lost is not among them: the broker has
   * tried to make its subscription again, and was refused.
   */
  onGap (): void {
    this.#isGapDue = true
    for (const topic of [...this.#unsettled.values()]) {
      if (topic.loss !== null) continue
      topic.retryDelay = 0
      if (topic.timer !== null) this.#work(topic)
    }
    this.#announceGap()
  }

  /** A topic that has missed messages is there again. Other topics may have come back as well. */
  #onReturned (): void {
    // If a gap is due already, the broker is being asked for them. No topic is asked for twice.
    if (this.#isGapDue) return
    this.#isGapDue = true
    for (const topic of [...this.#unsettled.values()]) {
      if (topic.timer !== null) this.#work(topic)
    }
  }

  #announceGap (): void {
    if (!this.#isGapDue || this.#returning > 0) return
    this.#isGapDue = false
    this.#calls.announceGap()
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
