// 100,000 channels are there again after a restart of Redis.
import Ioredis from 'ioredis'
import t, { test } from 'tap'
import { connectBroker, startBroker, whySkipBroker } from '../helpers/brokers'

t.setTimeout(120_000)

const COUNT = 100_000

test(`${COUNT} channels are back`, { skip: whySkipBroker('ioredis 6') }, async (t) => {
  const server = await startBroker(t, 'ioredis 6')
  const { broker, end } = await connectBroker('ioredis 6', server.port)
  t.teardown(end)
  const gap = new Promise<void>((resolve) => { broker.open(() => {}, () => {}, resolve) })
  await Promise.all(Array.from({ length: COUNT }, (_, i) => broker.subscribe(`topic ${i}`)))
  await server.kill()
  await server.start()
  await gap
  const admin = new Ioredis(server.port)
  t.teardown(() => admin.disconnect())
  t.equal((await admin.pubsub('CHANNELS')).length, COUNT)
  await broker.close()
})
