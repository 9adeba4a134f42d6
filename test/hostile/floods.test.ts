import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { Socket } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { test, type Test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import { exposeGarbageCollector } from '../helpers/gc'
import { frame, upgradeHead, type RawClient } from '../helpers/raw'
import { answerOf, Siege } from '../helpers/siege'
import { turn, until } from '../helpers/streams'

const collectGarbage = exposeGarbageCollector()

const MB = 1_000_000
const TEXT = 0x81
const PING = 0x89
const EMPTY_CONTINUATION = frame(0x00)
const GOODBYE = frame(0x88, Buffer.from([0x03, 0xe8]))

/** Frames, `count` of them, as one block of bytes. */
function repeat (bytes: Buffer, count: number): Buffer {
  return Buffer.alloc(bytes.length * count, bytes)
}

/** Writes a block many times, no faster than it is taken. Ends early with the connection. */
async function flood ({ socket, closed }: RawClient, block: Buffer, times: number): Promise<void> {
  for (let i = 0; i < times && !socket.destroyed; i++) {
    if (socket.write(block)) continue
    await Promise.race([closed, new Promise((resolve) => { socket.once('drain', resolve) })])
    socket.removeAllListeners('drain')
  }
}

/** Both ends of a connection, the client's raw. */
async function enter (
  t: Test, siege: Siege, path: string, lines = {}
): Promise<{ client: RawClient, transport: Socket }> {
  const client = siege.enter(t)
  const accepted = once(siege.fastify.server, 'connection')
  client.write(upgradeHead(path, lines))
  const [transport] = await accepted
  await client.until('\r\n\r\n')
  return { client, transport }
}

function memory (): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The most memory that is used until `done`, above what is used now. */
async function peakMemory (done: Promise<unknown>): Promise<number> {
  const before = memory()
  const progress = { isDone: false }
  done.finally(() => { progress.isDone = true })
  let peak = 0
  while (!progress.isDone) {
    await turn()
    const { heapUsed, external } = process.memoryUsage()
    peak = Math.max(peak, heapUsed + external - before)
  }
  return peak
}

// --- Pings ---

test('pings whose pongs nobody reads end the connection in bounded memory', async (t) => {
  let pings = 0
  let peak = 0
  const siege = await Siege.begin(t, {
    declare (fastify) {
      fastify.get('/pings', { websocket: true }, ({ socket }) => {
        socket.on('ping', () => {
          pings++
          peak = Math.max(peak, socket.bufferedAmount)
        })
      })
    }
  })
  const { client, transport } = await enter(t, siege, '/pings')
  client.socket.pause()
  const block = repeat(frame(PING, 'x'.repeat(125)), 50)
  // The first pongs go to the buffers of the system.
  for (let sent = 50; !transport.destroyed; sent += 50) {
    client.write(block)
    await until(() => pings >= sent || transport.destroyed)
  }
  t.ok(pings > 60, `${pings} pings`)
  t.ok(peak < 2 * 60 * 127, `${peak} bytes`)
  client.socket.destroy()
  await siege.assertUnharmed(t)
  await siege.end(t)
})

test('more pings at once than anybody needs end the connection', async (t) => {
  const siege = await Siege.begin(t, {})
  const head = upgradeHead('/echo')
  await siege.attackEach(t, [
    ['60 pings', 1000, Buffer.concat([Buffer.from(head), repeat(frame(PING), 60), GOODBYE])],
    ['100000 pings', 1006, Buffer.concat([Buffer.from(head), repeat(frame(PING), 100_000)])],
    ['200000 pongs', 1000,
      Buffer.concat([Buffer.from(head), repeat(frame(0x8a), 200_000), GOODBYE])]
  ])
  await siege.end(t)
})

// --- Fragments ---

test('two million empty fragments are too many', async (t) => {
  const siege = await Siege.begin(t, {})
  const { client } = await enter(t, siege, '/echo')
  client.write(frame(0x01))
  const flooded = flood(client, repeat(EMPTY_CONTINUATION, 10_000), 200)
  const peak = await peakMemory(flooded)
  await client.closed
  t.equal(answerOf(client.received), 1008)
  t.ok(peak < 30 * MB, `${peak} bytes`)
  await siege.assertUnharmed(t)
  await siege.end(t)
})

// --- Messages ---

function declareIdle (fastify: FastifyInstance): void {
  fastify.get('/unread', { websocket: true }, () => {})
  fastify.get('/pending', { websocket: true }, () => new Promise(() => {}))
}

for (const path of ['/unread', '/pending']) {
  test(`half a million messages to ${path} are dropped, and pings answered`, async (t) => {
    const siege = await Siege.begin(t, {
      plugin: { options: { pauseTimeout: 50 } }, declare: declareIdle
    })
    for (const payload of ['', 'x']) {
      const { client } = await enter(t, siege, path)
      const before = memory()
      await flood(client, repeat(frame(TEXT, payload), 10_000), 50)
      client.write(frame(PING, 'alive'))
      await client.until('alive')
      const held = memory() - before
      // Kept, the empty ones would take 20 MB and the others more than 50; dropped, it is 0.2 MB.
      t.ok(held < 10 * MB, `${held} bytes`)
      client.write(GOODBYE)
      await client.closed
      t.equal(answerOf(client.received), 1000)
      await siege.assertUnharmed(t)
    }
    await siege.end(t)
  })
}

test('a reader who waits makes the client wait, in bounded memory', async (t) => {
  const streams: SocketStream[] = []
  const siege = await Siege.begin(t, {
    declare (fastify) {
      fastify.get('/slow', { websocket: true }, (connection) => {
        connection.on('data', () => {}).pause()
        streams.push(connection)
      })
    }
  })
  const { client, transport } = await enter(t, siege, '/slow')
  const before = memory()
  const block = repeat(frame(TEXT, 'x'), 10_000)
  while (!transport.isPaused() || !client.socket.writableNeedDrain) {
    if (!client.socket.writableNeedDrain) client.write(block)
    await turn()
  }
  const held = memory() - before - client.socket.writableLength
  t.ok(held < 20 * MB, `${held} bytes`)
  for (const stream of streams) stream.resume()
  client.write(GOODBYE)
  await client.closed
  t.equal(answerOf(client.received), 1000)
  await siege.assertUnharmed(t)
  await siege.end(t)
})

// --- Compression ---

test('a bomb of 64 MB that came in 64 kB is never inflated whole', async (t) => {
  const siege = await Siege.begin(t, { plugin: { options: { perMessageDeflate: true } } })
  const bomb = deflateRawSync(Buffer.alloc(64 * MB))
  const whole = Buffer.concat([longHead(0xc2, bomb.length), bomb])
  const pieces = [frame(0x42, bomb.subarray(0, 100))]
  for (let i = 100; i < bomb.length; i += 100) {
    pieces.push(frame(0x00, bomb.subarray(i, i + 100)))
  }
  for (const bytes of [whole, Buffer.concat(pieces)]) {
    const lines = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
    const { client } = await enter(t, siege, '/echo', lines)
    client.write(bytes)
    const peak = await peakMemory(client.closed)
    t.equal(answerOf(client.received), 1009)
    t.ok(peak < 20 * MB, `${peak} bytes`)
    await siege.assertUnharmed(t)
  }
  await siege.end(t)
})

/** The head of a frame with a length of 64 bits and a mask of zeros. */
function longHead (first: number, length: number): Buffer {
  const head = Buffer.alloc(14)
  head.writeUInt16BE(first * 256 + 0xff)
  head.writeUInt32BE(length, 6)
  return head
}

// --- Slowness ---

const SLOW_HEADS = {
  'nothing at all': '',
  'half a request line': 'GET /ec',
  'half a head': upgradeHead('/echo').slice(0, -4),
  'half of a second head':
    `GET / HTTP/1.1\r\nHost: x\r\n\r\n${upgradeHead('/echo').slice(0, -2)}`,
  'half of a body for another protocol':
    upgradeHead('/', { Upgrade: 'h2c', 'Content-Length': '9' }).replace('GET', 'POST') + 'x'
}

for (const [name, bytes] of Object.entries(SLOW_HEADS)) {
  test(`a client that sends ${name} and then no more is told 408 in time`, async (t) => {
    const siege = await Siege.begin(t, {
      server: {
        requestTimeout: 100, http: { headersTimeout: 100, connectionsCheckingInterval: 20 }
      }
    })
    const received = await siege.attack(t, bytes)
    t.match(received.toString().split('HTTP/1.1 ').at(-1), /^408 /)
    await siege.assertUnharmed(t)
    await siege.end(t)
  })
}

test('a client that sends its head byte by byte is told 408 in time', async (t) => {
  const siege = await Siege.begin(t, {
    server: { requestTimeout: 100, http: { headersTimeout: 100, connectionsCheckingInterval: 20 } }
  })
  const client = siege.enter(t)
  client.write(upgradeHead('/echo').slice(0, -2))
  const timer = setInterval(() => { client.write('a') }, 10)
  t.teardown(() => { clearInterval(timer) })
  await client.closed
  t.equal(answerOf(client.received), 408)
  await siege.assertUnharmed(t)
  await siege.end(t)
})

test('a client that stops inside a frame is cut off when the server closes', async (t) => {
  const siege = await Siege.begin(t, { plugin: { closeTimeout: 50 } })
  const { client } = await enter(t, siege, '/echo')
  client.write(longHead(0x82, 2 ** 20).subarray(0, 9))
  await siege.assertServed(t)
  await siege.fastify.close()
  await client.closed
  t.equal(answerOf(client.received), 1001)
  t.equal(siege.fastify.websocketServer.clients.size, 0)
})

for (const [name, bytes] of Object.entries({ 'a bad frame': frame(0x83), 'a close': GOODBYE })) {
  test(`a client that goes on for ever behind ${name} is cut off`, async (t) => {
    const siege = await Siege.begin(t, { plugin: { closeTimeout: 50 } })
    const { client } = await enter(t, siege, '/echo')
    client.socket.pause()
    client.write(bytes)
    await flood(client, Buffer.alloc(64 * 1024), Infinity)
    t.ok(client.socket.destroyed)
    await siege.assertUnharmed(t)
    await siege.end(t)
  })
}
