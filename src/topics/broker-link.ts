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
import { Publisher, unwrap, type Received } from './envelope'
import { BrokerError, ForeignMessageError } from './errors'
import type { Hub, HubLink } from './hub'
import type { TopicMessage } from './message'
import { refuse, unheard } from './promises'

/** See the header of this file. */
export class BrokerLink implements HubLink {
  readonly #hub: Hub
  readonly #broker: TopicBroker
  readonly #log: ErrorLog
  readonly #onGap: () => void
  readonly #publisher = new Publisher()
  #state: 'unopen' | 'open' | 'closed' = 'unopen'
  /** A failure has been logged. An outage ends with a gap, or with a call that succeeds. */
  #isFailing = false
  /** Messages that were none. */
  #dropped = 0

  /** @param onGap called when messages of other processes may be missing */
  constructor (hub: Hub, broker: TopicBroker, log: ErrorLog, onGap: () => void) {
    this.#hub = hub
    this.#broker = broker
    this.#log = log
    this.#onGap = onGap
  }

  /** @throws FST_WS_BROKER if the broker cannot work at all */
  async open (): Promise<void> {
    this.#state = 'open'
    this.#hub.link = this
    try {
      await this.#broker.open(
        (topic, bytes) => { this.#receive(topic, bytes) },
        (error) => { this.#report(error) },
        () => { this.#announceGap() }
      )
    } catch (cause) {
      throw new BrokerError(toError(cause).message, { cause })
    }
  }

  // --- To the broker ---

  publish (name: string, message: TopicMessage): Promise<void> {
    const bytes = this.#publisher.wrap(message)
    return this.#ask(() => this.#broker.publish(name, bytes))
  }

  subscribe (name: string): Promise<void> {
    return this.#ask(() => this.#broker.subscribe(name))
  }

  unsubscribe (name: string): void {
    // In an outage it may succeed, because the client library does it later: that ends no outage.
    this.#call(() => this.#broker.unsubscribe(name)).catch(() => {})
  }

  #ask (call: () => unknown): Promise<void> {
    return unheard(this.#call(call).then(() => { this.#isFailing = false }))
  }

  #call (call: () => unknown): Promise<void> {
    if (this.#state !== 'open') return refuse(new BrokerError(`it is ${this.#state}`))
    return answerOf(call).catch((cause: unknown) => {
      this.#report(cause)
      throw new BrokerError(toError(cause).message, { cause })
    })
  }

  // --- From the broker ---

  /** Never throws into the code of the broker, whatever that has called it with. */
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
    // A client library may send again what was under way when a connection to its broker broke.
    if (publisher !== null && !this.#hub.isNewer(name, publisher, count)) return
    this.#hub.receive(name, payload, isText, isVolatile)
  }

  #drop (name: string): void {
    if (this.#dropped++ > 0) return
    logError(this.#log, 'warn', new ForeignMessageError(name), 'websocket topics: message dropped')
  }

  /** Of an outage, one line is for operators. */
  #report (thrown: unknown): void {
    if (this.#state === 'closed') return
    const level = this.#isFailing ? 'debug' : 'error'
    this.#isFailing = true
    logError(this.#log, level, toError(thrown), 'websocket topics: the broker has failed')
  }

  #announceGap (): void {
    if (this.#state !== 'open') return
    this.#isFailing = false
    try {
      this.#onGap()
    } catch (error) {
      logError(this.#log, 'error', toError(error), 'websocket topics: a gap listener has failed')
    }
  }

  // --- The end ---

  /** @param timeout milliseconds that the broker has at most */
  async close (timeout: number): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, timeout) })
    try {
      await Promise.race([answerOf(() => this.#broker.close()), late])
    } catch (error) {
      const message = 'websocket topics: the broker was not closed'
      logError(this.#log, 'warn', toError(error), message)
    }
    clearTimeout(timer)
  }
}

/** What a call returns, throws or rejects with. */
async function answerOf (call: () => unknown): Promise<void> {
  await call()
}
