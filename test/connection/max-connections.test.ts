import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { test, type Test } from 'tap'
import fastifyWebsocket from '../../src/index'
import { connect, refused, type Refusal } from '../helpers/client'
import { echo, serve, settled, type Served } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createFastify, listen, portOf } from '../helpers/servers'
import { until } from '../helpers/streams'
import { testOnce } from '../helpers/test-once'

const FULL = {
  statusCode: 503,
  code: 'FST_WS_TOO_MANY_CONNECTIONS',
  error: 'Service Unavailable',
  message: 'too many connections'
}

const HOST = '127.0.0.1'

function serveFew (t: Test, maxConnections?: number | false, served: Served = {}) {
  return serve(t, { ...served, plugin: { handle: echo, ...served.plugin, maxConnections } })
}

function assertFull (t: Test, { statusCode, headers, body }: Refusal): void {
  t.equal(statusCode, 503)
  t.match(headers['retry-after'], /^[1-9]\d*$/)
  t.equal(headers['connection'], 'close')
  t.strictSame(JSON.parse(body), FULL)
}

for (const clientTracking of [true, false]) {
  test(`beyond maxConnections is a 503, with clientTracking: ${clientTracking}`, async (t) => {
    const { origin } = await serveFew(t, 2, {
      plugin: { handle: echo, options: { clientTracking } },
      declare: (fastify) => fastify.get('/route', { websocket: true }, echo)
    })
    const [first, second] = [await connect(t, origin), await connect(t, `${origin}/route`)]
    assertFull(t, await refused(t, origin))
    assertFull(t, await refused(t, `${origin}/route`))

    first.close()
    await first.closed
    const third = await connect(t, origin)
    assertFull(t, await refused(t, origin))
    for (const client of [second, third]) {
      client.send('hello')
      t.equal(await client.nextText(), 'hello')
    }
  })
}

for (const maxConnections of [false, undefined] as const) {
  test(`maxConnections: ${maxConnections} is no limit`, async (t) => {
    const { fastify, origin } = await serveFew(t, maxConnections)
    await Promise.all(Array.from({ length: 20 }, () => connect(t, origin)))
    t.equal(fastify.websocketServer.clients.size, 20)
  })
}

test('maxConnections: 0 lets nobody in', async (t) => {
  const { origin } = await serveFew(t, 0)
  assertFull(t, await refused(t, origin))
})

test('a full server asks neither origin nor verifyClient', async (t) => {
  const asked: string[] = []
  const { origin } = await serveFew(t, 1, {
    plugin: {
      handle: echo,
      origin: () => asked.push('origin') > 0,
      options: { verifyClient: () => asked.push('verifyClient') }
    }
  })
  await connect(t, origin)
  assertFull(t, await refused(t, origin))
  t.strictSame(asked, ['origin', 'verifyClient'])
})

test('of upgrades that wait in onSend hooks no more are let in than there is room', async (t) => {
  const waiting: Array<() => void> = []
  const { fastify, origin } = await serveFew(t, 1, {
    declare: (fastify) => fastify.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 101) await new Promise<void>((resolve) => { waiting.push(resolve) })
    })
  })
  const clients = [1, 2, 3].map(() => {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(upgradeHead('/'))
    return client
  })
  await until(() => waiting.length === 3)
  for (const proceed of waiting) proceed()
  const answers = await Promise.all(clients.map((client) => client.until('\r\n\r\n')))
  t.strictSame(answers.map((answer) => answer.split(' ')[1]).sort(), ['101', '503', '503'])
  for (const client of clients.filter((_client, i) => / 503 /.test(answers[i] ?? ''))) {
    const [head = '', body = ''] = (await client.until('}')).split('\r\n\r\n')
    t.match(head, /\r\nretry-after: [1-9]\d*\r\n/i)
    t.strictSame(JSON.parse(body), FULL)
  }
  t.equal(fastify.websocketServer.clients.size, 1)
  t.equal((await refused(t, origin)).statusCode, 503)
})

testOnce('refused clients that have not hung up yet take no room', async (t) => {
  const { fastify, origin } = await serveFew(t, 2)
  const first = await connect(t, origin)
  for (const lines of [{ 'Sec-WebSocket-Key': '' }, { 'Sec-WebSocket-Protocol': 'a, a' }]) {
    const socket = connectTcp({ port: portOf(fastify.server), host: HOST, allowHalfOpen: true })
    const client = new RawClient(t, portOf(fastify.server), socket)
    client.write(upgradeHead('/', lines))
    await once(socket, 'end')
    t.match(client.received.toString(), 'HTTP/1.1 400 ')
    t.equal(socket.writable, true)
  }
  await connect(t, origin)
  assertFull(t, await refused(t, origin))
  first.close()
  await first.closed
  await connect(t, origin)
})

test('each registration counts its own connections', async (t) => {
  const fastify = createFastify(t)
  for (const prefix of ['/one', '/two']) {
    fastify.register(async (scope) => {
      scope.register(fastifyWebsocket, { handle: echo, maxConnections: 1 })
    }, { prefix })
  }
  const origin = await listen(fastify)
  await connect(t, `${origin}/one`)
  assertFull(t, await refused(t, `${origin}/one`))
  await connect(t, `${origin}/two`)
  assertFull(t, await refused(t, `${origin}/two`))
})

test('injectWS rejects with the answer of a full server', async (t) => {
  const { fastify } = await serveFew(t, 1)
  const client = await fastify.injectWS('/')
  const error: fastifyWebsocket.InjectRefusal = await fastify.injectWS('/').then(
    () => t.fail('let in'), (error) => error
  )
  assertFull(t, error)
  client.terminate()
})

test('setErrorHandler that sends the error on keeps Retry-After', async (t) => {
  const { origin } = await serveFew(t, 0, {
    declare: (fastify) => fastify.setErrorHandler((error) => error)
  })
  assertFull(t, await refused(t, origin))
})

for (const wrong of [-1, 1.5, NaN, Infinity, '5', true, {}]) {
  test(`maxConnections: ${String(wrong)} is FST_WS_INVALID_OPTION`, async (t) => {
    const fastify = createFastify(t)
    const options = { maxConnections: wrong } as fastifyWebsocket.WebsocketPluginOptions
    fastify.register(fastifyWebsocket, options)
    await t.rejects(settled(fastify.ready()), {
      code: 'FST_WS_INVALID_OPTION', message: /^invalid option maxConnections: /
    })
  })
}
