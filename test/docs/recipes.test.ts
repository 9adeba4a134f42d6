// The recipes: their programs run and do what the page says.
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import t, { test } from 'tap'
import { WebSocketServer, type WebSocket } from 'ws'
import { connect, refused } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'

t.setTimeout(120_000)

const PAGE = new Document('docs/recipes.md')

const SIXTY_DAYS = 60 * 24 * 60 * 60

/** A token with the secret of the page. */
function sign (payload: object): string {
  const parts = [{ alg: 'HS256', typ: 'JWT' }, payload].map((part) => {
    return Buffer.from(JSON.stringify(part)).toString('base64url')
  })
  const hmac = createHmac('sha256', 'one that is not in the code').update(parts.join('.'))
  return [...parts, hmac.digest('base64url')].join('.')
}

function withToken (token: string): { headers: { authorization: string } } {
  return { headers: { authorization: `Bearer ${token}` } }
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'createBucket',
    async check (t, origin) {
      const client = await connect(t, `${origin}/limited`)
      for (let count = 0; count < 21; count++) client.send('hello')
      for (let count = 0; count < 20; count++) {
        t.equal(await client.nextText(), 'You said: hello')
      }
      t.equal(await client.nextText(), 'slow down')
      for (let count = 0; count < 100; count++) client.send('more')
      t.same(await client.closed, { code: 1008, reason: 'too many messages' })
      t.strictSame(client.unread, [], 'what is too much is dropped')
      const other = await connect(t, `${origin}/limited`)
      other.send('hello')
      t.equal(await other.nextText(), 'You said: hello')
    }
  },
  {
    marker: 'closeAt',
    async check (t, origin, program) {
      t.match(await refused(t, `${origin}/private`), { statusCode: 401 })
      const http = origin.replace('ws', 'http')
      const token = await (await fetch(`${http}/login`)).text()
      const expiring = await connect(t, `${origin}/private`, withToken(token))
      t.equal(await expiring.nextText(), 'hello, Ada')
      t.same(await expiring.closed, { code: 4401, reason: 'token expired' })

      const exp = Math.floor(Date.now() / 1000) + SIXTY_DAYS
      const [ada, bob] = ['Ada', 'Bob'].map((name) => withToken(sign({ name, exp })))
      const clients = [
        await connect(t, `${origin}/private`, ada), await connect(t, `${origin}/private`, ada)
      ]
      const other = await connect(t, `${origin}/private`, bob)
      t.equal(await other.nextText(), 'hello, Bob')
      const { status } = await fetch(`${http}/logout`, { method: 'POST', ...ada })
      t.equal(status, 200)
      for (const { closed } of clients) t.same(await closed, { code: 4401, reason: 'logged out' })
      other.socket.ping()
      await once(other.socket, 'pong')
      t.equal(other.socket.readyState, other.socket.OPEN)
      t.notMatch((await program.kill()).output, /TimeoutOverflowWarning/)
    }
  },
  {
    marker: 'stayConnected',
    async check (t, origin, program) {
      const address = { host: '127.0.0.1', port: Number(new URL(origin).port) }
      let server = new WebSocketServer(address)
      t.teardown(() => { server.close() })
      const nextClient = async (): Promise<WebSocket> => {
        const [socket] = await once(server, 'connection')
        const [message] = await once(socket, 'message')
        t.equal(String(message), 'since yesterday')
        return socket
      }
      const first = await nextClient()
      first.send('one')
      t.ok(await program.until(/^news: one$/m))
      let next = nextClient()
      first.close(1012)
      const second = await next
      next = nextClient()
      second.terminate()
      const third = await next
      server.close()
      third.terminate()
      await once(server, 'close')
      server = new WebSocketServer(address)
      const last = await nextClient()
      last.send('that was all')
      await once(last, 'close')
      t.ok(await program.until(/^news: that was all$/m))
    }
  }
]

test('every program of the page does what it says', async (t) => {
  await PAGE.run(t, SCENARIOS)
})
