// The page on topics: its programs run, with real servers, and do what it says.
import t, { test, type Test } from 'tap'
import Ioredis from 'ioredis'
import { startBroker, whySkipBroker } from '../helpers/brokers'
import { connect, type Client } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import type { Program } from '../helpers/program'

t.setTimeout(120_000)

const PAGE = new Document('docs/topics.md', {
  "fastify.addHook('preClose'": `
process.once('SIGTERM', () => { fastify.close() })
fastify.addHook('preClose'`
})

/** Waits until a client is subscribed, and returns it. */
async function checkSubscribed (t: Test, url: string): Promise<Client> {
  const client = await connect(t, url)
  t.equal(await client.nextText(), 'from now on')
  return client
}

/** Publishes as any program can, on a topic that a client is subscribed to. */
async function checkForeign (t: Test, client: Client, topic: string): Promise<void> {
  const redis = new Ioredis(String(process.env['REDIS_URL']))
  await redis.publish(`ws:${topic}`, 'hello')
  redis.disconnect()
  t.equal(await client.nextText(), 'hello')
}

/** Breaks the connections to Redis, and meanwhile adds to the history as another process does. */
async function checkMissed (t: Test, client: Client): Promise<void> {
  const redis = new Ioredis(String(process.env['REDIS_URL']))
  const kill = async (): Promise<void> => {
    for (const type of ['normal', 'pubsub']) {
      await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
    }
  }
  for (let i = 0; i < 10; i++) {
    const text = `missed ${i}`
    await Promise.all([kill(), redis.xadd('history:room', '*', 'text', text)])
    while (JSON.parse(await client.nextText()).text !== text);
  }
  // What is read is no history any longer.
  await Promise.all([kill(), redis.set('history:room', 'no stream')])
  t.match(await client.closed, { code: 1011 })
  await redis.del('history:room')
  redis.disconnect()
}

/** Closes an application with the last client of the topic `people`. The others are told. */
async function checkShutdown (t: Test, program: Program, last: Client): Promise<void> {
  const redis = new Ioredis(String(process.env['REDIS_URL']))
  t.teardown(() => redis.disconnect())
  program.signal('SIGTERM')
  t.equal(await last.nextText(), '[]')
  t.match(await last.closed, { code: 1001 })
  t.strictSame(await redis.hgetall('people'), {})
  const { code, output } = await program.ended
  t.equal(code, 0)
  t.notMatch(output, /"level":[456]0/, 'no error and no warning is logged')
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: '/rooms/:room',
    async check (t, origin) {
      const clients = [
        await connect(t, `${origin}/rooms/1`), await connect(t, `${origin}/rooms/1`)
      ]
      const other = await connect(t, `${origin}/rooms/2`)
      clients[0]?.send('from a client')
      t.equal(await clients[1]?.nextText(), 'from a client')
      for (const room of [1, 2]) {
        await fetch(`${origin.replace('ws', 'http')}/rooms/${room}`, {
          method: 'POST', body: `to room ${room}`, headers: { 'content-type': 'text/plain' }
        })
      }
      for (const client of clients) t.equal(await client.nextText(), 'to room 1')
      t.equal(await other.nextText(), 'to room 2')
    }
  },
  {
    marker: "redisBroker({ client }) })\n\nfastify.get('/news'",
    async check (t, origin) {
      await checkForeign(t, await checkSubscribed(t, `${origin}/news`), 'news')
    }
  },
  {
    marker: 'natsBroker',
    async check (t, origin) { await checkSubscribed(t, `${origin}/news`) }
  },
  {
    marker: 'volatile',
    async check (t, origin) {
      const client = await connect(t, `${origin}/prices`)
      t.equal(await client.nextText(), '{"price":42}')
    }
  },
  {
    marker: 'xrange',
    async check (t, origin) {
      const first = await connect(t, `${origin}/history`)
      for (const text of ['one', 'two', 'three']) first.send(text)
      const seen = new Map<string, string>()
      while (seen.size < 3) {
        const { id, text } = JSON.parse(await first.nextText())
        seen.set(id, text)
      }
      t.strictSame([...seen.values()].sort(), ['one', 'three', 'two'])
      const [id = ''] = [...seen.keys()].sort()
      const late = await connect(t, `${origin}/history?after=${id}`)
      const missed = new Set<string>()
      while (missed.size < 3) missed.add(JSON.parse(await late.nextText()).id)
      t.strictSame([...missed].sort(), [...seen.keys()].sort(), 'with those of the last seconds')
      await checkMissed(t, late)
    }
  },
  {
    marker: 'hgetall',
    async check (t, origin, program) {
      const ada = await connect(t, `${origin}/people?name=Ada`)
      t.equal(await ada.nextText(), '["Ada"]')
      const bob = await connect(t, `${origin}/people?name=Bob`)
      t.equal(await ada.nextText(), '["Ada","Bob"]')
      t.equal(await bob.nextText(), '["Ada","Bob"]')
      const second = await connect(t, `${origin}/people?name=Bob`)
      t.equal(await second.nextText(), '["Ada","Bob"]')
      t.equal(await ada.nextText(), '["Ada","Bob"]')
      second.close()
      t.equal(await ada.nextText(), '["Ada","Bob"]', 'Bob has another connection')
      ada.close()
      while (await bob.nextText() !== '["Bob"]');
      await checkShutdown(t, program, bob)
    }
  },
  {
    marker: 'fastifyRedis',
    async check (t, origin) {
      await checkForeign(t, await checkSubscribed(t, `${origin}/shared`), 'shared')
    }
  },
  {
    marker: 'mqemitter()',
    async check (t, origin) { await checkSubscribed(t, `${origin}/emitted`) }
  },
  {
    marker: 'cluster.isPrimary',
    async check (t, origin, program) {
      await program.until(/Server listening[^]*Server listening/)
      const processes = new Map<string, Client>()
      // The system hands the connections around.
      while (processes.size < 2) {
        const client = await connect(t, `${origin}/cluster`)
        processes.set(await client.nextText(), client)
      }
      const [one, other] = [...processes.values()]
      one?.send('hello')
      t.equal(await other?.nextText(), 'hello')
    }
  }
]

const skip = whySkipBroker('ioredis 6') || whySkipBroker('nats')

test('every program of the page does what it says', { skip }, async (t) => {
  const [redis, nats] = [await startBroker(t, 'ioredis 6'), await startBroker(t, 'nats')]
  process.env['REDIS_URL'] = `redis://127.0.0.1:${redis.port}`
  process.env['NATS_URL'] = `nats://127.0.0.1:${nats.port}`
  await PAGE.run(t, SCENARIOS)
})
