/**
 * What the two brokers for Redis share. A broker has two clients: that of the application, which
 * publishes, and the subscriber, a duplicate of it. Each has a connection of its own.
 */
import type { TopicBroker } from '../topics/broker'
import { noop } from './noop'
import type { Client, OnMessage } from './redis-clients'

/** Events after which the client of the application is connected, or no longer tries to be. */
const CLIENT_EVENTS = ['ready', 'end'] as const

type Open = Parameters<TopicBroker['open']>

/** See the header of this file. */
export abstract class RedisBroker<Subscriber extends Client> implements TopicBroker {
  protected abstract readonly client: Client
  /** Null until `open` is called. */
  protected subscriber: Subscriber | null = null
  readonly #prefix: string
  #report: Open[1] = noop
  #receive: Open[0] = noop
  #gap: Open[2] = noop
  #isFirst = true
  /** Counts the times that the subscriber has connected, and has lost its connection. */
  protected changes = 0
  /** Whether a gap is announced as soon as the client of the application can be used. */
  #isGapDue = false

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
    this.client.on('error', this.#onClientError)
    subscriber.on('error', this.report)
    for (const event of CLIENT_EVENTS) this.client.on(event, this.#announceGap)
    subscriber.on('ready', () => { this.#onReady().catch(this.report) })
    subscriber.on('reconnecting', () => { this.#onLost() })
    this.connect(subscriber)
  }

  protected abstract duplicate (): Subscriber

  protected abstract connect (subscriber: Subscriber): void

  /** The subscriber is connected: for the first time, or again. */
  async #onReady (): Promise<void> {
    const change = ++this.changes
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (isFirst) return
    await this.resubscribe()
    if (change !== this.changes) return
    this.#isGapDue = true
    this.#announceGap()
  }

  /** A gap that was due is announced when the subscriber is connected again. */
  #onLost (): void {
    this.changes++
    this.#isGapDue = false
  }

  /** Restores the subscriptions, as long as `changes` stays the same. */
  protected abstract resubscribe (): Promise<void>

  /**
   * Waits for the client of the application: what was missed may have to be read with it, and it
   * may be connected later than the subscriber. A client that has ended is not waited for.
   */
  readonly #announceGap = (): void => {
    if (!this.#isGapDue || this.isConnecting()) return
    this.#isGapDue = false
    this.#gap()
  }

  /** Whether the client of the application cannot be used now, and tries to connect. */
  protected abstract isConnecting (): boolean

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

  readonly #onClientError = (error: Error): void => {
    this.#report(error)
    // When it gives up, node-redis 5 emits nothing else.
    this.#announceGap()
  }

  /** Redis refuses a channel that was subscribed to before. */
  protected reportLost (channel: string, error: Error): void {
    this.#report(error, this.#topicOf(channel))
  }

  close (): void {
    this.client.off('error', this.#onClientError)
    for (const event of CLIENT_EVENTS) this.client.off(event, this.#announceGap)
    if (this.subscriber === null) return
    // The end of the subscriber may emit one more error.
    this.subscriber.on('error', noop)
    this.end(this.subscriber)
  }

  protected abstract end (subscriber: Subscriber): void
}
