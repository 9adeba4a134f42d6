// What a broker asks of its client, with clients that are made up: the rare cases.
import { EventEmitter } from 'node:events'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { test } from 'tap'
import { natsBroker, type NatsConnection, type NatsStatus } from '../../src/brokers/nats'
import {
  redisBroker, type IoredisClient, type NodeRedisClient
} from '../../src/brokers/redis'
import { turn } from '../helpers/streams'

/** A client of ioredis that answers when a test says so. */
class FakeIoredis extends EventEmitter {
  readonly commands: string[][] = []
  readonly answers: Array<() => void> = []
  isEnded = false
  status = 'ready'
  made: FakeIoredis | null = null
  options: unknown = null

  duplicate (options: unknown): FakeIoredis {
    this.made = new FakeIoredis()
    this.made.options = options
    return this.made
  }

  publish (): Promise<number> {
    return Promise.resolve(0)
  }

  subscribe (...channels: string[]): Promise<void> {
    this.commands.push(['subscribe', ...channels])
    return new Promise((resolve) => { this.answers.push(resolve) })
  }

  unsubscribe (...channels: string[]): Promise<void> {
    this.commands.push(['unsubscribe', ...channels])
    return Promise.resolve()
  }

  disconnect (): void {
    this.isEnded = true
  }

  answer (): void {
    this.answers.shift()?.()
  }
}

/** An open broker on such a client, with its subscriber. */
function openIoredis () {
  const client = new FakeIoredis()
  const broker = redisBroker({ client: client satisfies IoredisClient, prefix: '' })
  const reports: Error[] = []
  const lost: string[] = []
  const gaps: string[] = []
  const report = (error: Error, topic?: string): void => {
    reports.push(error)
    if (topic !== undefined) lost.push(topic)
  }
  broker.open(() => {}, report, () => { gaps.push('gap') })
  const subscriber = client.made ?? client
  subscriber.emit('ready')
  return { client, broker, subscriber, reports, lost, gaps }
}

test('channels are subscribed to again in chunks, and only those that are wanted', async (t) => {
  const { broker, subscriber, gaps } = openIoredis()
  for (let i = 0; i < 12_000; i++) broker.subscribe(`topic ${i}`)
  subscriber.commands.length = 0
  subscriber.answers.length = 0
  subscriber.emit('ready')
  // In the second chunk, while the first one is under way; then all of the third.
  broker.unsubscribe('topic 7000')
  for (let i = 10_000; i < 12_000; i++) broker.unsubscribe(`topic ${i}`)
  for (let round = 0; round < 3; round++) {
    subscriber.answer()
    await turn()
  }
  const sizes = subscriber.commands
    .filter(([name]) => name === 'subscribe')
    .map(({ length }) => length - 1)
  t.strictSame(sizes, [5000, 4999])
  t.notOk(subscriber.commands.slice(2002).flat().includes('topic 7000'))
  t.strictSame(gaps, ['gap'])
})

test('when the connection is lost meanwhile, the gap is that of the next one', async (t) => {
  const { broker, subscriber, gaps } = openIoredis()
  broker.subscribe('topic')
  subscriber.answers.length = 0
  subscriber.emit('ready')
  subscriber.emit('ready')
  subscriber.answer()
  await turn()
  t.strictSame(gaps, [])
  subscriber.answer()
  await turn()
  t.strictSame(gaps, ['gap'])
})

test('errors of both clients are reported, until the broker is closed', async (t) => {
  const { client, broker, subscriber, reports } = openIoredis()
  const error = new Error('connection refused')
  client.emit('error', error)
  subscriber.emit('error', error)
  t.strictSame(reports, [error, error])
  broker.close()
  t.strictSame(client.eventNames(), [])
  t.ok(subscriber.isEnded)
  t.notOk(client.isEnded, 'it is that of the application')
  t.doesNotThrow(() => { subscriber.emit('error', error) })
})

/** A subscriber that may not have the channel `sealed`. The list has what it was asked for. */
function sealOne (subscriber: FakeIoredis, error: unknown): string[][] {
  const asked: string[][] = []
  subscriber.subscribe = async (...channels) => {
    asked.push(channels)
    if (channels.includes('sealed')) throw error
  }
  return asked
}

test('a channel that is refused later is lost, and the others come back', async (t) => {
  const { broker, subscriber, reports, lost, gaps } = openIoredis()
  for (const topic of ['a', 'sealed', 'b', 'left']) broker.subscribe(topic)
  const error = new Error('not allowed')
  const asked = sealOne(subscriber, error)
  subscriber.emit('ready')
  broker.unsubscribe('left')
  await turn()
  t.strictSame(asked, [['a', 'sealed', 'b', 'left'], ['a'], ['sealed'], ['b']])
  t.strictSame(reports, [error])
  t.strictSame(lost, ['sealed'])
  t.strictSame(gaps, ['gap'])
  subscriber.emit('ready')
  await turn()
  t.strictSame(asked.slice(4), [['a', 'b']], 'the plugin asks for what is lost')
})

test('a channel that is refused at once is not subscribed to when Redis is back', async (t) => {
  const { broker, subscriber, lost } = openIoredis()
  const error = new Error('not allowed')
  const asked = sealOne(subscriber, error)
  await broker.subscribe('open')
  await t.rejects(Promise.resolve(broker.subscribe('sealed')), error)
  subscriber.emit('ready')
  await turn()
  t.strictSame(asked, [['open'], ['sealed'], ['open']])
  t.strictSame(lost, [])
})

test('the subscriber waits for Redis, whatever the client does', async (t) => {
  const { subscriber } = openIoredis()
  t.match(subscriber.options, {
    enableOfflineQueue: true, autoResubscribe: false, maxRetriesPerRequest: null, lazyConnect: false
  })
})

test('a broker that was never opened has nothing to close', async (t) => {
  const client = new FakeIoredis()
  const broker = redisBroker({ client })
  t.equal(broker.subscribe('topic'), undefined)
  t.equal(broker.unsubscribe('topic'), undefined)
  broker.close()
  t.equal(client.made, null)
})

test('a gap comes when the client of ioredis is back as well, or has ended', async (t) => {
  const { client, broker, subscriber, gaps } = openIoredis()
  for (const [i, last] of ['ready', 'end'].entries()) {
    for (const status of ['close', 'reconnecting', 'connecting', 'connect']) {
      client.status = status
      subscriber.emit('ready')
      await turn()
      client.emit('error', new Error('connection refused'))
      t.equal(gaps.length, i, status)
    }
    client.status = last
    client.emit(last)
    client.emit(last)
    t.equal(gaps.length, i + 1, 'once')
  }
  client.status = 'wait'
  subscriber.emit('ready')
  await turn()
  t.equal(gaps.length, 3, 'the application has not connected it yet')
  broker.close()
})

test('a gap that waits for the client ends with the connection of the subscriber', async (t) => {
  const { client, subscriber, gaps } = openIoredis()
  client.status = 'reconnecting'
  subscriber.emit('ready')
  await turn()
  subscriber.emit('reconnecting')
  client.status = 'ready'
  client.emit('ready')
  t.strictSame(gaps, [])
  subscriber.emit('ready')
  await turn()
  t.strictSame(gaps, ['gap'])
})

test('a subscriber that takes many attempts to connect has no gap', async (t) => {
  const client = new FakeIoredis()
  const broker = redisBroker({ client })
  const gaps: string[] = []
  broker.open(() => {}, () => {}, () => { gaps.push('gap') })
  for (const event of ['reconnecting', 'reconnecting', 'ready']) client.made?.emit(event)
  await turn()
  t.strictSame(gaps, [])
})

/** A client of node-redis, with its subscriber. */
function createNodeRedis (connect: () => Promise<void>) {
  const subscriber = Object.assign(new EventEmitter(), {
    connect,
    publish: () => Promise.resolve(),
    subscribe: () => Promise.resolve(),
    unsubscribe: () => Promise.resolve(),
    destroy () {}
  })
  const client = Object.assign(new EventEmitter(), {
    pSubscribe () {},
    isOpen: true,
    isReady: true,
    publish: () => Promise.resolve(),
    duplicate: () => subscriber
  })
  return { client: client satisfies NodeRedisClient, subscriber }
}

test('a subscriber of node-redis that cannot connect is reported', async (t) => {
  const error = new Error('wrong password')
  const { client } = createNodeRedis(() => Promise.reject(error))
  const broker = redisBroker({ client })
  t.equal(broker.subscribe('topic'), undefined)
  t.equal(broker.unsubscribe('topic'), undefined)
  const reported = new Promise((resolve) => { broker.open(() => {}, resolve, () => {}) })
  t.equal(await reported, error)
})

test('a gap comes when the client of node-redis is back as well, or has ended', async (t) => {
  const { client, subscriber } = createNodeRedis(() => Promise.resolve())
  const broker = redisBroker({ client })
  let gaps = 0
  broker.open(() => {}, () => {}, () => { gaps++ })
  subscriber.emit('ready')
  const states = [
    { event: 'ready', isOpen: true, isReady: true },
    { event: 'end', isOpen: false, isReady: false },
    { event: 'error', isOpen: false, isReady: false }
  ]
  for (const [i, { event, ...state }] of states.entries()) {
    Object.assign(client, { isOpen: true, isReady: false })
    subscriber.emit('ready')
    await turn()
    client.emit('error', new Error('connection refused'))
    t.equal(gaps, i)
    Object.assign(client, state)
    client.emit(event, new Error('gives up'))
    t.equal(gaps, i + 1, event)
  }
  broker.close()
})

test('what is no client is refused', async (t) => {
  for (const client of [undefined, null, {}, 'redis://127.0.0.1']) {
    const wrong = client as unknown as IoredisClient
    const connection = client as unknown as NatsConnection
    t.throws(() => redisBroker({ client: wrong }), { code: 'FST_WS_INVALID_OPTION' })
    t.throws(() => natsBroker({ connection }), { code: 'FST_WS_INVALID_OPTION' })
  }
})

test('a client of a cluster is refused', (t) => {
  const clusters = [
    new Cluster([], { lazyConnect: true }), createCluster({ rootNodes: [{ url: 'redis://[::1]:1' }] })
  ]
  for (const cluster of clusters) {
    t.throws(() => redisBroker({ client: cluster as unknown as IoredisClient }), {
      code: 'FST_WS_INVALID_OPTION', message: /client: a client of one server is expected/
    })
  }
  t.end()
})

test('the states of a connection to NATS are reported as errors', async (t) => {
  let isFlushed = false
  const statuses: NatsStatus[] = [
    { type: 'error', error: 'no error object' }, { type: 'error', error: new Error('an error') },
    { type: 'ping' }, { type: 'disconnect' }, { type: 'reconnect' }
  ]
  const callbacks: Array<Parameters<NatsConnection['subscribe']>[1]['callback']> = []
  const connection: NatsConnection = {
    publish () {},
    subscribe: (_subject, { callback }) => {
      callbacks.push(callback)
      return { unsubscribe () {} }
    },
    flush: async () => { isFlushed = true },
    async * status () { yield * statuses },
    closed: () => new Promise(() => {})
  }
  const reports: string[] = []
  const lost: Array<string | undefined> = []
  const gaps: boolean[] = []
  const broker = natsBroker({ connection })
  const report = ({ message }: Error, topic?: string): void => {
    reports.push(message)
    lost.push(topic)
  }
  broker.open(() => {}, report, () => { gaps.push(isFlushed) })
  while (gaps.length === 0) await turn()
  t.strictSame(reports, ['no error object', 'an error', 'the connection to NATS is lost'])
  t.strictSame(gaps, [true])
  await broker.subscribe('topic')
  // A permission is taken away later.
  callbacks[0]?.(new Error('forbidden'), { data: Buffer.alloc(0) })
  t.strictSame([reports.at(-1), lost.at(-1)], ['forbidden', 'topic'])
  await broker.subscribe('topic')
  t.equal(callbacks.length, 2, 'the subscription was gone')
  broker.unsubscribe('topic')
  broker.unsubscribe('topic')
  broker.close()
})
