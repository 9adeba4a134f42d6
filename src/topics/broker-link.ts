/**
 * The link of a hub to its broker. Here messages get their envelopes, and here every failure of a
 * broker ends: in the log, and in the promise of the call that has failed.
 *
 * | state    | from             | publish, subscribe                  | messages that come |
 * |----------|------------------|-------------------------------------|--------------------|
 * | `unopen` | the registration | stay in this process: the hub does  | none               |
 * |          |                  | not have the link yet               |                    |
 * | `open`   | `open()`         | go to the broker                    | go to the hub      |
 * | `closed` | `close()`        | reject                              | are dropped        |
 */
import { logError, type ErrorLog } from '../observe/log'
import { toError } from '../observe/thrown'
import type { TopicBroker } from './broker'
import { BrokerTopics } from './broker-topics'
import { Publisher, unwrap, type Received } from './envelope'
import { BrokerError, ForeignMessageError } from './errors'
import type { Hub, HubLink } from './hub'
import type { TopicMessage } from './message'

/** The brokers of links that are open. Two links would get the messages of each other. */
const taken = new WeakSet<TopicBroker>()

/** See the header of this file. */
export class BrokerLink implements HubLink {
  readonly #hub: Hub
  readonly #broker: TopicBroker
  readonly #log: ErrorLog
  readonly #tellOfGap: () => void
  readonly #publisher = new Publisher()
  readonly #topics = new BrokerTopics({
    subscribe: (name, isRetry) => this.#ask(() => this.#broker.subscribe(name), isRetry),
    unsubscribe: (name) => this.#call(() => this.#broker.unsubscribe(name)),
    announceGap: () => { this.#announceGap() }
  })

  #state: 'unopen' | 'open' | 'closed' = 'unopen'
  /** Whether an outage has been logged. It ends with a gap, or with a call that succeeds. */
  #isFailing = false
  /**
   * Whether the last publish has failed. The next one may fail in the same outage even after a gap:
   * a broker may publish on another connection than the one that is back.
   */
  #isPublishFailing = false
  readonly #onPublished = (): void => { this.#isPublishFailing = false }
  readonly #onNotPublished = (): void => { this.#isPublishFailing = true }
  /** Whether the loss of a topic has been logged since the last gap. */
  #isLosing = false
  /** Counts the failures that have been reported. */
  #failures = 0
  /** How many messages from the broker were dropped because they could not be read. */
  #dropped = 0

  /** @param tellOfGap called when messages of other processes may be missing; never throws */
  constructor (hub: Hub, broker: TopicBroker, log: ErrorLog, tellOfGap: () => void) {
    this.#hub = hub
    this.#broker = broker
    this.#log = log
    this.#tellOfGap = tellOfGap
  }

  /** @throws FST_WS_BROKER if the broker cannot work at all */
  async open (): Promise<void> {
    if (taken.has(this.#broker)) throw new BrokerError('it belongs to another registration')
    taken.add(this.#broker)
    this.#state = 'open'
    try {
      const opened = this.#broker.open(
        (topic, bytes) => { this.#receive(topic, bytes) },
        (error, lost) => { this.#onReport(error, lost) },
        () => { this.#onGap() }
      )
      this.#hub.linkTo(this)
      await opened
    } catch (cause) {
      throw new BrokerError(toError(cause).message, { cause })
    }
  }

  // --- To the broker ---

  publish (name: string, message: TopicMessage): Promise<void> {
    const bytes = this.#publisher.wrap(message)
    const published = this.#ask(() => this.#broker.publish(name, bytes), this.#isPublishFailing)
    // These also listen for the failure of a promise that the application does not await.
    published.then(this.#onPublished, this.#onNotPublished)
    return published
  }

  subscribe (name: string): Promise<void> {
    return this.#topics.subscribe(name)
  }

  join (name: string): Promise<void> {
    return this.#topics.join(name)
  }

  unsubscribe (name: string): void {
    this.#topics.unsubscribe(name)
  }

  /** @param isKnown whether the same call has failed before, which has been logged */
  async #ask (call: () => unknown, isKnown = false): Promise<void> {
    const failures = this.#failures
    await this.#call(call, isKnown)
    // A call that began before the last failure does not end the outage: its answer may have been
    // under way when the broker failed.
    if (failures === this.#failures) this.#isFailing = false
  }

  /** Success ends no outage here: `unsubscribe` may succeed while a client library is offline. */
  async #call (call: () => unknown, isKnown = false): Promise<void> {
    if (this.#state !== 'open') throw new BrokerError(`it is ${this.#state}`)
    try {
      await call()
    } catch (cause) {
      this.#report(cause, isKnown)
      throw new BrokerError(toError(cause).message, { cause })
    }
  }

  // --- From the broker ---

  /** Never throws into the code of the broker, whatever arguments the broker gives. */
  #receive (name: string, bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    try {
      this.#take(name, unwrap(bytes))
    } catch (error) {
      this.#report(error)
    }
  }

  #take (name: string, received: Received | null): void {
    if (received === null) {
      this.#drop(name)
      return
    }
    if (this.#publisher.hasSent(received)) return
    const { payload, isText, isVolatile, publisher, count } = received
    // When a connection to the broker breaks, a client library may send messages a second time.
    if (publisher !== null && !this.#hub.isNewer(name, publisher, count)) return
    this.#hub.receive(name, payload, isText, isVolatile)
  }

  #drop (name: string): void {
    if (this.#dropped++ > 0) return
    logError(this.#log, 'warn', new ForeignMessageError(name), 'websocket topics: message dropped')
  }

  /** Logs an outage, or a topic that the broker refuses, as `error` once, and then as `debug`. */
  #report (thrown: unknown, isKnown = false): void {
    if (this.#state === 'closed') return
    const level = this.#isFailing || isKnown ? 'debug' : 'error'
    if (!isKnown) {
      this.#isFailing = true
      this.#failures++
    }
    logError(this.#log, level, toError(thrown), 'websocket topics: the broker has failed')
  }

  #onReport (error: Error, lost: string | undefined): void {
    // The last subscriber of the topic may have left before the broker noticed the loss.
    const isLoss = lost !== undefined && this.#state === 'open' && this.#hub.has(lost)
    if (isLoss) this.#onLost(lost, toError(error))
    else this.#report(error)
  }

  /** A loss is logged apart from an outage, in which it may be noticed: its cause is another. */
  #onLost (topic: string, error: Error): void {
    const level = this.#isLosing ? 'debug' : 'error'
    this.#isLosing = true
    logError(this.#log, level, error, 'websocket topics: the broker has lost a topic', { topic })
    this.#topics.lose(topic, new BrokerError(error.message, { cause: error }))
  }

  #onGap (): void {
    if (this.#state !== 'open') return
    this.#isFailing = false
    this.#topics.onGap()
  }

  #announceGap (): void {
    if (this.#state !== 'open') return
    this.#hub.counts.gaps++
    this.#isLosing = false
    this.#tellOfGap()
  }

  // --- The end ---

  /** @param timeout milliseconds that the broker has at most */
  async close (timeout: number): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    this.#topics.close()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, timeout) })
    try {
      await Promise.race([answerOf(() => this.#broker.close()), late])
    } catch (error) {
      const message = 'websocket topics: the broker was not closed'
      logError(this.#log, 'warn', toError(error), message)
    }
    clearTimeout(timer)
    taken.delete(this.#broker)
  }
}

/** Awaits a call, and rejects also if the call throws. */
async function answerOf (call: () => unknown): Promise<void> {
  await call()
}
