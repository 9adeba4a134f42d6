// The page on what happens: its programs run and do what it says, and its tables name all there is.
import t, { test } from 'tap'
import { connect, refused } from '../helpers/client'
import * as channels from '../../src/observe/channels'
import { Document, unquote, type Scenario } from '../helpers/documents'
import { serve } from '../helpers/plugin'

t.setTimeout(120_000)

const PAGE = new Document('docs/observe.md')

const SCENARIOS: readonly Scenario[] = [
  {
    marker: "get('/stats'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/echo`)
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
      const answer = await fetch(`${origin.replace('ws', 'http')}/stats`)
      t.match(await answer.json(), { open: 1, accepted: 1, messagesReceived: 1, bytesSent: 5 })
    }
  },
  {
    marker: 'RefusedMessage',
    async check (t, origin, program) {
      const client = await connect(t, `${origin}/echo`, { origin: 'https://example.com' })
      client.close(4001)
      await program.until(/^\/echo closed with 4001 after \d+ ms$/m)
      t.equal((await refused(t, `${origin}/echo`, { origin: 'https://example.org' })).statusCode, 403)
      await program.until(/^\/echo refused with 403 FST_WS_ORIGIN_NOT_ALLOWED$/m)
    }
  },
  {
    marker: "closeLog: 'info'",
    async check (t, origin, program) {
      const client = await connect(t, `${origin}/echo`)
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
      client.close(4002, 'bye')
      const [line] = await program.until(/^.*websocket connection closed.*$/m)
      const { level, reqId, code, reason, ...rest } = JSON.parse(line)
      t.strictSame([level, reqId, code, reason], [30, 'req-1', 4002, 'bye'])
      for (const [name] of PAGE.rows('field')) t.ok(line.includes(`"${unquote(name)}":`), `${name}`)
      t.match(rest, { messagesReceived: 1, messagesSent: 1 })
      t.match(rest, { frameBytesReceived: 22, frameBytesSent: 14 })
    }
  }
]

test('every program of the page does what it says', async (t) => {
  await PAGE.run(t, SCENARIOS)
})

test('the page has all numbers, in their order', async (t) => {
  const { fastify } = await serve(t, {})
  const numbers = PAGE.rows('number').map(([name]) => unquote(name))
  t.strictSame(numbers, Object.keys(fastify.websocketServer.stats()))
})

test('the page has all channels', async (t) => {
  const named = PAGE.rows('channel').map(([name]) => unquote(name))
  t.strictSame(named.sort(), Object.values(channels).map(({ name }) => name).sort())
})
