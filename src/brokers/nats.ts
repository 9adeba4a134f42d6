/**
 * Topics through NATS: a subject for each topic. The connection belongs to the application. When it
 * is back after an outage, the client library restores the subscriptions by itself.
 */
import { InvalidOptionError } from '../stream/errors'
import type { TopicBroker } from '../topics/broker'
import { noop } from './noop'

const DEFAULT_PREFIX = 'ws.'

/** A subscription of `@nats-io/transport-node`. */
export interface NatsSubscription {
  unsubscribe (): void
}

/** An event in the life of a connection. */
export interface NatsStatus {
  type: string
  error?: unknown
}

/** The events of a connection from now on. The type of the library lacks `stop`. */
export interface NatsStatuses extends AsyncIterable<NatsStatus> {
  stop?: () => void
}

/** The methods of a connection of `@nats-io/transport-node` 3 that are used. */
export interface NatsConnection {
  publish (subject: string, bytes: Uint8Array): void
  subscribe (subject: string, options: {
    callback: (error: Error | null, message: { data: Uint8Array }) => void
  }): NatsSubscription
  flush (): Promise<void>
  status (): NatsStatuses
  closed (): Promise<void | Error>
}

/** Options of {@link natsBroker}. */
export interface NatsBrokerOptions {
  /**
   * A connection of `@nats-io/transport-node` 3. The broker never closes it. Make it with
   * `maxReconnectAttempts: -1`, or it gives up for good after some 20 seconds.
   */
  connection: NatsConnection
  /** The subject of a topic is this prefix and the encoded topic. Default: `'ws.'`. */
  prefix?: string
}

/**
 * A broker for the option `broker` of one registration.
 *
 * @throws FST_WS_INVALID_OPTION
 */
export function natsBroker (
  { connection, prefix = DEFAULT_PREFIX }: NatsBrokerOptions
): TopicBroker {
  if (typeof connection?.flush !== 'function') {
    throw new InvalidOptionError('connection', 'one of @nats-io/transport-node', connection)
  }
  return new NatsBroker(connection, prefix)
}

type Open = Parameters<TopicBroker['open']>

class NatsBroker implements TopicBroker {
  readonly #connection: NatsConnection
  readonly #prefix: string
  /** The library makes these again when its connection is back. */
  readonly #subscriptions = new Map<string, NatsSubscription>()
  /** The topics whose `subscribe` is under way, each with the error of its refusal, or null. */
  readonly #asked = new Map<string, Error | null>()
  /** The errors of refusals. They are told where they belong, and not reported as a status. */
  readonly #told = new WeakSet<Error>()
  #receive: Open[0] = noop
  #report: Open[1] = noop
  #gap: Open[2] = noop
  #statuses: NatsStatuses | null = null
  #isDown = false
  #isClosed = false
  /** One `flush` for all topics that are subscribed to in the same turn. */
  #flushing: Promise<void> | null = null

  constructor (connection: NatsConnection, prefix: string) {
    this.#connection = connection
    this.#prefix = prefix
  }

  open (receive: Open[0], report: Open[1], gap: Open[2]): void {
    this.#receive = receive
    this.#report = report
    this.#gap = gap
    this.#statuses = this.#connection.status()
    this.#watch(this.#statuses).catch(report)
    this.#connection.closed().then((error) => { this.#onEnd(error) }, report)
  }

  async #watch (statuses: NatsStatuses): Promise<void> {
    for await (const { type, error } of statuses) await this.#onStatus(type, error)
  }

  async #onStatus (type: string, error: unknown): Promise<void> {
    if (type === 'disconnect') {
      this.#isDown = true
      this.#report(new Error('the connection to NATS is lost'))
    }
    if (type === 'error') this.#onError(toError(error))
    if (type !== 'reconnect') return
    this.#isDown = false
    // The library has sent the subscriptions. An answer to `flush` shows that the server has them.
    await this.#connection.flush().then(this.#gap, this.#report)
  }

  #onError (error: Error): void {
    if (!this.#told.has(error)) this.#report(error)
  }

  #onEnd (error: void | Error): void {
    if (!this.#isClosed) {
      this.#report(new Error('the connection to NATS is closed for good', { cause: error }))
    }
  }

  publish (topic: string, bytes: Uint8Array): void {
    // The library would drop the message without an error.
    if (this.#isDown) throw new Error('the connection to NATS is lost')
    this.#connection.publish(this.#subjectOf(topic), bytes)
  }

  async subscribe (topic: string): Promise<void> {
    this.#asked.set(topic, null)
    if (!this.#subscriptions.has(topic)) this.#subscriptions.set(topic, this.#add(topic))
    try {
      await this.#flush()
      // The server has answered the subscription before it answered `flush`.
      const refusal = this.#asked.get(topic)
      if (refusal != null) throw refusal
    } finally {
      this.#asked.delete(topic)
    }
  }

  #flush (): Promise<void> {
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = null
      return this.#connection.flush()
    })
    return this.#flushing
  }

  #add (topic: string): NatsSubscription {
    return this.#connection.subscribe(this.#subjectOf(topic), {
      callback: (error, message) => {
        if (error === null) this.#receive(topic, message.data)
        else this.#onRefused(topic, error)
      }
    })
  }

  /**
   * The server has refused the subscription, or has taken it away later. The library has removed
   * it, and also emits a status with the same error.
   */
  #onRefused (topic: string, error: Error): void {
    this.#subscriptions.delete(topic)
    this.#told.add(error)
    if (this.#asked.has(topic)) this.#asked.set(topic, error)
    else this.#report(error, topic)
  }

  unsubscribe (topic: string): void {
    this.#subscriptions.get(topic)?.unsubscribe()
    this.#subscriptions.delete(topic)
  }

  /**
   * Encodes the topic: dots separate the parts of a subject, and `*` and `>` stand for any part. A
   * client that may choose a topic must not read all topics by such a name.
   */
  #subjectOf (topic: string): string {
    return this.#prefix + encodeURIComponent(topic).replace(/[^\w%-]/g, percentEncode)
  }

  close (): void {
    this.#isClosed = true
    this.#statuses?.stop?.()
    for (const subscription of this.#subscriptions.values()) subscription.unsubscribe()
    this.#subscriptions.clear()
  }
}

function percentEncode (character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}

function toError (value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value))
}
