import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused } from '../helpers/client'
import { ERROR, INFO, Logs } from '../helpers/logs'
import { echo, serve, settled, type Served } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { testOnce } from '../helpers/test-once'

type OriginOption = fastifyWebsocket.WebsocketConnectionOptions['origin']
type Lines = Record<string, string>

const OURS = 'https://app.example'
const FOREIGN = 'https://evil.example'

const FORBIDDEN = {
  statusCode: 403,
  code: 'FST_WS_ORIGIN_NOT_ALLOWED',
  error: 'Forbidden',
  message: 'the origin is not allowed'
}

function serveOrigin (t: Test, origin: OriginOption, served: Served = {}) {
  return serve(t, { ...served, plugin: { handle: echo, ...served.plugin, origin } })
}

/** The status that an upgrade with these headers gets. */
async function statusOf (t: Test, fastify: FastifyInstance, lines: Lines): Promise<number> {
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/', lines))
  const answer = await client.until('\r\n\r\n')
  return Number(answer.split(' ')[1])
}

/** What decides: a name, the option, the pages that may connect and those that may not. */
const POLICIES: ReadonlyArray<[string, OriginOption, allowed: string[], refused: string[]]> = [
  ['an origin', OURS, [OURS], [
    FOREIGN, 'null', '', 'http://app.example', 'https://app.example:8443', 'https://www.app.example',
    'https://app.example.evil', `${OURS}, ${FOREIGN}`, `${OURS}/`
  ]],
  ['an origin with a port', 'http://localhost:3000', ['http://localhost:3000'], [
    'http://localhost', 'http://localhost:3001', 'https://localhost:3000'
  ]],
  ['an origin on an IPv6 address', 'http://[::1]:3000', ['http://[::1]:3000'], ['http://[::1]']],
  ['an origin of a custom scheme', 'chrome-extension://abcdef', ['chrome-extension://abcdef'], [
    'chrome-extension://abcdeg', 'https://abcdef', 'null'
  ]],
  ["'null'", 'null', ['null'], [OURS, '']],
  ['a RegExp', /^https:\/\/[a-z]+\.example$/, [OURS, FOREIGN], [
    'http://app.example', 'https://app.example:81', 'null'
  ]],
  ['a global RegExp', /app/g, [OURS, OURS, OURS], [FOREIGN, FOREIGN]],
  ['a sticky RegExp', /https:\/\/app/y, [OURS, OURS, OURS], [FOREIGN, FOREIGN]],
  ['a list', ['http://localhost:3000', /app\.example$/, 'same-host'], [
    OURS, 'http://localhost:3000', 'http://localhost', OURS
  ], [FOREIGN, 'http://localhost:3001']],
  ['an empty list', [], [], [OURS, 'null', 'http://localhost']],
  ['false', false, [OURS, FOREIGN, 'null'], []],
  ['undefined', undefined, [OURS, FOREIGN, 'null'], []]
]

for (const [what, option, allowed, forbidden] of POLICIES) {
  test(`origin: ${what} decides which pages may connect`, async (t) => {
    const { fastify } = await serveOrigin(t, option)
    for (const origin of allowed) {
      t.equal(await statusOf(t, fastify, { Origin: origin }), 101, origin)
    }
    for (const origin of forbidden) {
      t.equal(await statusOf(t, fastify, { Origin: origin }), 403, origin)
    }
    t.equal(await statusOf(t, fastify, {}), 101, 'without an Origin')
  })
}

const SAME_HOST: ReadonlyArray<[origin: string, host: string, status: number]> = [
  ['http://app.example', 'app.example', 101],
  // Behind a proxy that ends TLS the request itself is a plain one.
  ['https://app.example', 'app.example', 101],
  ['https://app.example', 'app.example:443', 101],
  ['http://app.example', 'app.example:80', 101],
  ['http://app.example', 'APP.example', 101],
  ['http://app.example:8080', 'app.example:8080', 101],
  ['http://[::1]:8080', '[::1]:8080', 101],
  ['http://[::1]:8080', '[0:0:0:0:0:0:0:1]:8080', 101],
  ['http://[::1]', '[::1]:8080', 403],
  ['http://app.example:8080', 'app.example', 403],
  ['http://app.example', 'app.example:8080', 403],
  ['https://app.example', 'app.example:80', 403],
  ['http://app.example', 'app.example:443', 403],
  ['http://evil.example', 'app.example', 403],
  ['http://app.example.evil', 'app.example', 403],
  ['http://evil.example, http://app.example', 'app.example', 403],
  ['http://app.example', '', 403],
  ['http://app.example', 'not a host', 403],
  ['null', 'null', 403],
  ['', 'app.example', 403],
  ['file://', 'app.example', 403],
  // Its pages come from no host, whatever their name is.
  ['capacitor://localhost', 'localhost', 403]
]

testOnce("'same-host' compares host and port with those of the request", async (t) => {
  const { fastify } = await serveOrigin(t, 'same-host')
  for (const [origin, host, status] of SAME_HOST) {
    const lines = { Origin: origin, Host: host }
    t.equal(await statusOf(t, fastify, lines), status, `${origin} to ${host}`)
  }
  const client = new RawClient(t, portOf(fastify.server))
  client.write(upgradeHead('/', { Origin: OURS }).replace(/^Host: .*\r\n/m, ''))
  t.match(await client.until('\r\n\r\n'), 'HTTP/1.1 400 ')
})

test("'same-host' lets the pages of the server connect", async (t) => {
  const { origin } = await serveOrigin(t, 'same-host')
  const client = await connect(t, origin, { origin: origin.replace('ws', 'http') })
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
})

for (const [trustProxy, status] of [[true, 101], [false, 403]] as const) {
  test(`'same-host' with trustProxy: ${trustProxy} answers ${status} to a proxy`, async (t) => {
    const { fastify } = await serveOrigin(t, 'same-host', { server: { trustProxy } })
    const lines = { Origin: OURS, Host: '10.0.0.1:3000', 'X-Forwarded-Host': 'app.example' }
    t.equal(await statusOf(t, fastify, lines), status)
  })
}

test('the origin of version 8 is in Sec-WebSocket-Origin', async (t) => {
  const { fastify } = await serveOrigin(t, OURS)
  const version = { 'Sec-WebSocket-Version': '8' }
  const statuses = []
  for (const [origin, draft] of [[FOREIGN, OURS], [OURS, FOREIGN]] as const) {
    const lines = { ...version, Origin: origin, 'Sec-WebSocket-Origin': draft }
    statuses.push(await statusOf(t, fastify, lines))
  }
  t.strictSame(statuses, [101, 403])
  const newest = { Origin: FOREIGN, 'Sec-WebSocket-Origin': OURS }
  t.equal(await statusOf(t, fastify, newest), 403)
})

// --- Functions ---

const ALLOWED = (origin?: string): boolean => origin === undefined || origin === OURS

const CHECKS: Record<string, fastifyWebsocket.OriginCheck> = {
  'that returns': ALLOWED,
  'that resolves at once': async (origin) => ALLOWED(origin),
  'that resolves later': async (origin) => {
    await turn()
    return ALLOWED(origin)
  }
}

for (const [what, option] of Object.entries(CHECKS)) {
  test(`origin: a function ${what} lets in and keeps out`, async (t) => {
    const { origin } = await serveOrigin(t, option)
    const client = await connect(t, origin, { origin: OURS })
    client.send('hello')
    t.equal(await client.nextText(), 'hello')
    await connect(t, origin)
    const { statusCode, headers, body } = await refused(t, origin, { origin: FOREIGN })
    t.equal(statusCode, 403)
    t.equal(headers['connection'], 'close')
    t.strictSame(JSON.parse(body), FORBIDDEN)
  })
}

test('a function gets the origin, undefined without one, and the request', async (t) => {
  const seen: unknown[] = []
  const { origin } = await serveOrigin(t, (origin, request) => seen.push([origin, request.url]) > 0)
  await connect(t, `${origin}/one`, { origin: OURS })
  await connect(t, `${origin}/two?query=1`)
  t.strictSame(seen, [[OURS, '/one'], [undefined, '/two?query=1']])
})

const FAILING: Record<string, fastifyWebsocket.OriginCheck> = {
  throws: () => { throw new Error('no database') },
  'rejects at once': async () => { throw new Error('no database') },
  'rejects later': async () => {
    await turn()
    throw new Error('no database')
  }
}

for (const [what, option] of Object.entries(FAILING)) {
  test(`origin: a function that ${what} refuses with 500`, async (t) => {
    const { fastify, origin } = await serveOrigin(t, option)
    const { statusCode, body } = await refused(t, origin)
    t.equal(statusCode, 500)
    t.match(JSON.parse(body), { message: 'no database' })
    t.equal(fastify.websocketServer.clients.size, 0)
  })
}

/** How a function answers when nobody waits any more. */
const LATE: Record<string, (answer: PromiseWithResolvers) => void> = {
  yes: ({ resolve }) => { resolve(true) },
  no: ({ resolve }) => { resolve(false) },
  'with an error': ({ reject }) => { reject(new Error('no database')) }
}

interface PromiseWithResolvers {
  readonly resolve: (isAllowed: boolean) => void
  readonly reject: (error: Error) => void
}

/** Serves an origin function that is asked first, and answers when the test says so. */
async function serveSlow (t: Test, served: Served = {}) {
  const logs = new Logs()
  const calls: string[] = []
  const asked: PromiseWithResolvers[] = []
  const { fastify, origin } = await serveOrigin(t, () => new Promise<boolean>((resolve, reject) => {
    asked.push({ resolve, reject })
  }), {
    ...served,
    server: { logger: logs.logger, ...served.server },
    plugin: {
      handle: () => { calls.push('handle') },
      options: { verifyClient: () => calls.push('verifyClient') }
    }
  })
  return { fastify, origin, calls, asked, logs }
}

for (const [how, answer] of Object.entries(LATE)) {
  test(`a function may answer ${how} when the client has left`, async (t) => {
    const aborted: unknown[] = []
    const { fastify, calls, asked } = await serveSlow(t, {
      declare: (fastify) => fastify.addHook('onRequestAbort', async ({ id }) => {
        aborted.push(id)
      })
    })
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    await until(() => asked.length === 1)
    client.socket.destroy()
    await until(() => aborted.length === 1)
    for (const each of asked) answer(each)
    await turn()
    t.strictSame(calls, [])
    t.equal(fastify.websocketServer.clients.size, 0)
  })

  test(`a function may answer ${how} when handlerTimeout has answered`, async (t) => {
    const { fastify, origin, calls, asked, logs } = await serveSlow(t, {
      server: { handlerTimeout: 20 }
    })
    t.equal((await refused(t, origin)).statusCode, 503)
    t.equal(asked.length, 1)
    for (const each of asked) answer(each)
    await turn()
    t.strictSame(calls, [])
    t.equal(fastify.websocketServer.clients.size, 0)
    t.strictSame(logs.lines.filter(({ msg }) => /already sent/.test(msg)), [])
  })
}

// --- Its place ---

test('a foreign page is refused before verifyClient is asked', async (t) => {
  const asked: unknown[] = []
  const { fastify, origin } = await serveOrigin(t, OURS, {
    plugin: { handle: echo, options: { verifyClient: (info) => asked.push(info.origin) } }
  })
  t.equal((await refused(t, origin, { origin: FOREIGN })).statusCode, 403)
  t.strictSame(asked, [])
  await connect(t, origin, { origin: OURS })
  t.strictSame(asked, [OURS])
  t.equal(fastify.websocketServer.clients.size, 1)
})

for (const option of [OURS, async (origin?: string) => ALLOWED(origin)]) {
  test(`setErrorHandler answers a page refused by a ${typeof option}`, async (t) => {
    const { origin } = await serveOrigin(t, option, {
      declare: (fastify) => fastify.setErrorHandler<Error & { code: string }>(
        (error, _request, reply) => reply.code(418).send({ mine: error.code })
      )
    })
    const { statusCode, body } = await refused(t, origin, { origin: FOREIGN })
    t.equal(statusCode, 418)
    t.strictSame(JSON.parse(body), { mine: FORBIDDEN.code })
  })
}

test('a refused page is no error of the application in the log', async (t) => {
  const logs = new Logs()
  const { origin } = await serveOrigin(t, OURS, { server: { logger: logs.logger } })
  await refused(t, origin, { origin: FOREIGN })
  const line = await logs.find(FORBIDDEN.message)
  t.match(line, { level: INFO, err: { code: FORBIDDEN.code } })
  t.strictSame(logs.lines.filter(({ level }) => level >= ERROR), [])
})

test('a route overrides the origin of the plugin, or turns it off', async (t) => {
  const { origin } = await serveOrigin(t, OURS, {
    declare: (fastify) => {
      fastify.get('/default', { websocket: true }, echo)
      fastify.get('/empty', { websocket: { heartbeat: false } }, echo)
      fastify.get('/other', { websocket: { origin: FOREIGN } }, echo)
      fastify.get('/function', { websocket: { origin: (origin) => origin === FOREIGN } }, echo)
      fastify.get('/open', { websocket: { origin: false } }, echo)
    }
  })
  const allowed = { '/': OURS, '/default': OURS, '/empty': OURS, '/other': FOREIGN }
  for (const [path, page] of Object.entries({ ...allowed, '/function': FOREIGN })) {
    const other = page === OURS ? FOREIGN : OURS
    await connect(t, origin + path, { origin: page })
    t.equal((await refused(t, origin + path, { origin: other })).statusCode, 403, path)
  }
  for (const page of [OURS, FOREIGN, undefined]) {
    await connect(t, `${origin}/open`, { ...(page !== undefined && { origin: page }) })
  }
  t.equal((await refused(t, `${origin}/function`)).statusCode, 403)
})

test('a list that changes later changes nothing', async (t) => {
  const list = [OURS]
  const { origin } = await serveOrigin(t, list, {
    declare: (fastify) => fastify.get('/route', { websocket: { origin: list } }, echo)
  })
  list[0] = FOREIGN
  for (const path of ['/', '/route']) {
    await connect(t, origin + path, { origin: OURS })
    t.equal((await refused(t, origin + path, { origin: FOREIGN })).statusCode, 403, path)
  }
})

// --- Values that could never match ---

const WRONG: unknown[] = [
  `${OURS}/`, `${OURS}/chat`, `${OURS}?a`, `${OURS}#a`, 'https://App.example', 'HTTPS://app.example',
  'https://app.example:443', 'http://app.example:80', 'https://user@app.example',
  'https://bücher.example', 'app.example', '*', 'https://*.example', 'wss://app.example', '', 'file://', 'data:text/plain',
  'chrome-extension://abcdef/', true, 5, {}, [5], [OURS, `${OURS}/`], [[OURS]], [() => true]
]

for (const wrong of WRONG) {
  test(`origin: ${JSON.stringify(wrong)} is FST_WS_INVALID_OPTION at registration`, async (t) => {
    const options = { origin: wrong } as fastifyWebsocket.WebsocketPluginOptions
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, options)
    const error = { code: 'FST_WS_INVALID_OPTION', message: /^invalid option origin: / }
    await t.rejects(settled(fastify.ready()), error)

    const other = createFastify(t)
    await other.register(fastifyWebsocket)
    t.throws(() => other.get('/', { websocket: options }, echo), error)
  })
}
