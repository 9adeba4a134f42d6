/** A process behind a broker: one of them publishes, another one receives. */

import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { natsBroker } from '../../../dist/brokers/nats.js'
import { redisBroker } from '../../../dist/brokers/redis.js'
import { BrokerLink } from '../../../dist/topics/broker-link.js'
import { Hub } from '../../../dist/topics/hub.js'
import { answerQuestions } from '../../lib/ipc.js'

const TOPIC = 'topic'

/** Messages that may be under way, so that no queue grows without end. */
const WINDOW = 500

/** How each broker is made. */
const BROKERS = {
  ioredis: (port) => redisBroker({ client: new Redis(port, { enableOfflineQueue: false }) }),
  async 'node-redis' (port) {
    const client = createClient({ socket: { port, host: '127.0.0.1' }, disableOfflineQueue: true })
    client.on('error', console.error)
    await client.connect()
    return redisBroker({ client })
  },
  nats: async (port) => natsBroker({ connection: await connect({ port }) })
}

const hub = new Hub()
let received = 0
let whenReceived = () => {}

answerQuestions({
  async start (name, port) {
    const broker = await BROKERS[name](port)
    await new BrokerLink(hub, broker, console, () => {}).open()
  },

  subscribe: () => hub.subscribe({
    subscriptions: null,
    deliver () {
      received++
      whenReceived()
    }
  }, TOPIC),

  /** Publishes `count` messages of `length` characters; microseconds of CPU time for each. */
  async publish (count, length) {
    const message = 'x'.repeat(length)
    const before = process.cpuUsage()
    for (let i = 0; i < count; i += WINDOW) {
      await Promise.all(Array.from({ length: Math.min(WINDOW, count - i) }, () => {
        return hub.publish(TOPIC, message, undefined, null)
      }))
    }
    return perMessage(process.cpuUsage(before), count)
  },

  /** Waits for `count` messages: seconds from the first, and microseconds of CPU time for each. */
  async receive (count) {
    received = 0
    let start = performance.now()
    let before = process.cpuUsage()
    await new Promise((resolve) => {
      whenReceived = () => {
        if (received === 1) [start, before] = [performance.now(), process.cpuUsage()]
        if (received === count) resolve()
      }
    })
    const cpu = perMessage(process.cpuUsage(before), count)
    return { seconds: (performance.now() - start) / 1000, cpu }
  }
})

function perMessage ({ user, system }, count) {
  return (user + system) / count
}
