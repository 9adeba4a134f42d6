// Whatever peers, hooks, handlers and subscribers do, the numbers add up: what was accepted is open
// or has ended once, what was told one by one is what was counted, and nothing is negative.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type fastifyWebsocket from '../../src/index'
import { connect, ping } from '../helpers/client'
import { Logs } from '../helpers/logs'
import { MemoryBus } from '../helpers/memory-broker'
import { echo, serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { portOf } from '../helpers/servers'
import { turn, until } from '../helpers/streams'
import { expectUncaught, watchProcess } from '../helpers/uncaught'

const CHANNELS = ['open', 'refused', 'close', 'error', 'gap']

/** How many messages each channel has had while the test runs. */
function countMessages (t: Test): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of CHANNELS) {
    counts[name] = 0
    const onMessage = (): void => { counts[name] = Number(counts[name]) + 1 }
    subscribe(`fastify-websocket.${name}`, onMessage)
    t.teardown(() => unsubscribe(`fastify-websocket.${name}`, onMessage))
  }
  return counts
}

function sum (numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

// --- Hooks, handlers and listeners that fail ---

function fail (): never {
  throw new Error('application')
}

const ROUTES: Record<string, fastifyWebsocket.WebsocketHandler> = {
  '/echo': echo,
  '/throws': fail,
  '/rejects': async () => fail(),
  '/listener': ({ socket }) => { socket.on('message', fail) },
  '/closer': ({ socket }) => { socket.on('close', fail) },
  '/terminates': ({ socket }) => { socket.terminate() },
  '/destroys': (connection) => { connection.destroy(new Error('mine')) },
  '/closes': ({ socket }) => { socket.close(1001) },
  '/emits': ({ socket }) => {
    socket.on('message', () => { socket.emit('error', new Error('again and again')) })
  },
  '/unread': (connection) => {
    connection.socket.subscribe('topic')
    connection.socket.on('close', () => { connection.socket.subscribe('topic').catch(() => {}) })
  }
}

const HOOKS: Record<string, () => unknown> = {
  '/hook-throws': fail,
  '/hook-rejects': async () => fail(),
  '/hook-waits': () => new Promise((resolve) => { setImmediate(resolve) })
}

function declare (fastify: FastifyInstance): void {
  fastify.addHook('onRequest', async ({ url }) => { await HOOKS[url]?.() })
  for (const path of [...Object.keys(ROUTES), ...Object.keys(HOOKS)]) {
    fastify.get(path, { websocket: true }, ROUTES[path] ?? echo)
  }
}

// --- Peers ---

function closeFrame (code: number): Buffer {
  return frame(0x88, Buffer.from([code >> 8, code & 0xff]))
}

/** What a peer sends behind its request, or undefined if it resets before. */
const TALKS: Record<string, Buffer> = {
  nothing: Buffer.alloc(0),
  'a message': frame(0x81, 'hello'),
  'ten messages': Buffer.concat(Array.from({ length: 10 }, () => frame(0x81, 'hello'))),
  'a message and a close frame': Buffer.concat([frame(0x81, 'hello'), closeFrame(4321)]),
  'a close frame': closeFrame(1000),
  'two close frames': Buffer.concat([closeFrame(3000), closeFrame(3001)]),
  'a message behind a close frame': Buffer.concat([closeFrame(3000), frame(0x81, 'late')]),
  'a close code that is not allowed': closeFrame(1005),
  'a close code of no range': closeFrame(65_535),
  'a frame that breaks a rule': frame(0xff),
  'text that is no UTF-8': frame(0x81, Buffer.from([0xff])),
  'half a message': frame(0x01, 'half')
}

/** How a peer leaves. */
const EXITS: Array<(client: RawClient) => void> = [
  ({ socket }) => { socket.end() },
  ({ socket }) => { socket.resetAndDestroy() }
]

test('the numbers add up after all that peers, hooks and handlers do', async (t) => {
  const uncaught = watchProcess(t)
  const logs = new Logs()
  const told = countMessages(t)
  const { fastify } = await serve(t, { server: { logger: logs.logger }, declare })
  const { websocketServer } = fastify
  const attempts: Array<Promise<unknown>> = []
  for (const path of [...Object.keys(ROUTES), ...Object.keys(HOOKS), '/nowhere']) {
    for (const talk of Object.values(TALKS)) {
      for (const leave of EXITS) {
        const client = new RawClient(t, portOf(fastify.server))
        client.write(Buffer.concat([Buffer.from(upgradeHead(path)), talk]))
        attempts.push(client.until('\r\n\r\n').then(() => { leave(client) }), client.closed)
      }
    }
  }
  await Promise.all(attempts)
  await until(() => websocketServer.stats().open === 0)
  await turn()
  const stats = websocketServer.stats()
  const { accepted, closed, refused, ...others } = stats
  t.equal(accepted, 11 * 2 * Object.keys(TALKS).length)
  t.equal(sum(Object.values(closed)), accepted)
  t.strictSame(Object.keys(closed).filter((code) => !/^(100[0-8]|1011|3000|4321)$/.test(code)), [])
  t.equal(sum(refused.map(({ count }) => count)), 3 * 2 * Object.keys(TALKS).length)
  t.match(others, { messagesWaiting: 0, subscriptions: 0, open: 0 })
  for (const [name, number] of Object.entries(others)) t.ok(number >= 0, `${name} is ${number}`)
  t.match(told, { open: accepted, close: accepted, refused: 3 * 2 * Object.keys(TALKS).length })
  const ends = logs.lines.filter(({ msg }) => msg === 'websocket connection closed')
  t.equal(ends.length, accepted)
  t.equal(new Set(ends.map(({ reqId }) => reqId)).size, accepted)
  t.strictSame(uncaught, [])
})

test('a reset behind every byte of a request leaves nothing open', async (t) => {
  const logs = new Logs()
  const told = countMessages(t)
  const { fastify, origin } = await serve(t, { server: { logger: logs.logger }, declare })
  const request = Buffer.from(upgradeHead('/hook-waits'))
  const gone: Array<Promise<unknown>> = []
  for (let length = 0; length <= request.length; length++) {
    const client = new RawClient(t, portOf(fastify.server))
    client.socket.write(request.subarray(0, length), () => { client.socket.resetAndDestroy() })
    gone.push(client.closed)
  }
  await Promise.all(gone)
  // By then the server has read all that came before.
  await ping(await connect(t, `${origin}/echo`))
  await until(() => fastify.websocketServer.stats().open === 1)
  const { accepted, closed, refused } = fastify.websocketServer.stats()
  t.equal(accepted, 1 + sum(Object.values(closed)))
  t.equal(told['open'], accepted)
  t.equal(told['close'], accepted - 1)
  t.strictSame(refused, [])
})

test('only codes that may be sent get a place of their own', async (t) => {
  const { fastify, origin } = await serve(t, { declare })
  const codes = [0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000]
  const clients = codes.map((code) => {
    const client = new RawClient(t, portOf(fastify.server))
    client.write(Buffer.concat([Buffer.from(upgradeHead('/echo')), closeFrame(code)]))
    return client
  })
  await Promise.all(clients.map(({ closed }) => closed))
  await ping(await connect(t, `${origin}/echo`))
  await until(() => fastify.websocketServer.stats().open === 1)
  t.strictSame(fastify.websocketServer.stats().closed, {
    1000: 1, 1003: 1, 1006: 8, 1007: 1, 1014: 1, 3000: 1, 4999: 1
  })
})

// --- Subscribers that fail ---

test('subscribers that throw change nothing for connections and numbers', async (t) => {
  const uncaught = watchProcess(t)
  const broker = new MemoryBus().connect()
  const { fastify, origin } = await serve(t, { plugin: { broker }, declare })
  const errors: Error[] = []
  for (const name of CHANNELS) {
    const error = new Error(name)
    expectUncaught(error)
    const onMessage = (): void => {
      errors.push(error)
      throw error
    }
    subscribe(`fastify-websocket.${name}`, onMessage)
    t.teardown(() => unsubscribe(`fastify-websocket.${name}`, onMessage))
  }
  const client = await connect(t, `${origin}/echo`)
  client.send('hello')
  t.equal(await client.nextText(), 'hello')
  await (await connect(t, `${origin}/throws`)).closed
  await t.rejects(connect(t, `${origin}/nowhere`))
  broker.gap()
  client.close(4000)
  await client.closed
  await until(() => fastify.websocketServer.stats().open === 0)
  await turn()
  t.match(fastify.websocketServer.stats(), {
    accepted: 2, closed: { 1011: 1, 4000: 1 }, refused: [{ statusCode: 404, count: 1 }], gaps: 1
  })
  t.strictSame(new Set(errors.map(({ message }) => message)), new Set(CHANNELS))
  t.strictSame(uncaught.splice(0), errors, 'as on all channels of Node.js')
})

test('a subscriber that ends each connection when it opens gets each end once', async (t) => {
  const told = countMessages(t)
  const acts: Array<(message: fastifyWebsocket.OpenMessage) => void> = [
    ({ connection }) => { connection.socket.terminate() },
    ({ connection }) => { connection.destroy() },
    ({ connection }) => { connection.socket.close(1001) },
    ({ connection }) => { connection.socket.emit('error', new Error('mine')) }
  ]
  let count = 0
  // The types of the channel do not know its messages.
  const onMessage = (message: unknown): void => { acts[count++ % acts.length]?.(message as never) }
  subscribe('fastify-websocket.open', onMessage)
  t.teardown(() => unsubscribe('fastify-websocket.open', onMessage))
  for (const compatible of [undefined, '@fastify/websocket'] as const) {
    const errors: unknown[] = []
    const { fastify, origin } = await serve(t, {
      plugin: {
        errorHandler: (error: Error, { socket }: { socket?: { close (): void } }) => {
          errors.push(error)
          socket?.close()
        },
        compatible
      } as fastifyWebsocket.WebsocketPluginOptions,
      declare: (fastify) => { fastify.get('/', { websocket: true }, () => {}) }
    })
    for (let i = 0; i < acts.length; i++) {
      const client = await connect(t, `${origin}/`)
      client.close()
      await client.closed
    }
    await until(() => fastify.websocketServer.stats().open === 0)
    t.match(errors, [{ message: 'mine' }])
    t.equal(fastify.websocketServer.stats().accepted, acts.length)
  }
  t.match(told, { open: 8, close: 8, error: 2 })
})
