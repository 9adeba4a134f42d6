// Topics of several applications, whose broker is in memory and fails when it is told to.
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { BrokerLink } from '../../src/topics/broker-link'
import { Publisher } from '../../src/topics/envelope'
import { Hub } from '../../src/topics/hub'
import { TopicMessage } from '../../src/topics/message'
import type { TopicBroker } from '../../src/topics/broker'
import fastifyWebsocket from '../../src/index'
import { connect, type Client } from '../helpers/client'
import { DEBUG, ERROR, Logs, WARN } from '../helpers/logs'
import { MemoryBus, type MemoryBroker } from '../helpers/memory-broker'
import { settled } from '../helpers/plugin'
import { createFastify, listen, type Teardown } from '../helpers/servers'
import { record, turn } from '../helpers/streams'
import { textsUntil } from '../helpers/topics'

/** An application whose clients are subscribed to the topic of their path. */
async function createApplication (t: Teardown, broker: TopicBroker, logs = new Logs()) {
  const fastify = createFastify(t, { logger: logs.logger })
  fastify.register(fastifyWebsocket, { broker, closeTimeout: 500 })
  fastify.get<{ Params: { topic: string } }>(
    '/:topic', { websocket: true }, async ({ socket }, req, { params: { topic } }) => {
      socket.on('message', (message) => { socket.publish(topic, message) })
      await socket.subscribe(topic)
      socket.send('subscribed')
    })
  const origin = await listen(fastify)
  return { fastify, server: fastify.websocketServer, origin, logs }
}

async function subscribe (t: Teardown, origin: string, topic: string): Promise<Client> {
  const client = await connect(t, `${origin}/${topic}`)
  await client.next()
  return client
}

/** Two applications on one bus, each with a subscriber of "room". */
async function createTwo (t: Teardown) {
  const bus = new MemoryBus()
  const brokers = [bus.connect(), bus.connect()] as const
  const one = await createApplication(t, brokers[0])
  const two = await createApplication(t, brokers[1])
  const a = await subscribe(t, one.origin, 'room')
  const b = await subscribe(t, two.origin, 'room')
  return { bus, brokers, one, two, a, b }
}

test('what one application publishes reaches the subscribers of all, once', async (t) => {
  const { one, a, b } = await createTwo(t)
  await one.server.publish('room', 'text')
  await one.server.publish('room', Buffer.from('bytes'))
  t.equal(await b.nextText(), 'text')
  t.equal(await b.nextText(), 'bytes')
  a.send('by a')
  t.equal(await b.nextText(), 'by a')
  await one.server.publish('room', '')
  await one.server.publish('room', 'volatile', { volatile: true })
  await one.server.publish('room', Buffer.from('both'), { volatile: true })
  await one.server.publish('room', 'end')
  const texts = ['text', 'bytes', '', 'volatile', 'both', 'end']
  t.strictSame(await textsUntil(a, 'end'), texts)
  t.strictSame(await textsUntil(b, 'end'), texts.slice(2))
  await one.server.publish('room', Buffer.from('binary'))
  t.match(await b.next(), { isBinary: true })
})

test('the broker is told of the first subscriber of a topic, and of the last', async (t) => {
  const { brokers: [broker], one, a } = await createTwo(t)
  const other = await subscribe(t, one.origin, 'room')
  const third = await subscribe(t, one.origin, 'third')
  await one.server.publish('unknown', 'x')
  for (const client of [a, other, third]) {
    client.close()
    await client.closed
  }
  while (one.server.subscriberCount('room') + one.server.subscriberCount('third') > 0) await turn()
  t.strictSame(broker.calls, [
    'subscribe room', 'subscribe third', 'publish unknown', 'unsubscribe room', 'unsubscribe third'
  ])
})

/** Puts a message into the envelope of a publisher. */
function wrapText (publisher: Publisher, text: string): Buffer {
  return publisher.wrap(new TopicMessage(text, true, false, null))
}

test('what comes again, or late, is dropped', async (t) => {
  const { bus, a, one } = await createTwo(t)
  const [first, second] = [new Publisher(), new Publisher()]
  const messages = ['1', '2', '3', '4'].map((text) => wrapText(first, text))
  for (const index of [0, 1, 1, 3, 2, 0]) bus.publish('room', messages[index] ?? Buffer.of())
  bus.publish('room', wrapText(second, 'of another'))
  bus.publish('room', wrapText(first, 'end'))
  t.strictSame(await textsUntil(a, 'end'), ['1', '2', '4', 'of another', 'end'])
  // Counts are kept for each topic.
  const other = await subscribe(t, one.origin, 'other')
  bus.publish('other', messages[0] ?? Buffer.of())
  t.equal(await other.nextText(), '1')
})

test('more publishers than are remembered do no harm', async (t) => {
  const { bus, a } = await createTwo(t)
  for (let i = 0; i < 1100; i++) bus.publish('room', wrapText(new Publisher(), `text ${i}`))
  t.equal((await textsUntil(a, 'text 1099')).length, 1100)
})

test('a text of another program is delivered; what is no message is not', async (t) => {
  const { bus, a, b, one } = await createTwo(t)
  const publisher = new Publisher()
  const binary = publisher.wrap(new TopicMessage(Buffer.of(0xff, 0), false, false, null))
  const broken = publisher.wrap(new TopicMessage(Buffer.of(0xff, 0), true, false, null))
  bus.publish('room', Buffer.from('gr\u00fc\u00df'))
  bus.publish('room', new Uint8Array())
  bus.publish('room', Buffer.of(0x80, 0x81))
  bus.publish('room', broken)
  for (const kind of [0xfc, 0xfd, 0xfe, 0xff]) bus.publish('room', Buffer.of(kind))
  bus.publish('room', binary.subarray(0, 14))
  bus.publish('room', binary)
  bus.publish('room', Buffer.from('end'))
  for (const client of [a, b]) {
    t.strictSame(await textsUntil(client, 'end'), [
      'gr\u00fc\u00df', '', Buffer.of(0xff, 0).toString(), 'end'
    ])
  }
  const lines = one.logs.lines.filter(({ err }) => err?.code === 'FST_WS_FOREIGN_MESSAGE')
  t.equal(lines.length, 1)
  t.equal(lines[0]?.level, WARN)
})

test('what a broker gives that is no bytes is reported, and throws nothing', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  for (const bytes of [undefined, null, 'text', 7]) {
    t.doesNotThrow(() => { broker.receive('room', bytes as unknown as Uint8Array) })
  }
  t.match(await one.logs.find('websocket topics: the broker has failed'), { level: ERROR })
})

test('when the broker fails, the promise rejects and this process gets the message', async (t) => {
  const { brokers: [broker], one, a, b } = await createTwo(t)
  broker.failure = new Error('out of reach')
  const expected = { code: 'FST_WS_BROKER', message: /out of reach/, cause: broker.failure }
  await t.rejects(one.server.publish('room', '1'), expected)
  // Nobody waits for this one, and nothing is uncaught.
  one.server.publish('room', '2')
  await turn()
  broker.failure = null
  await one.server.publish('room', '3')
  t.strictSame(await textsUntil(a, '3'), ['1', '2', '3'])
  t.equal(await b.nextText(), '3')
})

test('an outage is logged once, and the next one again', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  const gaps = record(one.server, 'gap')
  broker.failure = new Error('out of reach')
  for (let i = 0; i < 3; i++) await t.rejects(one.server.publish('room', 'x'))
  broker.report(new Error('of no call'))
  t.strictSame(gaps, [])
  broker.gap()
  t.strictSame(gaps, [[]])
  broker.report(new Error('of no call'))
  const levels = one.logs.lines
    .filter(({ msg }) => msg === 'websocket topics: the broker has failed')
    .map(({ level }) => level)
  t.strictSame(levels, [ERROR, DEBUG, DEBUG, DEBUG, ERROR])
})

test('what has failed in an outage fails quietly behind a gap, until it succeeds', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  const levels: number[] = []
  const publish = async (isFailing: boolean): Promise<void> => {
    broker.failure = isFailing ? new Error('out of reach') : null
    await one.server.publish('room', 'x').catch(() => {})
  }
  broker.report(new Error('connection lost'))
  await publish(true)
  // The connection that subscribes is back before the one that publishes.
  broker.gap()
  await publish(true)
  await publish(false)
  await publish(true)
  for (const { msg, level } of one.logs.lines) {
    if (msg.endsWith('the broker has failed')) levels.push(level)
  }
  t.strictSame(levels, [ERROR, DEBUG, DEBUG, ERROR])
})

test('an operation that the broker always refuses is one line', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  const [socket] = one.fastify.websocketServer.clients
  for (const topic of ['a', 'b', 'c']) {
    broker.failure = new Error('publishing is forbidden')
    await one.server.publish('room', 'x').catch(() => {})
    broker.failure = null
    await socket?.subscribe(topic)
  }
  const lines = one.logs.lines.filter(({ msg }) => msg.endsWith('the broker has failed'))
  t.strictSame(lines.map(({ level }) => level), [ERROR, DEBUG, DEBUG])
})

test('an outage ends with a call that succeeds, where a broker has no gap', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  for (let i = 0; i < 2; i++) {
    broker.failure = new Error('out of reach')
    await t.rejects(one.server.publish('room', 'x'))
    broker.failure = null
    await one.server.publish('room', 'y')
  }
  const lines = one.logs.lines.filter(({ msg }) => msg.endsWith('the broker has failed'))
  t.strictSame(lines.map(({ level }) => level), [ERROR, ERROR])
})

test('each gap listener is called, and what it throws or rejects with is logged', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  const { server } = one
  const called: unknown[] = []
  server.once('gap', () => { throw new Error('thrown') })
  server.on('gap', async () => { throw new Error('rejected') })
  server.on('gap', () => { throw Object.freeze({ no: 'error' }) })
  server.on('gap', function (this: unknown, ...args) { called.push(this, ...args) })
  server.on('gap', async () => { called.push('last') })
  for (let i = 0; i < 2; i++) t.doesNotThrow(() => { broker.gap() })
  await turn()
  t.strictSame(called, [server, 'last', server, 'last'])
  const lines = one.logs.lines.filter(({ msg }) => msg.endsWith('a gap listener has failed'))
  t.ok(lines.every(({ level }) => level === ERROR))
  t.strictSame(lines.map(({ err }) => err?.message), [
    'thrown', "{ no: 'error' }", "{ no: 'error' }", 'rejected', 'rejected'
  ])
})

test('each connection may listen for gaps: many listeners are no leak', async (t) => {
  const { brokers: [broker], one: { server } } = await createTwo(t)
  let calls = 0
  const onGap = (): void => { calls++ }
  // A warning of Node.js would fail this file.
  for (let i = 0; i < 20; i++) {
    server.on('gap', onGap).addListener('gap', onGap).once('gap', onGap)
    server.prependListener('gap', onGap).prependOnceListener('gap', onGap)
  }
  broker.gap()
  t.equal(calls, 100)
  t.equal(server.listenerCount('gap'), 60)
  t.equal(server.getMaxListeners(), 10, 'other events keep the limit')
  server.setMaxListeners(7).on('gap', onGap).on('error', onGap)
  t.equal(server.getMaxListeners(), 7)
})

test('a topic that the broker has refused is asked for again', async (t) => {
  const { brokers: [broker], one: { fastify, server }, a } = await createTwo(t)
  broker.failure = new Error('refused')
  const [socket] = fastify.websocketServer.clients
  const first = socket?.subscribe('other')
  t.equal(socket?.subscribe('other'), first, 'the same promise while the broker is asked')
  await t.rejects(settled(first), { code: 'FST_WS_BROKER', message: /refused/ })
  t.equal(server.subscriberCount('other'), 1, 'in this process the subscription stands')
  broker.failure = null
  await t.resolves(settled(socket?.subscribe('other')))
  await t.resolves(settled(socket?.subscribe('other')))
  t.strictSame(broker.calls, ['subscribe room', 'subscribe other', 'subscribe other'])
  server.publish('other', 'here')
  t.equal(await a.nextText(), 'here')
})

test('a topic that the broker has lost is asked for again, and then comes a gap', async (t) => {
  const { brokers: [broker], one, a } = await createTwo(t)
  const [socket] = one.fastify.websocketServer.clients
  await socket?.subscribe('other')
  const gaps = record(one.server, 'gap')
  const lost = new Error('forbidden')
  broker.failure = lost
  for (const topic of ['room', 'other']) broker.report(lost, topic)
  await t.rejects(settled(socket?.subscribe('room')), { code: 'FST_WS_BROKER', cause: lost })
  broker.failure = null
  broker.calls.length = 0
  await socket?.subscribe('room')
  while (gaps.length === 0) await turn()
  t.strictSame(broker.calls, ['subscribe room', 'subscribe other'])
  await one.server.publish('room', 'here')
  t.equal(await a.nextText(), 'here')
  t.equal(one.server.stats().gaps, 1)
  broker.report(lost, 'other')
  const lines = one.logs.lines.filter(({ msg }) => msg.endsWith('the broker has lost a topic'))
  t.strictSame(lines.map(({ level, topic }) => [level, topic]), [
    [ERROR, 'room'], [DEBUG, 'other'], [ERROR, 'other']
  ])
})

test('the loss of a topic that nobody has is only logged', async (t) => {
  const { brokers: [broker], one } = await createTwo(t)
  for (const topic of ['nobody', '', 'x'.repeat(257)]) broker.report(new Error('lost'), topic)
  t.strictSame(broker.calls, ['subscribe room'])
  const line = await one.logs.find('websocket topics: the broker has failed')
  t.match(line, { level: ERROR, err: { message: 'lost' } })
})

test('topics that fail to be unsubscribed are only logged', async (t) => {
  const { brokers: [broker], one, a } = await createTwo(t)
  broker.failure = new Error('out of reach')
  a.close()
  t.match(await one.logs.find('websocket topics: the broker has failed'), { level: ERROR })
  t.equal(one.server.subscriberCount('room'), 0)
})

test('before ready and after close the broker is not open, and the process is', async (t) => {
  const broker = new MemoryBus().connect()
  const fastify = createFastify(t)
  await fastify.register(fastifyWebsocket, { broker })
  const { websocketServer: server } = fastify
  t.equal(await server.publish('room', 'x'), undefined, 'there is no subscriber and no broker yet')
  await fastify.ready()
  await fastify.close()
  await t.rejects(server.publish('room', 'x'), { code: 'FST_WS_BROKER', message: /closed/ })
  t.strictSame(broker.calls, ['close'])
  broker.receive('room', Buffer.from('late'))
  broker.report(new Error('late'))
  broker.report(new Error('late'), 'room')
  broker.gap()
  t.strictSame(broker.calls, ['close'])
})

test('a broker that was not opened is not closed', async (t) => {
  const broker = new MemoryBus().connect()
  const link = new BrokerLink(new Hub(), broker, createFastify(t).log, () => {})
  await link.close(1)
  t.strictSame(broker.calls, [])
})

test('a text for a topic without subscribers goes nowhere', async (t) => {
  const { brokers: [broker], a, one } = await createTwo(t)
  broker.receive('nobody', Buffer.from('text'))
  await one.server.publish('room', 'end')
  t.equal(await a.nextText(), 'end')
})

test('clients that close with the application still publish, and their topics end', async (t) => {
  const { brokers: [broker], one, b } = await createTwo(t)
  one.server.clients.forEach((socket) => {
    socket.on('close', () => { socket.publish('room', 'gone') })
  })
  await one.fastify.close()
  t.equal(await b.nextText(), 'gone')
  t.strictSame(broker.calls.slice(-3).sort(), ['close', 'publish room', 'unsubscribe room'])
})

test('a broker that cannot open fails `ready`', async (t) => {
  const broker = new MemoryBus().connect()
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, {
    broker: Object.assign(broker, { open: () => Promise.reject(new Error('wrong password')) })
  })
  await t.rejects(settled(fastify.ready()), { code: 'FST_WS_BROKER', message: /wrong password/ })
})

test('a broker that fails to close, or never does, does not hold `close` up', async (t) => {
  const failing = new MemoryBus().connect()
  const { fastify, logs } = await createApplication(t, failing)
  failing.failure = new Error('no')
  await fastify.close()
  t.match(await logs.find('websocket topics: the broker was not closed'), { level: WARN })
  const hanging = new MemoryBus().connect()
  const close = (): Promise<void> => new Promise(() => {})
  const other = await createApplication(t, Object.assign(hanging, { close }))
  await t.resolves(settled(other.fastify.close()))
})

const NO_BROKERS: unknown[] = [7, 'redis://localhost', {}, { publish () {} }, () => {}]

test('what lacks a method is no broker', async (t) => {
  for (const broker of NO_BROKERS) {
    const fastify: FastifyInstance = createFastify(t)
    fastify.register(fastifyWebsocket, { broker: broker as MemoryBroker })
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_INVALID_OPTION', message: /option broker: .*publish, subscribe, unsubscribe/
    })
  }
})
