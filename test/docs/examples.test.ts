import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { startBroker, whySkipBroker } from '../helpers/brokers'
import { connect, refused, type Client } from '../helpers/client'
import { hasNginx } from '../helpers/nginx'
import { whySkip } from '../helpers/optional'
import { ROOT, startExample } from '../helpers/program'
import { findPort, portOf, type Teardown } from '../helpers/servers'
import { turn } from '../helpers/streams'

// Each test starts a program of TypeScript, which takes seconds on a busy machine.
t.setTimeout(120_000)

// It starts some ten programs.
t.setTimeout(120_000)

// It starts some ten programs.
t.setTimeout(120_000)

/** Runs an example and returns its `http://` and its `ws://` origin. */
async function start (t: Teardown, name: string): Promise<{ http: string, ws: string }> {
  const address = await startExample(t, name).address()
  return { http: address, ws: address.replace('http', 'ws') }
}

test('global-handler.ts echoes on every path', async (t) => {
  const { ws } = await start(t, 'global-handler.ts')
  for (const path of ['/', '/any/path?at=all']) {
    const client = await connect(t, ws + path)
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
  }
})

test('route-handler.ts greets by name and answers text only', async (t) => {
  const { http, ws } = await start(t, 'route-handler.ts')
  const client = await connect(t, `${ws}/hello/Ada`)
  t.equal(await client.nextText(), 'Hello Ada, say something.')
  client.send('hi')
  const answer = await client.next()
  t.equal(answer.text, 'Ada said: hi')
  t.notOk(answer.isBinary)
  client.send(Buffer.from('bytes'))
  t.same(await client.closed, { code: 1003, reason: 'text only' })

  const { statusCode } = await refused(t, `${ws}/other`)
  t.equal(statusCode, 404)
  t.equal((await fetch(`${http}/hello/Ada`)).status, 404, 'plain HTTP gets nothing')
})

test('route-and-global-handler.ts sends the time on its route and echoes elsewhere', async (t) => {
  const { ws } = await start(t, 'route-and-global-handler.ts')
  const clock = await connect(t, `${ws}/time`)
  const first = await clock.nextText()
  t.equal(new Date(first).toISOString(), first)
  t.ok(await clock.nextText() > first, 'the time goes on')
  const echo = await connect(t, `${ws}/timeless`)
  echo.send('echo')
  t.equal(await echo.nextText(), 'echo')
})

test('http-and-websocket.ts serves both on one URL', async (t) => {
  const { http, ws } = await start(t, 'http-and-websocket.ts')
  t.same(await (await fetch(`${http}/visits`)).json(), { visits: 0 })
  const client = await connect(t, `${ws}/visits`)
  t.equal(await client.nextText(), 'You are visitor 1. Your name?')
  client.send('Ada')
  t.equal(await client.nextText(), 'Goodbye, Ada.')
  t.match(await client.closed, { code: 1000 })
  t.same(await (await fetch(`${http}/visits`)).json(), { visits: 1 })
})

test('verify-client.ts takes only one path, right tokens and small messages', async (t) => {
  const { ws } = await start(t, 'verify-client.ts')
  const headers = { authorization: 'Bearer open sesame' }

  const refusal = await refused(t, `${ws}/private`)
  t.match(refusal, {
    statusCode: 401, body: 'Who are you?', headers: { 'www-authenticate': 'Bearer' }
  })
  t.match(await refused(t, `${ws}/other`, { headers }), { statusCode: 404 })

  const client = await connect(t, `${ws}/private`, { headers })
  client.send('x'.repeat(1024))
  t.equal(await client.nextText(), 'x'.repeat(1024))
  client.send('x'.repeat(1025))
  t.match(await client.closed, { code: 1009 })
})

test('file-stream.ts sends the whole file and closes', async (t) => {
  const { ws } = await start(t, 'file-stream.ts')
  const client = await connect(t, `${ws}/file`)
  t.match(await client.closed, { code: 1000 })
  const received = Buffer.concat(client.unread.map(({ data }) => data))
  t.same(received, await readFile(join(ROOT, 'examples', 'file-stream.ts')))
})

/** All that a client gets, as text, wherever messages begin and end. */
async function readAll (client: Client): Promise<string> {
  await client.closed
  return client.unread.map(({ text }) => text).join('')
}

test('line-protocol.ts takes lines in pieces, many at once and with CRLF', async (t) => {
  const { ws } = await start(t, 'line-protocol.ts')
  const scripts = {
    'a line at a time': ['SET a 1\n', 'GET a\n', 'QUIT\n'],
    'all in one message': ['SET a 1\nGET a\nQUIT\n'],
    'in pieces': ['S', 'ET a', ' 1', '\nGE', 'T a\nQU', 'IT', '\n'],
    'with CRLF': ['SET a 1\r\nGET a\r\n', 'QUIT\r\n'],
    'with CRLF in pieces': ['SET a 1\r', '\nGET a\r', '\n', 'QUIT', '\r', '\n']
  }
  for (const [name, messages] of Object.entries(scripts)) {
    const client = await connect(t, `${ws}/lines`)
    for (const message of messages) client.send(message)
    t.equal(await readAll(client), 'OK\n1\nBYE\n', name)
    t.match(await client.closed, { code: 1000 })
  }
})

test('line-protocol.ts answers each line before the next comes', async (t) => {
  const { ws } = await start(t, 'line-protocol.ts')
  const client = await connect(t, `${ws}/lines`)
  client.send('GET nothing\n')
  t.equal(await client.nextText(), 'NONE\n')
  // A character in two pieces, as a stream of bytes may cut it.
  const euro = Buffer.from('SET price 5 €\n')
  client.send(euro.subarray(0, -2))
  client.send(euro.subarray(-2))
  t.equal(await client.nextText(), 'OK\n')
  client.send('GET price\n')
  t.equal(await client.nextText(), '5 €\n')
  client.send('\n')
  t.equal(await client.nextText(), 'ERROR  is neither SET nor GET nor QUIT\n')
})

test('line-protocol.ts closes on a line that is too long, in however many pieces', async (t) => {
  const { ws } = await start(t, 'line-protocol.ts')
  const longest = await connect(t, `${ws}/lines`)
  longest.send(`SET a ${'x'.repeat(4090)}\nSET b `)
  t.equal(await longest.nextText(), 'OK\n')
  longest.send('x'.repeat(4090))
  longest.send('\n')
  t.equal(await longest.nextText(), 'OK\n')
  longest.send('x'.repeat(4096))
  longest.send('x')
  t.same(await longest.closed, { code: 1009, reason: 'line too long' })
})

test('file-transfer.ts keeps no file that came in part, and none twice', async (t) => {
  const folder = t.testdir({ there: 'as before' })
  const program = startExample(t, 'file-transfer.ts', '0', { FOLDER: folder })
  const ws = (await program.address()).replace('http', 'ws')
  const upload = (name: string): Promise<Client> => connect(t, `${ws}/upload/${name}?size=10`)

  const whole = await upload('whole')
  whole.send('01234')
  whole.send('56789')
  const sha256 = createHash('sha256').update('0123456789').digest('hex')
  t.equal(await readAll(whole), sha256)
  t.match(await whole.closed, { code: 1000 })
  t.equal(await readFile(join(folder, 'whole'), 'utf8'), '0123456789')

  const long = await upload('long')
  long.send('0123456789a')
  t.match(await long.closed, { code: 1011 })
  const short = await upload('short')
  short.send('012345678')
  short.close()
  await short.closed
  const lost = await upload('lost')
  lost.send('012345678')
  lost.socket.terminate()
  const twice = await upload('there')
  t.match(await twice.closed, { code: 1011 })
  t.equal(await readFile(join(folder, 'there'), 'utf8'), 'as before')

  while ((await readdir(folder)).length > 2) await turn()
  t.same((await readdir(folder)).sort(), ['there', 'whole'])
  for (const path of ['/upload/%2E%2E%2Fout?size=1', '/upload/.hidden?size=1', '/upload/new']) {
    t.match(await refused(t, ws + path), { statusCode: 400 }, path)
  }
})

test('zod-messages.ts shares a list of tasks, whose days are dates', async (t) => {
  const { ws } = await start(t, 'zod-messages.ts')
  const [one, other] = [await connect(t, `${ws}/tasks`), await connect(t, `${ws}/tasks`)]
  for (const client of [one, other]) t.equal(await client.nextText(), '{"tasks":[]}')
  const [late, soon] = [{ title: 'late', due: '2026-02-01' }, { title: 'soon', due: '2026-01-01' }]
  one.send(JSON.stringify({ type: 'add', ...late }))
  one.send(JSON.stringify({ type: 'add', ...soon }))
  other.send(JSON.stringify({ type: 'add', title: ' ', due: '2026-01-01' }))
  t.match(await other.closed, { code: 1008, reason: /^message\/title / })
  t.same(JSON.parse(await one.nextText()), { tasks: [late] })
  t.same(JSON.parse(await one.nextText()), { tasks: [soon, late] })
  one.send(JSON.stringify({ type: 'done', title: 'soon' }))
  t.same(JSON.parse(await one.nextText()), { tasks: [late] })
})

/** A client of the chat that has been welcomed; the next it gets is who is there. */
async function joinChat (t: Teardown, ws: string, name: string): Promise<Client> {
  const client = await connect(t, `${ws}/chat?${new URLSearchParams({ name })}`)
  await client.next()
  return client
}

async function nextEvent (client: Client): Promise<Record<string, unknown>> {
  return JSON.parse(await client.nextText())
}

test('the chat serves its page, which may load nothing from elsewhere', async (t) => {
  const { http } = await start(t, 'chat/server.ts')
  const page = await fetch(http)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  t.match(page.headers.get('content-security-policy'), "default-src 'self'")
  const links = [...(await page.text()).matchAll(/(?:src|href)="(\/[^"]+)"/g)]
  t.equal(links.length, 2)
  for (const [, path] of links) {
    const { status, headers } = await fetch(`${http}${path}`)
    t.equal(status, 200)
    t.match(headers.get('content-type'), /^text\/(css|javascript); charset=utf-8$/)
  }
})

test('the chat tells who is there, and who says what', async (t) => {
  const { ws } = await start(t, 'chat/server.ts')
  const ada = await connect(t, `${ws}/chat?name=Ada`)
  t.same(await nextEvent(ada), { type: 'welcome', name: 'Ada' })
  t.same(await nextEvent(ada), { type: 'people', names: ['Ada'] })

  const bob = await connect(t, `${ws}/chat?name=Bob`)
  t.same(await nextEvent(bob), { type: 'welcome', name: 'Bob' })
  for (const client of [ada, bob]) {
    t.same(await nextEvent(client), { type: 'people', names: ['Ada', 'Bob'] })
  }

  bob.send('{"text":" <b>hello</b> "}')
  for (const client of [ada, bob]) {
    t.same(await nextEvent(client), { type: 'text', name: 'Bob', text: '<b>hello</b>' })
  }

  bob.close()
  t.same(await nextEvent(ada), { type: 'people', names: ['Ada'] })
})

test('the chat gives two people of one name two names', async (t) => {
  const { ws } = await start(t, 'chat/server.ts')
  await joinChat(t, ws, 'Ada')
  const second = await connect(t, `${ws}/chat?name=Ada`)
  t.same(await nextEvent(second), { type: 'welcome', name: 'Ada 2' })
  t.same(await nextEvent(second), { type: 'people', names: ['Ada', 'Ada 2'] })
})

test('the chat refuses a name that is missing, empty, too long or odd', async (t) => {
  const { ws } = await start(t, 'chat/server.ts')
  const tooLong = `?name=${'x'.repeat(25)}`
  for (const query of ['', '?name=', '?name=%20', tooLong, '?name=a%0Ab', '?name=%3Cb%3E']) {
    t.match(await refused(t, `${ws}/chat${query}`), { statusCode: 400 }, query)
  }
  await joinChat(t, ws, "Zoë O'Brien-Šimić 李")
})

test('the chat closes on a message that is empty, too long or binary', async (t) => {
  const { ws } = await start(t, 'chat/server.ts')
  const witness = await joinChat(t, ws, 'Witness')
  const wrong = [
    ['{"text":" "}', 1008],
    [JSON.stringify({ text: 'x'.repeat(1001) }), 1008],
    ['hello', 1007],
    [Buffer.from('{"text":"hello"}'), 1003],
    ['x'.repeat(16 * 1024 + 1), 1009]
  ] as const
  for (const [message, code] of wrong) {
    const client = await joinChat(t, ws, 'Ada')
    client.send(message)
    t.match(await client.closed, { code })
  }

  // Every message but the last is about people: nothing of the above was said.
  const longest = '€'.repeat(1000)
  witness.send(JSON.stringify({ text: longest }))
  let event = await nextEvent(witness)
  while (event.type === 'people') event = await nextEvent(witness)
  t.same(event, { type: 'text', name: 'Witness', text: longest })
})

test('the chat says goodbye with 1001 when it is stopped, and ends', async (t) => {
  const program = startExample(t, 'chat/server.ts')
  const address = await program.address()
  const client = await joinChat(t, address.replace('http', 'ws'), 'Ada')
  const { code } = await program.kill('SIGTERM')
  t.match(await client.closed, { code: 1001 })
  t.equal(code, 0)
})

test('the chat says so when its port is taken', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const program = startExample(t, 'chat/server.ts', String(portOf(server)))
  const { code, output } = await program.ended
  t.equal(code, 1)
  t.match(output, /^listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+\n$/)
})

const skipRedis = whySkipBroker('ioredis 6')

const skipBrokers = skipRedis || whySkipBroker('nats')

test('several processes are one chat, with Redis or NATS', { skip: skipBrokers }, async (t) => {
  const [redis, nats] = [await startBroker(t, 'ioredis 6'), await startBroker(t, 'nats')]
  await Promise.all([
    checkOneChat(t, { REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
    checkOneChat(t, { NATS_URL: `nats://127.0.0.1:${nats.port}` })
  ])
})

async function checkOneChat (t: Test, env: NodeJS.ProcessEnv): Promise<void> {
  const clients = await Promise.all(['Ada', 'Bob'].map(async (name) => {
    const address = await startExample(t, 'chat/server.ts', '0', env).address()
    return await joinChat(t, address.replace('http', 'ws'), name)
  }))
  // Both processes tell who is there, again and again: then both are subscribed.
  for (const client of clients) {
    const seen = new Set<unknown>()
    while (seen.size < 2) seen.add((await nextEvent(client))['from'])
  }
  clients[1]?.send(JSON.stringify({ text: 'hello' }))
  for (const client of clients) {
    let event = await nextEvent(client)
    while (event['type'] !== 'text') event = await nextEvent(client)
    t.same(event, { type: 'text', name: 'Bob', text: 'hello' })
  }
}

const skipRooms = skipRedis || whySkip(hasNginx, 'no nginx found: install it or set NGINX')

test('the rooms are those of all processes behind nginx', { skip: skipRooms }, async (t) => {
  const port = await findPort()
  const program = startExample(t, 'rooms/start.ts', String(port), { PROCESSES: '2' })
  await program.until(/2 processes behind/)
  const places = new Map<string, Client>()
  while (places.size < 2) {
    // nginx may take a moment to listen.
    const client = await connect(t, `ws://127.0.0.1:${port}/rooms/one`).catch(() => null)
    if (client !== null) places.set(await client.nextText(), client)
  }
  const [one, other] = [...places.values()]
  one?.send('hello')
  t.equal(await other?.nextText(), 'hello')
  const { code } = await program.kill('SIGTERM')
  t.equal(code, 0, 'it ends all that it has started')
})
