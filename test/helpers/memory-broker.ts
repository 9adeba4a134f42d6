import type { TopicBroker } from '../../src/topics/broker'

type Open = Parameters<TopicBroker['open']>

/** A broker in memory, as a program of its own would be: what is published comes a turn later. */
export class MemoryBus {
  readonly #brokers = new Set<MemoryBroker>()

  /** A broker for one registration. */
  connect (): MemoryBroker {
    const broker = new MemoryBroker(this)
    this.#brokers.add(broker)
    return broker
  }

  /** Delivers bytes to all that have subscribed, as any program can. */
  publish (topic: string, bytes: Uint8Array): void {
    setImmediate(() => {
      for (const broker of this.#brokers) {
        if (broker.topics.has(topic)) broker.receive(topic, bytes)
      }
    })
  }
}

/** See {@link MemoryBus}. It fails where a test has given it an error. */
export class MemoryBroker implements TopicBroker {
  /** What the server has been asked to subscribe. */
  readonly topics = new Set<string>()
  /** The calls, in order. */
  readonly calls: string[] = []
  failure: Error | null = null
  receive: Open[0] = () => {}
  report: Open[1] = () => {}
  gap: Open[2] = () => {}
  readonly #bus: MemoryBus

  constructor (bus: MemoryBus) {
    this.#bus = bus
  }

  open (receive: Open[0], report: Open[1], gap: Open[2]): void {
    this.receive = receive
    this.report = report
    this.gap = gap
  }

  async publish (topic: string, bytes: Uint8Array): Promise<void> {
    this.calls.push(`publish ${topic}`)
    if (this.failure !== null) throw this.failure
    this.#bus.publish(topic, bytes)
  }

  /** Fails at once, as a client that checks its arguments does. */
  subscribe (topic: string): Promise<void> {
    this.calls.push(`subscribe ${topic}`)
    if (this.failure !== null) throw this.failure
    this.topics.add(topic)
    return Promise.resolve()
  }

  async unsubscribe (topic: string): Promise<void> {
    this.calls.push(`unsubscribe ${topic}`)
    if (this.failure !== null) throw this.failure
    this.topics.delete(topic)
  }

  async close (): Promise<void> {
    this.calls.push('close')
    if (this.failure !== null) throw this.failure
  }
}
