// What a broker is asked for, and in which order: calls that the test answers one by one.
import { test } from 'tap'
import { BrokerLink } from '../../src/topics/broker-link'
import { BrokerTopics, MAX_RETRY_DELAY, MIN_RETRY_DELAY } from '../../src/topics/broker-topics'
import { Hub } from '../../src/topics/hub'
import type { Subscriber } from '../../src/topics/subscriptions'
import { DEBUG, ERROR, Logs } from '../helpers/logs'
import { MemoryBus } from '../helpers/memory-broker'
import { createFastify, type Teardown } from '../helpers/servers'
import { turn } from '../helpers/streams'
import { holdTimers, recordTimers } from '../helpers/timers'

/** Calls that wait for their answers. */
class HeldCalls {
  /** In order. */
  readonly made: string[] = []
  gaps = 0
  readonly #waiting: Array<{ resolve (): void, reject (error: Error): void }> = []

  subscribe (name: string, isRetry: boolean): Promise<void> {
    return this.#hold(`${isRetry ? 'again' : 'subscribe'} ${name}`)
  }

  unsubscribe (name: string): Promise<void> {
    return this.#hold(`unsubscribe ${name}`)
  }

  announceGap (): void {
    this.gaps++
  }

  #hold (call: string): Promise<void> {
    this.made.push(call)
    return new Promise((resolve, reject) => { this.#waiting.push({ resolve, reject }) })
  }

  /** Lets the oldest call succeed, or fail. */
  async answer (error?: Error): Promise<void> {
    const call = this.#waiting.shift()
    if (error === undefined) call?.resolve()
    else call?.reject(error)
    await turn()
  }
}

function createTopics () {
  const calls = new HeldCalls()
  return { calls, topics: new BrokerTopics(calls) }
}

/** Makes delays exact. */
function withoutChance (t: Teardown): void {
  const { random } = Math
  Math.random = () => 0
  t.teardown(() => { Math.random = random })
}

const REFUSED = new Error('refused')

test('the calls for one topic are made one after the other', async (t) => {
  const { calls, topics } = createTopics()
  const first = topics.subscribe('a')
  topics.unsubscribe('a')
  const again = topics.subscribe('a')
  topics.unsubscribe('a')
  topics.subscribe('b')
  t.equal(again, first)
  t.strictSame(calls.made, ['subscribe a', 'subscribe b'])
  await calls.answer()
  await first
  t.strictSame(calls.made.slice(2), ['unsubscribe a'])
  const late = topics.subscribe('a')
  await calls.answer()
  t.equal(calls.made.length, 3, 'it waits for its turn')
  await calls.answer()
  t.strictSame(calls.made.slice(3), ['subscribe a'])
  await calls.answer()
  await late
})

test('however often a client changes its mind, two further calls follow at most', async (t) => {
  const { calls, topics } = createTopics()
  for (let i = 0; i < 1000; i++) {
    topics.subscribe('a')
    topics.unsubscribe('a')
  }
  await calls.answer()
  for (let i = 0; i < 1000; i++) {
    topics.subscribe('a')
    topics.unsubscribe('a')
  }
  const wanted = topics.subscribe('a')
  topics.unsubscribe('a')
  await calls.answer()
  await wanted
  t.strictSame(calls.made, ['subscribe a', 'unsubscribe a'])
  // Nothing is kept: the next one is asked for.
  topics.subscribe('a')
  t.equal(calls.made.length, 3)
})

test('a topic that is settled is not asked for by its next subscribers', async (t) => {
  const { calls, topics } = createTopics()
  const first = topics.subscribe('a')
  t.equal(topics.join('a'), first)
  await calls.answer()
  await first
  t.equal(await topics.join('a'), undefined)
  t.strictSame(calls.made, ['subscribe a'])
})

test('a refused topic is asked for again, after twice the time each time', async (t) => {
  withoutChance(t)
  const timers = recordTimers(t)
  const { calls, topics } = createTopics()
  const refused = topics.subscribe('a')
  await calls.answer(REFUSED)
  await t.rejects(refused, REFUSED)
  const delays: number[] = []
  for (let i = 0; i < 7; i++) {
    delays.push(...timers.values())
    topics.join('a')
    t.equal(timers.size, 0, 'a further subscriber does not wait for the timer')
    await calls.answer(REFUSED)
  }
  t.strictSame(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  t.strictSame(new Set(calls.made.slice(1)), new Set(['again a']))
  topics.close()
  t.equal(timers.size, 0)
})

test('when the time is over, a refused topic is asked for without a subscriber', async (t) => {
  withoutChance(t)
  const held = holdTimers(t, MIN_RETRY_DELAY)
  const { calls, topics } = createTopics()
  topics.subscribe('a')
  await calls.answer(REFUSED)
  held.run()
  t.strictSame(calls.made, ['subscribe a', 'again a'])
  await calls.answer()
  t.equal(await topics.join('a'), undefined)
  topics.unsubscribe('a')
  await calls.answer()
  topics.subscribe('a')
  await calls.answer(REFUSED)
  t.equal(held.size, 1, 'after a success the delay is short again')
  topics.close()
})

test('delays differ at random, up to twice the time', async (t) => {
  const timers = recordTimers(t)
  const { calls, topics } = createTopics()
  for (let i = 0; i < 50; i++) topics.subscribe(`topic ${i}`)
  for (let i = 0; i < 50; i++) await calls.answer(REFUSED)
  const delays = [...timers.values()]
  t.equal(delays.length, 50)
  t.ok(new Set(delays).size > 1)
  t.ok(delays.every((delay) => delay >= MIN_RETRY_DELAY && delay < 2 * MIN_RETRY_DELAY))
  t.ok(MAX_RETRY_DELAY > MIN_RETRY_DELAY)
  topics.close()
})

test('a refused topic without subscribers is left, and not asked for again', async (t) => {
  const timers = recordTimers(t)
  const { calls, topics } = createTopics()
  topics.subscribe('a')
  topics.subscribe('b')
  await calls.answer(REFUSED)
  topics.unsubscribe('a')
  topics.unsubscribe('b')
  t.equal(timers.size, 0)
  await calls.answer(REFUSED)
  t.strictSame(calls.made, ['subscribe a', 'subscribe b', 'unsubscribe a', 'unsubscribe b'])
  await calls.answer(REFUSED)
  await calls.answer()
  t.equal(timers.size, 0)
})

test('a gap brings the refused topics back at once', async (t) => {
  const { calls, topics } = createTopics()
  for (const name of ['a', 'b', 'c']) topics.subscribe(name)
  await calls.answer(REFUSED)
  await calls.answer(REFUSED)
  topics.onGap()
  t.strictSame(calls.made.slice(3), ['subscribe a', 'subscribe b'])
  topics.close()
})

/** Topics that the broker has. */
async function createSettled (...names: string[]) {
  const { calls, topics } = createTopics()
  for (const name of names) {
    topics.subscribe(name)
    await calls.answer()
  }
  calls.made.length = 0
  return { calls, topics }
}

test('a topic that is lost is asked for again, and then a gap is announced', async (t) => {
  withoutChance(t)
  const held = holdTimers(t, MIN_RETRY_DELAY)
  const { calls, topics } = await createSettled('a')
  topics.lose('a', REFUSED)
  t.strictSame(calls.made, [], 'the broker has refused it a moment ago')
  held.run()
  t.strictSame(calls.made, ['again a'])
  const joined = topics.join('a')
  await calls.answer(REFUSED)
  await t.rejects(joined, REFUSED, 'a further subscriber learns of it')
  t.equal(calls.gaps, 0)
  const back = topics.join('a')
  await calls.answer()
  await back
  t.equal(calls.gaps, 1)
  t.equal(await topics.join('a'), undefined)
  t.strictSame(calls.made, ['again a', 'again a'])
})

test('a loss that is told twice waits for one retry', async (t) => {
  const timers = recordTimers(t)
  const { topics } = await createSettled('a')
  topics.lose('a', REFUSED)
  topics.lose('a', REFUSED)
  t.equal(timers.size, 1)
  topics.close()
})

test('a topic that is lost while it is asked for is refused, whatever the answer', async (t) => {
  const { calls, topics } = createTopics()
  const joined = topics.subscribe('a')
  topics.lose('a', REFUSED)
  await calls.answer()
  await t.rejects(joined, REFUSED)
  topics.join('a')
  await calls.answer()
  t.strictSame(calls.made, ['subscribe a', 'again a'])
  t.equal(calls.gaps, 1)
})

test('a topic that is lost while it is left missed nothing for the next subscriber', async (t) => {
  const { calls, topics } = await createSettled('a')
  topics.unsubscribe('a')
  topics.lose('a', REFUSED)
  const again = topics.subscribe('a')
  await calls.answer()
  await calls.answer()
  await again
  t.strictSame(calls.made, ['unsubscribe a', 'subscribe a'])
  t.equal(calls.gaps, 0)
})

test('topics that were lost come back together, with one gap', async (t) => {
  const { calls, topics } = await createSettled('a', 'b', 'c', 'd')
  for (const name of ['a', 'b', 'c']) topics.lose(name, REFUSED)
  topics.join('b')
  topics.subscribe('new')
  await calls.answer()
  t.strictSame(calls.made, ['again b', 'subscribe new', 'again a', 'again c'])
  await calls.answer()
  await calls.answer(REFUSED)
  t.equal(calls.gaps, 0, 'one of them is still asked for')
  await calls.answer()
  t.equal(calls.gaps, 1)
  t.equal(calls.made.length, 4, 'the one that was refused again waits')
  topics.close()
})

test('a gap comes when the topics that wait for their retry have been asked for', async (t) => {
  const { calls, topics } = await createSettled('lost')
  topics.subscribe('refused')
  await calls.answer(REFUSED)
  topics.lose('lost', REFUSED)
  topics.onGap()
  t.strictSame(calls.made, ['subscribe refused', 'subscribe refused'])
  t.equal(calls.gaps, 0)
  await calls.answer(REFUSED)
  t.equal(calls.gaps, 1)
  topics.close()
})

test('what is under way rejects at close, and so does what comes later', async (t) => {
  const timers = recordTimers(t)
  const { calls, topics } = createTopics()
  const never = topics.subscribe('a')
  const refused = topics.subscribe('b')
  topics.close()
  await t.rejects(never, { code: 'FST_WS_BROKER', message: /closed/ })
  await t.rejects(refused, { code: 'FST_WS_BROKER', message: /closed/ })
  await calls.answer(REFUSED)
  await calls.answer()
  t.equal(timers.size, 0)
})

/** A subscriber that is no connection. */
function createSubscriber (): Subscriber {
  return { subscriptions: null, deliver () {} }
}

/** A hub with a broker in memory, and its log. */
function createHub (t: Teardown) {
  const broker = new MemoryBus().connect()
  const logs = new Logs()
  const hub = new Hub()
  const link = new BrokerLink(hub, broker, createFastify(t, { logger: logs.logger }).log, () => {})
  t.teardown(() => link.close(0))
  const levels = (): number[] => logs.lines
    .filter(({ msg }) => msg === 'websocket topics: the broker has failed')
    .map(({ level }) => level)
  return { broker, hub, link, levels }
}

test('a topic that is subscribed to before the broker is open is asked for then', async (t) => {
  const { broker, hub, link } = createHub(t)
  t.equal(await hub.subscribe(createSubscriber(), 'early'), undefined)
  await link.open()
  t.strictSame(broker.calls, ['subscribe early'])
})

test('after the end, neither a loss nor a topic that comes back is told of', async (t) => {
  const { broker, hub, link, levels } = createHub(t)
  await link.open()
  const subscriber = createSubscriber()
  await hub.subscribe(subscriber, 'a')
  broker.report(REFUSED, 'a')
  let answer = (): void => {}
  broker.subscribe = () => new Promise((resolve) => { answer = resolve })
  const back = hub.subscribe(subscriber, 'a')
  await link.close(0)
  await t.rejects(back, { code: 'FST_WS_BROKER', message: /closed/ })
  answer()
  await turn()
  broker.report(REFUSED, 'a')
  t.equal(hub.counts.gaps, 0)
  t.strictSame(levels(), [])
})

test('a broker is that of one registration, until that has closed', async (t) => {
  const { broker, link } = createHub(t)
  const other = new BrokerLink(new Hub(), broker, createFastify(t).log, () => {})
  await link.open()
  await t.rejects(other.open(), { code: 'FST_WS_BROKER', message: /another registration/ })
  await other.close(0)
  t.strictSame(broker.calls, [], 'what belongs to the first one is not closed by the second')
  await link.close(0)
  await t.resolves(other.open())
  await other.close(0)
  t.strictSame(broker.calls, ['close', 'close'])
})

test('retries are logged for debug, and begin no outage', async (t) => {
  withoutChance(t)
  const held = holdTimers(t, MIN_RETRY_DELAY)
  const { broker, hub, link, levels } = createHub(t)
  await link.open()
  broker.failure = REFUSED
  await t.rejects(hub.subscribe(createSubscriber(), 'sealed'), { code: 'FST_WS_BROKER' })
  broker.failure = null
  await hub.publish('other', 'x', undefined, null)
  broker.failure = REFUSED
  held.run()
  await turn()
  t.strictSame(levels(), [ERROR, DEBUG])
  await t.rejects(hub.publish('other', 'x', undefined, null), { code: 'FST_WS_BROKER' })
  t.strictSame(levels(), [ERROR, DEBUG, ERROR])
})

test('what began before a failure ends no outage when it succeeds', async (t) => {
  const { broker, hub, link, levels } = createHub(t)
  await link.open()
  const published = hub.publish('room', 'under way', undefined, null)
  broker.report(new Error('connection lost'))
  await published
  broker.report(new Error('connection refused'))
  t.strictSame(levels(), [ERROR, DEBUG])
  await hub.publish('room', 'again', undefined, null)
  broker.report(new Error('connection lost'))
  t.strictSame(levels(), [ERROR, DEBUG, ERROR])
})
