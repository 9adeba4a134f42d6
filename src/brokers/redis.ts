/**
 * Topics through Redis: a channel for each topic, with plain PUBLISH and SUBSCRIBE. The client of
 * the application publishes. A duplicate of the client, made here, subscribes.
 *
 * There are two client libraries. When its connection is back, node-redis restores its
 * subscriptions by itself, all at once. For ioredis, this file restores them in chunks. ioredis
 * would also send them all at once: the answers to some 800,000 channels are more than Redis keeps
 * for a client, and Redis would cut the client off.
 */
import { toError } from '../observe/thrown'
import { InvalidOptionError } from '../stream/errors'
import type { TopicBroker } from '../topics/broker'
import { noop } from './noop'

/** Channels that are subscribed to again with one command. */
const CHUNK_SIZE = 5000

const DEFAULT_PREFIX = 'ws:'

/** The methods that the clients of both libraries have. */
interface Client {
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: 'ready', listener: () => void): unknown
  off (event: 'error', listener: (error: Error) => void): unknown
  publish (channel: string, message: Buffer): Promise<unknown>
}

/** The methods of an ioredis client, 5 or 6, that are used. */
export interface IoredisClient extends Client {
  duplicate (options: {
    enableOfflineQueue: true
    enableReadyCheck: false
    autoResubscribe: false
    maxRetriesPerRequest: null
    lazyConnect: false
  }): IoredisSubscriber
}

/** A duplicate of an {@link IoredisClient}. */
export interface IoredisSubscriber extends Client {
  on (event: 'error', listener: (error: Error) => void): unknown
  on (event: 'ready', listener: () => void): unknown
  on (event: 'messageBuffer', listener: (channel: Buffer, message: Buffer) => void): unknown
  subscribe (...channels: string[]): Promise<unknown>
  unsubscribe (...channels: string[]): Promise<unknown>
  disconnect (): unknown
}

/** The methods of a node-redis client, 5 or later, that are used. */
export interface NodeRedisClient extends Client {
  /** Only node-redis spells the name of this method so. */
  pSubscribe: unknown
  duplicate (options: { disableOfflineQueue: false }): NodeRedisSubscriber
}

type OnMessage = (message: Buffer, channel: Buffer) => void

/** A duplicate of a {@link NodeRedisClient}. */
export interface NodeRedisSubscriber extends Client {
  connect (): Promise<unknown>
  subscribe (channel: string, listener: OnMessage, bufferMode: true): Promise<unknown>
  unsubscribe (channel: string, listener: OnMessage, bufferMode: true): Promise<unknown>
  destroy (): unknown
}

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

type Open = Parameters<TopicBroker['open']>

/** What the two brokers share. */
abstract class RedisBroker<Subscriber extends Client> implements TopicBroker {
  protected abstract readonly client: Client
  /** Null until `open` is called. */
  protected subscriber: Subscriber | null = null
  readonly #prefix: string
  #report: Open[1] = noop
  #receive: Open[0] = noop
  #gap: Open[2] = noop
  #isFirst = true

  constructor (prefix: string) {
    this.#prefix = prefix
  }

  open (receive: Open[0], report: Open[1], gap: Open[2]): void {
    this.#receive = receive
    this.#report = report
    this.#gap = gap
    const subscriber = this.duplicate()
    this.subscriber = subscriber
    // Without a listener, an error of a client of node-redis ends the process.
    for (const client of [this.client, subscriber]) client.on('error', this.report)
    subscriber.on('ready', () => { this.#onReady().catch(this.report) })
    this.connect(subscriber)
  }

  protected abstract duplicate (): Subscriber

  protected abstract connect (subscriber: Subscriber): void

  /** The subscriber is connected. It has its subscriptions back when the promise resolves. */
  async #onReady (): Promise<void> {
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (!isFirst && await this.resubscribe()) this.#gap()
  }

  /** Restores the subscriptions. False if the connection has been lost meanwhile. */
  protected abstract resubscribe (): Promise<boolean>

  publish (topic: string, bytes: Buffer): Promise<unknown> {
    return this.client.publish(this.channelOf(topic), bytes)
  }

  abstract subscribe (topic: string): unknown

  abstract unsubscribe (topic: string): unknown

  protected channelOf (topic: string): string {
    return this.#prefix + topic
  }

  #topicOf (channel: string): string {
    return channel.slice(this.#prefix.length)
  }

  protected readonly onMessage: OnMessage = (message, channel) => {
    this.#receive(this.#topicOf(channel.toString()), message)
  }

  protected readonly report = (error: Error): void => { this.#report(error) }

  /** Redis refuses a channel that was subscribed to before. */
  protected reportLost (channel: string, error: Error): void {
    this.#report(error, this.#topicOf(channel))
  }

  close (): void {
    this.client.off('error', this.report)
    if (this.subscriber === null) return
    // The end of the subscriber may emit one more error.
    this.subscriber.on('error', noop)
    this.end(this.subscriber)
  }

  protected abstract end (subscriber: Subscriber): void
}

class IoredisBroker extends RedisBroker<IoredisSubscriber> {
  protected readonly client: IoredisClient
  /** The channels that are subscribed to again when the subscriber is back. */
  readonly #channels = new Set<string>()
  /** Counts the times that the subscriber has connected again. */
  #connections = 0

  constructor (client: IoredisClient, prefix: string) {
    super(prefix)
    this.client = client
  }

  protected duplicate (): IoredisSubscriber {
    // Whatever the options of the client are, the subscriber waits until Redis can be reached.
    return this.client.duplicate({
      enableOfflineQueue: true,
      // The check sends INFO, which ioredis 5 refuses if the first subscription is faster.
      enableReadyCheck: false,
      autoResubscribe: false,
      maxRetriesPerRequest: null,
      lazyConnect: false
    })
  }

  protected connect (subscriber: IoredisSubscriber): void {
    subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      this.onMessage(message, channel)
    })
  }

  protected async resubscribe (): Promise<boolean> {
    const connection = ++this.#connections
    const channels = [...this.#channels]
    for (let i = 0; i < channels.length; i += CHUNK_SIZE) {
      await this.#restore(channels.slice(i, i + CHUNK_SIZE))
      if (connection !== this.#connections) return false
    }
    return true
  }

  /** If one channel is forbidden, Redis refuses the command. Then each gets its own command. */
  async #restore (channels: string[]): Promise<void> {
    const wanted = this.#wantedOf(channels)
    if (wanted.length === 0) return
    try {
      await this.subscriber?.subscribe(...wanted)
    } catch {
      await Promise.all(this.#wantedOf(wanted).map((channel) => this.#restoreOne(channel)))
    }
  }

  async #restoreOne (channel: string): Promise<void> {
    try {
      await this.subscriber?.subscribe(channel)
    } catch (error) {
      this.#channels.delete(channel)
      this.reportLost(channel, toError(error))
    }
  }

  /** The channels that were not unsubscribed meanwhile. */
  #wantedOf (channels: string[]): string[] {
    return channels.filter((channel) => this.#channels.has(channel))
  }

  subscribe (topic: string): unknown {
    const channel = this.channelOf(topic)
    this.#channels.add(channel)
    return this.subscriber?.subscribe(channel).catch((error: unknown) => {
      // The plugin asks again.
      this.#channels.delete(channel)
      throw error
    })
  }

  unsubscribe (topic: string): unknown {
    const channel = this.channelOf(topic)
    this.#channels.delete(channel)
    return this.subscriber?.unsubscribe(channel)
  }

  protected end (subscriber: IoredisSubscriber): void {
    subscriber.disconnect()
  }
}

class NodeRedisBroker extends RedisBroker<NodeRedisSubscriber> {
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
  protected async resubscribe (): Promise<boolean> {
    return true
  }

  subscribe (topic: string): unknown {
    return this.subscriber?.subscribe(this.channelOf(topic), this.onMessage, true)
  }

  unsubscribe (topic: string): unknown {
    return this.subscriber?.unsubscribe(this.channelOf(topic), this.onMessage, true)
  }

  protected end (subscriber: NodeRedisSubscriber): void {
    subscriber.destroy()
  }
}
