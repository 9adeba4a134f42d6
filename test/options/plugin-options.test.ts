import { inspect } from 'node:util'
import { test } from 'tap'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../src/index'
import { SERVER_PLACE } from '../../src/options/names'
import { resolveOptions } from '../../src/options/plugin-options'
import { connect, refused } from '../helpers/client'
import { echo, serve, settled } from '../helpers/plugin'
import { createFastify, createHttp } from '../helpers/servers'

type Invalid = [options: object, code: string, message: RegExp | string]

const INVALID: readonly Invalid[] = [
  [{ handle: 'no function' }, 'FST_WS_INVALID_HANDLE', 'invalid handle function'],
  [{ handle: null }, 'FST_WS_INVALID_HANDLE', 'invalid handle function'],
  [{ errorHandler: 1 }, 'FST_WS_INVALID_OPTION', /invalid option errorHandler: a function/],
  [{ closeTimeout: -1 }, 'FST_WS_INVALID_OPTION', /closeTimeout: an integer from 0 to 2147483647/],
  [{ closeTimeout: 2 ** 31 }, 'FST_WS_INVALID_OPTION', /closeTimeout/],
  [{ closeTimeout: '1' }, 'FST_WS_INVALID_OPTION', /closeTimeout/],
  [[], 'FST_WS_INVALID_OPTION', /of the plugin: an object is expected, got an object \(Array\)/],
  [new Map(), 'FST_WS_INVALID_OPTION', /an object is expected, got an object \(Map\)/],
  ...[new Map(), new Set(), new Date(), /a/, Promise.resolve(), Buffer.alloc(0)].map(
    (options): Invalid => [{ options }, 'FST_WS_INVALID_OPTION', /option options: an object/]),
  [{ options: [] }, 'FST_WS_INVALID_OPTION', /invalid option options: an object/],
  [{ options: 'path' }, 'FST_WS_INVALID_OPTION', /invalid option options: an object/],
  [{ options: { objectMode: 1 } }, 'FST_WS_INVALID_OPTION', /objectMode: a boolean/],
  [{ options: { binary: 'no' } }, 'FST_WS_INVALID_OPTION', /binary: a boolean/],
  [{ options: { host: 1, port: 0 } }, 'FST_WS_INVALID_OPTION', /host: a string/],
  [{ options: { port: 65536 } }, 'FST_WS_INVALID_OPTION', /port: an integer from 0 to 65535/],
  [{ options: { port: '80' } }, 'FST_WS_INVALID_OPTION', /port/],
  [{ options: { port: 0, backlog: 1.5 } }, 'FST_WS_INVALID_OPTION', /backlog: an integer from 0/],
  [{ options: { server: {} } }, 'FST_WS_INVALID_OPTION', /server: an HTTP or HTTPS server/],
  [{ options: { server: 80 } }, 'FST_WS_INVALID_OPTION', /server: an HTTP or HTTPS server/],
  [{ options: { verifyClient: true } }, 'FST_WS_INVALID_OPTION', /verifyClient: a function/],
  [{ options: { handleProtocols: 'a' } }, 'FST_WS_INVALID_OPTION', /handleProtocols: a function/],
  ...[/a/, '', 'ws', 'ws/', 'http://127.0.0.1/ws', '/ws?key=1'].map((path): Invalid => [
    { options: { path } }, 'FST_WS_INVALID_OPTION', /path: a path that begins with '\/'/
  ]),
  [{ options: { noServer: 1 } }, 'FST_WS_INVALID_OPTION', /noServer: a boolean/],
  [{ options: { clientTracking: 0 } }, 'FST_WS_INVALID_OPTION', /clientTracking: a boolean/],
  [
    { options: { perMessageDeflate: 9 } },
    'FST_WS_INVALID_OPTION', /perMessageDeflate: a boolean or an object/
  ],
  [{ options: { perMessageDeflate: new Map() } }, 'FST_WS_INVALID_OPTION', /perMessageDeflate/],
  [{ options: { maxPayload: -1 } }, 'FST_WS_INVALID_OPTION', /maxPayload: an integer from 0/],
  [{ options: { maxPayload: 2 ** 31 } }, 'FST_WS_INVALID_OPTION', /maxPayload: .* to 2147483647/],
  ...['maxFragments', 'maxBufferedChunks', 'maxPendingAutoPongs'].flatMap((name): Invalid[] => {
    const message = new RegExp(`invalid option ${name}: an integer from 0 to 2147483647`)
    return [-1, 1.5, NaN, Infinity, '1', false, 2 ** 31].map((value) => {
      return [{ options: { [name]: value } }, 'FST_WS_INVALID_OPTION', message]
    })
  }),
  ...['autoPong', 'allowSynchronousEvents', 'skipUTF8Validation'].flatMap((name): Invalid[] => {
    const message = new RegExp(`invalid option ${name}: a boolean`)
    return [0, 'false'].map((value) => {
      return [{ options: { [name]: value } }, 'FST_WS_INVALID_OPTION', message]
    })
  }),
  [{ options: { highWaterMark: -1 } }, 'FST_WS_INVALID_OPTION', /highWaterMark/],
  [
    { options: { port: 1, noServer: true } },
    'FST_WS_CONFLICTING_OPTIONS', 'options port and noServer exclude each other'
  ],
  [{ options: { host: 'localhost' } }, 'FST_WS_MISSING_OPTION', /option host does nothing without/],
  [{ options: { backlog: 1 } }, 'FST_WS_MISSING_OPTION', /option backlog does nothing without/]
]

for (const [options, code, message] of INVALID) {
  const title = inspect(options)
  test(`${title} fails at registration with ${code}`, async (t) => {
    const fastify = createFastify(t)
    await t.rejects(settled(fastify.register(fastifyWebsocket, options)), { code, message })
  })
  test(`${title} fails ready() with ${code}`, async (t) => {
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, options)
    await t.rejects(settled(fastify.ready()), { code, message })
  })
}

for (const other of [{ port: 0 }, { noServer: true }]) {
  test(`server and ${Object.keys(other)} exclude each other`, async (t) => {
    const { server } = await createHttp(t)
    const fastify = createFastify(t)
    fastify.register(fastifyWebsocket, { options: { server, ...other } })
    await t.rejects(settled(fastify.listen({ port: 0 })), { code: 'FST_WS_CONFLICTING_OPTIONS' })
  })
}

test('the options that were passed in are not changed', async (t) => {
  const options = Object.freeze({ maxPayload: 10, path: '/a' })
  const plugin = Object.freeze({ handle: echo, options })
  const { origin } = await serve(t, { plugin })
  await connect(t, `${origin}/a`)
  t.strictSame(options, { maxPayload: 10, path: '/a' })
})

const SHUTDOWN_TIMEOUTS = [
  { pluginTimeout: undefined, closeTimeout: undefined, expected: 9_000 },
  { pluginTimeout: 60_000, closeTimeout: undefined, expected: 10_000 },
  { pluginTimeout: 1_000, closeTimeout: 5_000, expected: 900 },
  { pluginTimeout: 1_000, closeTimeout: 0, expected: 0 },
  { pluginTimeout: 0, closeTimeout: 20_000, expected: 20_000 }
]

for (const { pluginTimeout, closeTimeout, expected } of SHUTDOWN_TIMEOUTS) {
  const given = `closeTimeout ${closeTimeout} and Fastify's pluginTimeout ${pluginTimeout}`
  test(`${given} leave clients ${expected} ms when Fastify closes`, async (t) => {
    const fastify = createFastify(t, pluginTimeout === undefined ? {} : { pluginTimeout })
    t.equal(resolveOptions({ closeTimeout }, fastify).shutdownTimeout, expected)
  })
}

test('options of a class and inherited ones are options, in options too', async (t) => {
  class Options {
    get maxConnections () { return 1 }
    get handle () { return echo }
    get options () { return Object.create({ maxPayload: 10, path: '/a' }) }
  }
  const { origin } = await serve(t, { plugin: Object.freeze(new Options()) })
  t.match(await refused(t, `${origin}/b`), { statusCode: 404 })
  const client = await connect(t, `${origin}/a`)
  t.match(await refused(t, `${origin}/a`), { statusCode: 503 })
  client.send('0123456789a')
  t.equal((await client.closed).code, 1009)
})

test('options can be a module', async (t) => {
  const path = '../fixtures/options.mjs'
  const module: object = await import(path)
  t.equal(Object.prototype.toString.call(module), '[object Module]')
  const { origin } = await serve(t, { plugin: module })
  t.match(await refused(t, origin, { origin: 'https://evil.example' }), { statusCode: 403 })
})

test('an option that a getter gives is read once', async (t) => {
  const reads: string[] = []
  const options: object = {
    get maxPayload () { return reads.push('maxPayload') === 1 ? 10 : 'other' },
    get WebSocket () { return undefined }
  }
  const { websocket } = resolveOptions({ options }, createFastify(t))
  t.equal(websocket.maxPayload, 10)
  t.strictSame(reads, ['maxPayload'])
})

test('an option that a newer ws adds would be passed on to it', async (t) => {
  const known = Object.keys(new WebSocketServer({ noServer: true }).options)
  for (const name of known) {
    if (name === 'WebSocket' || name === 'closeTimeout') continue
    t.ok(SERVER_PLACE.names.includes(name), name)
  }
})
