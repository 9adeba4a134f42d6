// The guide is true: its programs compile and do what it says.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { WebSocket } from 'ws'
import { Client, connect, refused } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'

// It compiles and starts some twenty programs.
t.setTimeout(120_000)

const GUIDE = new Document('docs/guide.md')

async function checkEcho (t: Test, url: string): Promise<void> {
  const client = await connect(t, url)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
}

/** Connects as the line for a page does. WebSocket is here that of ws. */
async function openInPage (t: Test, origin: string): Promise<Client> {
  const line = GUIDE.blocks('js').join()
  const code = line.replace('ws://localhost:3000', origin)
  t.not(code, line)
  // eslint-disable-next-line no-new-func -- the text of a document is a program
  const open = new Function('WebSocket', 'token', `return ${code}`)
  const client = new Client(open(WebSocket, 'secret'))
  t.teardown(() => { client.socket.terminate() })
  await once(client.socket, 'open')
  return client
}

const SCENARIOS: readonly Scenario[] = [
  {
    marker: 'handle: (connection) => { connection.pipe(connection) }\n})',
    check: (t, origin) => checkEcho(t, `${origin}/any/path`)
  },
  {
    marker: "'/rooms/:room'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/rooms/blue/`)
      t.equal(await client.nextText(), 'Welcome to blue')
      const plain = await fetch(`${origin.replace('ws', 'http')}/rooms/blue`)
      t.equal(plain.status, 404)
      t.match(await refused(t, `${origin}/other`), { statusCode: 404 })
    }
  },
  {
    marker: "url: '/news'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/news`)
      t.equal(await client.nextText(), 'no news')
      const plain = await fetch(`${origin.replace('ws', 'http')}/news`)
      t.same(await plain.json(), { news: [] })
    }
  },
  {
    marker: "'/messages'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/messages`)
      client.send('hello')
      t.equal(await client.nextText(), '{"received":"hello"}')
      client.send(Buffer.from('hello'))
      t.match(await client.closed, { code: 1003 })
    }
  },
  {
    marker: "'/slow-start'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/slow-start`)
      client.send('here')
      t.equal(await client.nextText(), 'here, at last')
    }
  },
  {
    marker: "'/download'",
    async check (t, origin, program, folder) {
      const client = await connect(t, `${origin}/download`)
      t.match(await client.closed, { code: 1000 })
      const received = Buffer.concat(client.unread.map(({ data }) => data))
      t.same(received, readFileSync(join(folder, 'package.json')))

      const upload = await connect(t, `${origin}/upload`)
      upload.send('some ')
      upload.send('bytes')
      upload.close()
      await program.until(/upload complete/)
      t.equal(readFileSync(join(folder, 'upload.bin'), 'utf8'), 'some bytes')
    }
  },
  {
    marker: "'/shout'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/shout`)
      client.send('hello')
      const { text, isBinary } = await client.next()
      t.equal(text, 'HELLO')
      t.notOk(isBinary)
    }
  },
  {
    marker: "'/numbers'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/numbers`)
      await client.closed
      const received = Buffer.concat(client.unread.map(({ data }) => data)).toString()
      t.equal(received.length, 6_888_890)
      t.ok(received.endsWith('\n999999\n'))
    }
  },
  {
    marker: "'/once'",
    async check (t, origin, program) {
      const client = await connect(t, `${origin}/once`)
      client.send('hello')
      t.same(await client.closed, { code: 4000, reason: 'one is enough' })
      t.ok(await program.until(/closed with 4000 one is enough/))
    }
  },
  {
    marker: "'/fail'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/fail`)
      t.same(await client.closed, { code: 1011, reason: 'sorry' })
    }
  },
  {
    marker: "'/room'",
    async check (t, origin) {
      const clients = [await connect(t, `${origin}/room`), await connect(t, `${origin}/room`)]
      clients[0]?.send('hello')
      for (const client of clients) t.equal(await client.nextText(), 'hello')
    }
  },
  {
    marker: "'/prices'",
    async check (t, origin) {
      const client = await connect(t, `${origin}/prices`)
      client.send('eggs')
      t.equal(await client.nextText(), 'eggs: 42')
      client.send('x'.repeat(1025))
      t.match(await client.closed, { code: 1009 })
    }
  },
  {
    marker: "'same-host'",
    async check (t, origin) {
      t.match(await refused(t, `${origin}/account`, { origin: 'https://evil.example' }), {
        statusCode: 403
      })
      const client = await connect(t, `${origin}/account`, { origin: origin.replace('ws', 'http') })
      t.equal(await client.nextText(), 'welcome back')
    }
  },
  {
    marker: "'/private'",
    async check (t, origin) {
      t.match(await refused(t, `${origin}/private`), {
        statusCode: 401, body: '{"message":"who are you?"}'
      })
      const headers = { authorization: 'Bearer secret' }
      const client = await connect(t, `${origin}/private`, { headers })
      t.equal(await client.nextText(), 'welcome')
    }
  },
  {
    marker: "'/talk'",
    async check (t, origin) {
      t.match(await refused(t, `${origin}/talk`, {}, ['chat', 'token.guess']), {
        statusCode: 401, body: '{"message":"who are you?"}'
      })
      const client = await openInPage(t, origin)
      t.equal(await client.nextText(), 'welcome')
      t.equal(client.socket.protocol, 'chat')
      const other = await connect(t, `${origin}/talk`, {}, ['token.secret', 'chat'])
      t.equal(other.socket.protocol, 'chat', 'the token is not sent back')
    }
  },
  {
    marker: 'verifyClient: (',
    async check (t, origin) {
      t.match(await refused(t, origin), { statusCode: 403, body: 'not from there' })
      const client = await connect(t, origin, { origin: 'https://example.com' })
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
    }
  },
  {
    marker: 'chat.v2',
    async check (t, origin) {
      const modern = await connect(t, `${origin}/chat`, {}, ['chat.v1', 'chat.v2'])
      t.equal(modern.socket.protocol, 'chat.v2')
      t.equal(await modern.nextText(), 'we speak chat.v2')
      const answer = { statusCode: 400, body: '{"message":"speak chat.v2"}' }
      t.match(await refused(t, `${origin}/chat`, {}, ['chat.v1']), answer)
      t.match(await refused(t, `${origin}/chat`), answer)
    }
  },
  {
    marker: 'injectWS(',
    async check (t, origin, program) {
      t.ok(await program.until(/got hello/))
    }
  }
]

test('every block of code compiles and does what the guide says', async (t) => {
  // The check of a server runs the line for a page.
  const pageLines = 1
  await GUIDE.run(t, SCENARIOS, pageLines)
})
