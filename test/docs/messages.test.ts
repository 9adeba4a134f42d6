// The page about messages: its programs run and do what it says.
import t, { test } from 'tap'
import { connect, type Client } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'

t.setTimeout(120_000)

const PAGE = new Document('docs/messages.md')

async function answerOf (client: Client, message: unknown): Promise<unknown> {
  client.send(JSON.stringify(message))
  return JSON.parse(await client.nextText())
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'Say | Bye',
    async check (t, origin) {
      const client = await connect(t, `${origin}/rooms/red`)
      t.same(await answerOf(client, { type: 'say', text: 'hi' }), { room: 'red', text: 'HI' })
      client.send('{"type":"bye"}')
      t.match(await client.closed, { code: 1000 })
      const other = await connect(t, `${origin}/rooms/red`)
      other.send(JSON.stringify({ type: 'say', text: 'x'.repeat(101) }))
      t.match(await other.closed, { code: 1008 })
    }
  },
  {
    marker: 'errorHandler',
    async check (t, origin) {
      const client = await connect(t, `${origin}/double`)
      t.same(await answerOf(client, {}), { error: "message must have required property 'n'" })
      t.same(await answerOf(client, { n: 2 }), { n: 4 })
    }
  },
  {
    marker: 'connection.serialize',
    async check (t, origin) {
      const clients = [await connect(t, `${origin}/news`), await connect(t, `${origin}/news`)]
      clients[0]?.send('{"text":"new"}')
      for (const client of clients) t.equal(await client.nextText(), '{"text":"new"}')
    }
  },
  {
    marker: 'ZodTypeProvider',
    async check (t, origin) {
      const client = await connect(t, `${origin}/reminders`)
      client.send('{"type":"add","day":"2026-01-01"}')
      t.same(await answerOf(client, { type: 'list' }), { weekdays: [4] })
      client.send('{"type":"add","day":"tomorrow"}')
      t.match(await client.closed, { code: 1008, reason: /^message\/day / })
    }
  },
  {
    marker: 'fastify.asyncapi',
    async check (t, origin) {
      const document = await (await fetch(`${origin.replace('ws', 'http')}/asyncapi.json`)).json()
      t.match(document, {
        asyncapi: '3.0.0',
        channels: { 'rooms-room': { address: '/rooms/{room}', messages: { Say: {} } } }
      })
    }
  }
]

test('every block of code compiles and does what the page says', async (t) => {
  await PAGE.run(t, SCENARIOS)
})
