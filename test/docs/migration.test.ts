// The guide for those who move here: its programs run, those before on the package that they are
// for, if it is installed, and those here; both do what the guide says of them.
import { once } from 'node:events'
import t, { test, type Test } from 'tap'
import { connect, refused } from '../helpers/client'
import { Document, type Scenario } from '../helpers/documents'
import type { Program } from '../helpers/program'

// It compiles and starts some thirty programs.
t.setTimeout(120_000)

const GUIDE = new Document('docs/migration.md')

/** Programs of packages that are not installed: three of fastify-websocket, one of express-ws. */
const NOT_INSTALLED = 4

type Check = Scenario['check']

/** One check for the program before and the program here. */
function pair (before: string, here: string, check: Check): Scenario[] {
  return [{ marker: before, language: 'js', check }, { marker: here, check }]
}

function here (marker: string, check: Check): Scenario {
  return { marker, check }
}

async function checkReply (t: Test, url: string, text: string, reply: string): Promise<void> {
  const client = await connect(t, url)
  client.send(text)
  t.equal(await client.nextText(), reply)
}

async function checkQuery (t: Test, origin: string): Promise<void> {
  await checkReply(t, `${origin}/hello?name=Ada`, 'hi', 'Ada said hi')
}

async function checkErrors (t: Test, origin: string): Promise<void> {
  const failed = await connect(t, `${origin}/fail`)
  t.same(await failed.closed, { code: 4500, reason: 'as announced' })
  const parsed = await connect(t, `${origin}/parse`)
  parsed.send('[1, 2]')
  t.equal(await parsed.nextText(), '2')
  parsed.send('[')
  t.same(await parsed.closed, { code: 4500, reason: 'no JSON' })
}

async function checkGoodbye (t: Test, origin: string, program: Program): Promise<void> {
  const client = await connect(t, origin)
  t.equal(await client.nextText(), 'welcome')
  const { code } = await program.kill('SIGTERM')
  t.equal(code, 0)
  t.same(await client.closed, { code: 4001, reason: 'back in a minute' })
}

async function checkRoutes (t: Test, origin: string): Promise<void> {
  const page = await fetch(origin.replace('ws', 'http'))
  t.equal(await page.text(), 'a page')
  const client = await connect(t, `${origin}/echo`)
  client.send('text')
  t.match(await client.next(), { text: 'text', isBinary: false })
  client.send(Buffer.from('bytes'))
  t.match(await client.next(), { text: 'bytes', isBinary: true })
  const clock = await connect(t, `${origin}/clock`)
  t.match(await clock.nextText(), /^\d{4}-\d\d-\d\dT/)
  t.match(await refused(t, `${origin}/other`), { statusCode: 404 })
}

async function checkIdentity (t: Test, origin: string): Promise<void> {
  t.match(await refused(t, origin), { statusCode: 401, body: 'who are you?' })
  const client = await connect(t, origin, { headers: { authorization: 'Bearer secret' } })
  t.equal(await client.nextText(), 'you are secret')
}

async function checkBroadcast (t: Test, origin: string): Promise<void> {
  const clients = [await connect(t, origin), await connect(t, origin)]
  clients[0]?.send('hello')
  for (const client of clients) t.equal(await client.nextText(), 'hello')
}

async function checkPings (t: Test, origin: string): Promise<void> {
  const alive = await connect(t, origin)
  const silent = await connect(t, origin, { autoPong: false })
  t.match(await silent.closed, { code: 1006 })
  await once(alive.socket, 'ping')
  t.equal(alive.socket.readyState, alive.socket.OPEN)
}

const SCENARIOS: readonly Scenario[] = [
  here("message === 'hi'", async (t, origin) => {
    await checkReply(t, `${origin}/rooms/blue`, 'hi', 'hi from blue')
    const echo = await connect(t, `${origin}/any/path`)
    echo.send(Buffer.from('bytes'))
    t.match(await echo.next(), { text: 'bytes', isBinary: true })
  }),
  here("'/users/:id'", async (t, origin) => {
    const client = await connect(t, `${origin}/users/7`)
    t.match(await client.next(), { text: 'user 7', isBinary: true })
  }),
  here("'/hello', { websocket: true }, (connection, req, request)", checkQuery),
  ...pair("'/hello', { websocket: true }, (socket, request)",
    "'/hello', { websocket: true }, ({ socket }, req, request)", checkQuery),
  ...pair("'/unchanged'", "'/unchanged'", async (t, origin, program) => {
    const client = await connect(t, `${origin}/unchanged`)
    client.send('text')
    t.equal(await client.nextText(), 'true at /unchanged')
    const broken = await connect(t, `${origin}/broken`)
    t.same(await broken.closed, { code: 4500, reason: 'as announced' })
    t.equal((await program.kill('SIGTERM')).code, 0)
    t.same(await client.closed, { code: 4001, reason: 'see you' })
  }),
  here("'/session'", (t, origin) => checkReply(t, `${origin}/session`, 'hi', 'Ada: hi')),
  ...pair("'/parse'", "'/parse'", checkErrors),
  ...pair("'back in a minute'", "'back in a minute'", checkGoodbye),
  {
    marker: 'injectWS(',
    language: 'js',
    async check (t, origin, program) {
      t.ok(await program.until(/hello Ada/))
      t.ok(await program.until(/Unexpected server response: 401/))
    }
  },
  here('injectWS(', async (t, origin, program) => {
    t.ok(await program.until(/hello Ada/))
    t.ok(await program.until(/^401$/m))
  }),
  ...pair("'/clock'", "'/clock'", checkRoutes),
  ...pair('headers.authorization.slice', "getDecorator('user')", checkIdentity),
  ...pair('client.send(String(message))', 'client.send(message)', checkBroadcast),
  ...pair('socket.isAlive', 'heartbeat: 500', checkPings),
  ...pair('createWebSocketStream(socket)', 'connection.pipe(connection) })',
    (t, origin) => checkReply(t, origin, 'hi', 'hi')),
  here("'/:room'", async (t, origin) => {
    const page = await fetch(origin.replace('ws', 'http'))
    t.equal(await page.text(), 'a page')
    await checkReply(t, `${origin}/echo`, 'hi', 'hi')
    t.match(await refused(t, `${origin}/rooms/blue?name=Ada`), {
      statusCode: 401, body: 'who are you?'
    })
    const client = await connect(t, `${origin}/rooms/blue?name=Ada&token=secret`)
    t.equal(await client.nextText(), 'welcome to blue, Ada')
  })
]

test('every program of the guide does what its pair did', async (t) => {
  await GUIDE.run(t, SCENARIOS, NOT_INSTALLED)
})
