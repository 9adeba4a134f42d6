import { connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import type { Teardown } from '../helpers/servers'

/** A PUBLISH as a client got it. */
export interface Publication {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
}

/** An MQTT client that misses nothing: `next` gives what it got, in order, come already or not. */
export class MqttPeer {
  readonly client: MqttClient
  readonly #received: Publication[] = []
  readonly #waiting: Array<(publication: Publication) => void> = []

  constructor (client: MqttClient) {
    this.client = client
    // A server that is not there is an `error` each time that the client tries again.
    client.on('error', () => {})
    client.on('message', (topic, payload, { qos, retain }: IPublishPacket) => {
      this.#take({ topic, payload, qos, retain })
    })
  }

  next (): Promise<Publication> {
    const publication = this.#received.shift()
    if (publication !== undefined) return Promise.resolve(publication)
    return new Promise((resolve) => { this.#waiting.push(resolve) })
  }

  /** The next event of that name. Not `once` of node:events, which an `error` rejects. */
  event (name: 'connect' | 'close'): Promise<void> {
    return new Promise((resolve) => { this.client.once(name, () => { resolve() }) })
  }

  /** Cuts the connection, without a word of MQTT or of WebSocket. */
  async cutOff (): Promise<void> {
    const closed = this.event('close')
    this.client.stream.destroy()
    await closed
  }

  #take (publication: Publication): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#received.push(publication)
    else waiting(publication)
  }
}

/** A connected MQTT client, `mqtt://` or `ws://`, which is cut off with the test. */
export async function connectMqtt (
  t: Teardown, url: string, options: IClientOptions = {}
): Promise<MqttPeer> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options })
  t.teardown(() => new Promise<void>((resolve) => { client.end(true, () => { resolve() }) }))
  return new MqttPeer(client)
}
