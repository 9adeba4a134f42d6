// Without a subscriber of a channel, no message is made for it.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test, type Test } from 'tap'
import * as channels from '../../src/observe/channels'
import { connect, refused } from '../helpers/client'
import { MemoryBus } from '../helpers/memory-broker'
import { serve } from '../helpers/plugin'
import { until } from '../helpers/streams'

const ALL = Object.values(channels)
const NAMES = ALL.map(({ name }) => name)

/** The names of the channels that something is published on while the test runs. */
function watchPublish (t: Test): unknown[] {
  const names: unknown[] = []
  for (const channel of ALL) {
    // Node.js replaces the methods of a channel when it gets a subscriber. This one stays.
    Object.defineProperty(channel, 'publish', {
      value: () => { names.push(channel.name) }, configurable: true
    })
    t.teardown(() => Reflect.deleteProperty(channel, 'publish'))
  }
  return names
}

/** A connection that fails, one that ends, an upgrade that is refused, and a gap. */
async function live (t: Test): Promise<void> {
  const broker = new MemoryBus().connect()
  const { fastify, origin } = await serve(t, {
    plugin: { broker },
    declare (fastify) {
      fastify.get('/ends', { websocket: true }, () => {})
      fastify.get('/fails', { websocket: true }, () => { throw new Error('broken') })
    }
  })
  await refused(t, `${origin}/nowhere`)
  broker.gap()
  await (await connect(t, `${origin}/fails`)).closed
  const client = await connect(t, `${origin}/ends`)
  client.close()
  await client.closed
  await until(() => fastify.websocketServer.stats().open === 0)
  t.match(fastify.websocketServer.stats(), {
    accepted: 2, closed: { 1005: 1, 1011: 1 }, refused: [{ statusCode: 404 }], gaps: 1
  })
}

test('without subscribers nothing is published on any channel', async (t) => {
  const published = watchPublish(t)
  await live(t)
  t.strictSame(published, [])
})

for (const name of NAMES) {
  test(`with a subscriber of ${String(name)}, something is published only there`, async (t) => {
    const published = watchPublish(t)
    const onMessage = (): void => {}
    subscribe(name, onMessage)
    t.teardown(() => unsubscribe(name, onMessage))
    await live(t)
    t.strictSame([...new Set(published)], [name])
  })
}
