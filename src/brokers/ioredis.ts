/**
 * Topics through Redis, with a client of ioredis. When the connection of the subscriber is back,
 * the channels are subscribed to again here, in chunks. ioredis would send them all at once: the
 * answers to some 800,000 channels are more than Redis keeps for a client, and Redis would cut the
 * client off.
 */
import { toError } from '../observe/thrown'
import { RedisBroker } from './redis-broker'
import type { IoredisClient, IoredisSubscriber } from './redis-clients'

/** Channels that are subscribed to again with one command. */
const CHUNK_SIZE = 5000

/** Values of `status` of ioredis. After `close` it becomes `reconnecting` or `end`. */
const CONNECTING: ReadonlySet<string> = new Set(['connecting', 'connect', 'close', 'reconnecting'])

/** See the header of this file. */
export class IoredisBroker extends RedisBroker<IoredisSubscriber> {
  protected readonly client: IoredisClient
  /** The channels that are subscribed to again when the subscriber is back. */
  readonly #channels = new Set<string>()

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

  protected async resubscribe (): Promise<void> {
    const { changes } = this
    const channels = [...this.#channels]
    for (let i = 0; i < channels.length && changes === this.changes; i += CHUNK_SIZE) {
      await this.#restore(channels.slice(i, i + CHUNK_SIZE))
    }
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

  protected isConnecting (): boolean {
    return CONNECTING.has(this.client.status)
  }

  protected end (subscriber: IoredisSubscriber): void {
    subscriber.disconnect()
  }
}
