import { once } from 'node:events'
import { test, type Test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { inboxOf } from '../../src/stream/inbox'
import { connect, type Client } from '../helpers/client'
import { exposeGarbageCollector } from '../helpers/gc'
import { Logs, WARN } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { holdTimers, recordTimers } from '../helpers/timers'
import { expectUncaught } from '../helpers/uncaught'
import {
  createPair, createRawPair, record, serveStreams, turn, until
} from '../helpers/streams'

const BOUND = 64 * 1024
const OVERHEAD = 64
const KILOBYTE = Buffer.alloc(1024)
/** A message that alone weighs as much as may wait. */
const FULL = Buffer.alloc(BOUND - OVERHEAD)

/** Longer than a test may take. */
const A_MINUTE = 60_000

const FIN_TEXT = 0x81
const FIN_BINARY = 0x82
const TEXT_FRAGMENT = 0x01
const CONTINUATION = 0x00
const FIN_CONTINUATION = 0x80

/** Asks the server for a pong; resolves when it has dealt with all that was sent before. */
async function ping ({ socket }: Client): Promise<void> {
  socket.ping()
  await once(socket, 'pong')
}

/** Collects the warnings of the process until the test is over. */
function recordWarnings (t: Test): unknown[] {
  const warnings: unknown[] = []
  const onWarning = (warning: unknown): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => { process.off('warning', onWarning) })
  return warnings
}

// --- The bound ---

test('keeps what nobody reads up to just below 64 KiB, 64 bytes being added to each', async (t) => {
  const { stream, client } = await createPair(t)
  client.send(FULL.subarray(1))
  await ping(client)
  const messages = record(stream.socket, 'message')
  await turn()
  t.strictSame(messages, [[FULL.subarray(1), true]])
})

test('drops what nobody reads at 64 KiB, and what follows, with one warning', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t)
  for (let i = 0; i < 3; i++) client.send(FULL)
  await ping(client)
  const messages = record(stream.socket, 'message')
  client.send('after')
  await once(stream.socket, 'message')

  t.strictSame(messages, [['after', false]])
  t.match(warnings, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
  t.equal(warnings.length, 1)
})

test('empty messages weigh 64 bytes each', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t)
  for (let i = 0; i < BOUND / OVERHEAD - 1; i++) client.send('')
  await ping(client)
  t.strictSame(warnings, [])
  client.send('')
  await ping(client)
  await turn()
  t.match(warnings, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
  const messages = record(stream.socket, 'message')
  await ping(client)
  t.strictSame(messages, [])
})

test('after a drop, gaps between two readers lose nothing again', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t)
  client.send(FULL)
  await ping(client)
  const first = once(stream.socket, 'message')
  client.send('one')
  client.send('two')
  t.strictSame(await first, ['one', false])
  await ping(client)
  t.strictSame(await once(stream.socket, 'message'), ['two', false])
  client.send(FULL)
  await ping(client)
  t.equal(warnings.length, 1, 'a second drop is not told')
})

test('forgets what was read while more is always waiting', async (t) => {
  const { stream, client } = await createPair(t)
  const refs: Array<WeakRef<Buffer>> = []
  const collectGarbage = exposeGarbageCollector()
  client.send(KILOBYTE)
  for (let i = 0; i < 50; i++) {
    client.send(KILOBYTE)
    const [data] = await once(stream.socket, 'message')
    refs.push(new WeakRef(data))
    await ping(client)
  }
  await turn()
  collectGarbage()
  t.ok(refs.filter((ref) => ref.deref() !== undefined).length < 5)
})

test('highWaterMark is the bound', async (t) => {
  const warnings = recordWarnings(t)
  const { client } = await createPair(t, { highWaterMark: OVERHEAD + 2 })
  client.send('1')
  await ping(client)
  t.strictSame(warnings, [])
  client.send('2')
  await ping(client)
  await turn()
  t.match(warnings, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
})

test('a connection that is only listened to puts nothing into the stream', async (t) => {
  const COUNT = 200_000
  let count = 0
  let mostBuffered = 0
  const handler: WebsocketHandler = (connection) => {
    connection.socket.on('message', () => {
      count++
      mostBuffered = Math.max(mostBuffered, connection.readableLength)
    })
  }
  const { origin } = await serve(t, {
    declare (fastify) { fastify.get('/', { websocket: true }, handler) }
  })
  const client = new RawClient(t, Number(new URL(origin).port))
  client.write(upgradeHead('/'))
  // Not through a ws client: it would take most of the time.
  const header = Buffer.from([FIN_BINARY, 0x80 | 126, KILOBYTE.length >> 8, 0, 0, 0, 0, 0])
  const batch = Buffer.concat(Array.from({ length: 1000 }, () => [header, KILOBYTE]).flat())
  for (let sent = 0; sent < COUNT; sent += 1000) {
    if (!client.socket.write(batch)) await once(client.socket, 'drain')
  }
  await until(() => count === COUNT)

  t.equal(count, COUNT)
  t.equal(mostBuffered, 0)
})

// --- The pause ---

test('a full wait for a running handler pauses the connection until it reads', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send(FULL)
  await until(() => stream.socket.isPaused)
  client.send('behind')
  const pongs = record(client.socket, 'pong')
  client.socket.ping()
  await turn()
  t.strictSame(pongs, [], 'a paused connection does not answer')

  const messages = record(stream.socket, 'message')
  await once(client.socket, 'pong')
  t.strictSame(messages, [[FULL, true], ['behind', false]])
  t.equal(stream.socket.isPaused, false)
  t.strictSame(warnings, [])
})

test('the pause ends with the handler, and what waited is dropped with a warning', async (t) => {
  const logs = new Logs()
  let finish = (): void => {}
  const handler: WebsocketHandler = () => new Promise<void>((resolve) => { finish = resolve })
  const { origin } = await serve(t, {
    server: { logger: logs.logger },
    declare (fastify) { fastify.get('/', { websocket: true }, handler) }
  })
  const client = await connect(t, origin)
  for (let i = 0; i < 100; i++) client.send(FULL)
  await until(() => client.socket.bufferedAmount > 0)
  finish()
  await ping(client)

  const warning = await logs.find('websocket messages dropped')
  t.equal(warning.level, WARN)
  t.equal(warning.err?.code, 'FST_WS_UNREAD_OVERFLOW')
  t.equal(logs.lines.filter(({ level }) => level === WARN).length, 1)
})

test('the pause ends after pauseTimeout, though the handler still runs', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t, { pauseTimeout: 5 })
  inboxOf(stream.socket).startHandling()
  client.send(FULL)
  await until(() => warnings.length > 0)
  t.match(warnings, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
  await ping(client)
})

test('a pause that has ended does not limit the next one', async (t) => {
  const timers = holdTimers(t, A_MINUTE)
  const { stream, client } = await createPair(t, { pauseTimeout: A_MINUTE })
  inboxOf(stream.socket).startHandling()
  for (let i = 0; i < 2; i++) {
    client.send(FULL)
    await until(() => stream.socket.isPaused)
    t.equal(timers.size, 1)
    t.strictSame(await once(stream.socket, 'message'), [FULL, true])
    await until(() => !stream.socket.isPaused)
    t.equal(timers.size, 0)
  }
})

test('a handler that waits for the close ends while its peer sends 1 MB and closes', async (t) => {
  let closed: Promise<unknown[]> | undefined
  const handler: WebsocketHandler = async ({ socket }) => {
    closed = once(socket, 'close')
    await closed
  }
  const { origin } = await serve(t, {
    plugin: { options: { pauseTimeout: 5 } },
    declare (fastify) { fastify.get('/', { websocket: true }, handler) }
  })
  const client = await connect(t, origin)
  for (let i = 0; i < 1024; i++) client.send(KILOBYTE)
  client.close(4000, 'bye')
  t.strictSame(await client.closed, { code: 4000, reason: 'bye' })
  t.strictSame(await closed, [4000, Buffer.from('bye')])
})

test('to close ends the pause, silently, and the kept messages stay readable', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t, { pauseTimeout: A_MINUTE })
  inboxOf(stream.socket).startHandling()
  client.send(FULL)
  await until(() => stream.socket.isPaused)
  stream.end()
  await client.closed
  await once(stream.socket, 'close')
  t.strictSame(await once(stream.socket, 'message'), [FULL, true])
  t.strictSame(warnings, [])
})

test('after a close of this side, what has no room is dropped without a warning', async (t) => {
  const warnings = recordWarnings(t)
  const { stream, client } = await createPair(t, { pauseTimeout: A_MINUTE })
  inboxOf(stream.socket).startHandling()
  client.send(FULL)
  await until(() => stream.socket.isPaused)
  client.send(FULL)
  client.send(FULL)
  stream.end()
  await once(stream.socket, 'close')
  const messages = record(stream.socket, 'message')
  await turn()
  t.strictSame(messages, [[FULL, true], [FULL, true]], 'what was kept is still there')
  t.strictSame(warnings, [])
})

test('a slow reader of the stream pauses the connection, and a fast one resumes it', async (t) => {
  const { stream, client } = await createPair(t)
  const onReadable = (): void => {}
  stream.on('readable', onReadable)
  client.send(FULL)
  client.send(FULL)
  client.send('last')
  await until(() => stream.socket.isPaused)
  t.equal(stream.readableLength, 2 * FULL.length)

  let length = 0
  stream.off('readable', onReadable)
  stream.on('data', (chunk) => { length += chunk.length })
  await ping(client)
  t.equal(length, 2 * FULL.length + 4)
  t.equal(stream.socket.isPaused, false)
})

test('a stream that stops being read after a stall is held no longer than a handler', async (t) => {
  const { stream, client } = await createPair(t, { highWaterMark: 100, pauseTimeout: 5 })
  inboxOf(stream.socket).startHandling()
  stream.pause()
  stream.on('data', () => { stream.removeAllListeners('data') })
  for (let i = 0; i < 10; i++) client.send(KILOBYTE)
  await until(() => stream.socket.isPaused)
  stream.resume()
  await ping(client)
  t.equal(stream.socket.isPaused, false)
})

// --- The user's own pause ---

test('pause() of the socket stops the messages at once and resume() gives them', async (t) => {
  const { stream, client } = await createRawPair(t)
  const { socket } = stream
  const messages = record(socket, 'message')
  socket.once('message', () => { socket.pause() })
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  await once(socket, 'message')
  await turn()
  t.strictSame(messages, [['one', false]])
  t.equal(socket.isPaused, true)
  socket.resume()
  await turn()
  t.strictSame(messages, [['one', false], ['two', false]])
})

test('the socket reads again when both the user and the bound allow it', async (t) => {
  const { stream, client } = await createPair(t)
  const { socket } = stream
  inboxOf(socket).startHandling()
  client.send(FULL)
  await until(() => socket.isPaused)
  socket.pause()
  socket.on('message', () => {})
  await turn()
  t.equal(socket.isPaused, true, 'the bound allows it, the user does not')
  socket.resume()
  t.equal(socket.isPaused, false)
})

test('resume() of the user does not end a pause of the bound', async (t) => {
  const { stream, client } = await createPair(t)
  const { socket } = stream
  inboxOf(socket).startHandling()
  client.send(FULL)
  await until(() => socket.isPaused)
  socket.resume()
  t.equal(socket.isPaused, true)
})

// --- Readers that come and go ---

test('a listener never runs inside its own registration', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('waits')
  await ping(client)
  for (const register of ['on', 'addListener', 'once', 'prependListener'] as const) {
    const { stream, client } = await createPair(t)
    client.send('waits')
    await ping(client)
    const messages: unknown[] = []
    stream.socket[register]('message', (data: unknown) => { messages.push(data) })
    t.strictSame(messages, [], register)
    await turn()
    t.strictSame(messages, ['waits'], register)
  }
  const data: unknown[][] = []
  stream.addListener('data', (...args) => { data.push(args) })
  t.strictSame(data, [])
  await turn()
  t.strictSame(data, [[Buffer.from('waits')]])
})

test('a reader that leaves before the next tick leaves the messages to the next one', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('waits')
  await ping(client)
  const gone = (): void => { t.fail('the listener has left') }
  stream.socket.on('message', gone)
  stream.socket.off('message', gone)
  await turn()
  t.strictSame(await once(stream.socket, 'message'), ['waits', false])
})

test('a data listener that leaves makes messages wait, and resume() alone discards', async (t) => {
  const { stream, client } = await createPair(t)
  const first = once(stream, 'data')
  client.send('one')
  t.strictSame(await first, [Buffer.from('one')])
  client.send('two')
  await ping(client)
  t.strictSame(await once(stream, 'data'), [Buffer.from('two')])
  stream.resume()
  client.send('three')
  await ping(client)
  const data = record(stream, 'data')
  client.send('four')
  await once(stream, 'data')
  t.strictSame(data, [[Buffer.from('four')]])
})

test('to destroy the stream inside a listener stops what waits', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  client.send('two')
  await ping(client)
  const messages = record(stream.socket, 'message')
  stream.socket.once('message', () => { stream.destroy() })
  await client.closed
  await once(stream, 'close')
  t.strictSame(messages, [['one', false]])
})

// --- The end ---

test('listeners get what waited before `close`', async (t) => {
  const { stream, client } = await createPair(t)
  const order: unknown[] = []
  stream.socket.on('close', () => { order.push('close') })
  client.send('one')
  client.send('two')
  await ping(client)
  client.socket.terminate()
  // The close is seen in a later turn than this registration, whose delivery is due before it.
  stream.socket.pause()
  stream.socket.on('message', (data) => { order.push(data) })
  stream.socket.resume()
  await once(stream, 'close')
  t.strictSame(order, ['one', 'two', 'close'])
})

test('messages that a paused listener was not given yet come before `close`', async (t) => {
  const { stream, client } = await createRawPair(t)
  const { socket } = stream
  const order: unknown[] = []
  socket.on('close', () => { order.push('close') })
  socket.on('message', (data) => { order.push(data) })
  socket.once('message', () => { socket.pause() })
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  await until(() => order.length > 0)
  socket.terminate()
  await once(socket, 'close')
  t.strictSame(order, ['one', 'two', 'close'])
})

test('a running handler may read what was kept after the peer has gone', async (t) => {
  const timers = recordTimers(t)
  const { stream, client } = await createPair(t)
  const closed = once(stream, 'close')
  inboxOf(stream.socket).startHandling()
  client.send('one')
  client.send('two')
  client.close()
  await once(stream.socket, 'close')
  t.strictSame(await once(stream.socket, 'message'), ['one', false])
  t.strictSame(await once(stream.socket, 'message'), ['two', false])
  await closed
  await client.closed
  t.strictSame([...timers.values()], [])
})

test('the stream of a handler that reads late ends after what was kept', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  t.strictSame(await stream.toArray(), [Buffer.from('kept')])
  t.equal(stream.closed, true)
})

test('a handler that ends without reading gives up what was kept', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  t.equal(stream.destroyed, false)
  inboxOf(stream.socket).endHandling()
  t.equal(stream.destroyed, true)
})

test('what was kept is given up pauseTimeout after the close', async (t) => {
  const { stream, client } = await createPair(t, { pauseTimeout: 5 })
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream, 'close')
  t.equal(stream.closeCode, 1005)
})

test('a handler that ends between its registration and the delivery loses nothing', async (t) => {
  const { stream, client } = await createPair(t)
  inboxOf(stream.socket).startHandling()
  client.send('kept')
  client.close()
  await once(stream.socket, 'close')
  const messages = record(stream.socket, 'message')
  inboxOf(stream.socket).endHandling()
  await once(stream, 'close')
  t.strictSame(messages, [['kept', false]])
})

// --- Text and bytes ---

test('text is a string and bytes are a Buffer, fragments and empty ones too', async (t) => {
  const { stream } = await createRawPair(t, {}, Buffer.concat([
    frame(FIN_TEXT, 'text'),
    frame(FIN_BINARY, Buffer.from([0, 255])),
    frame(FIN_TEXT), frame(FIN_BINARY),
    // A character of three bytes, split over two fragments.
    frame(TEXT_FRAGMENT, Buffer.from([0xe2, 0x82])),
    frame(CONTINUATION),
    frame(FIN_CONTINUATION, Buffer.from([0xac]))
  ]))
  const messages = record(stream.socket, 'message')
  await until(() => messages.length === 5)
  t.strictSame(messages, [
    ['text', false], [Buffer.from([0, 255]), true], ['', false], [Buffer.alloc(0), true],
    ['€', false]
  ])
})

test('binaryType is the type of binary messages alone, and any other is ignored', async (t) => {
  const { stream, client } = await createPair(t)
  const { socket } = stream
  const receive = async (): Promise<unknown> => {
    client.send(Buffer.from([1, 2]))
    const [data] = await once(socket, 'message')
    client.send('text')
    t.strictSame(await once(socket, 'message'), ['text', false])
    return data
  }
  t.equal(socket.binaryType, 'nodebuffer')
  t.strictSame(await receive(), Buffer.from([1, 2]))
  socket.binaryType = 'arraybuffer'
  t.strictSame(await receive(), new Uint8Array([1, 2]).buffer)
  socket.binaryType = 'fragments'
  t.strictSame(await receive(), [Buffer.from([1, 2])])
  Object.assign(socket, { binaryType: 'nonsense' })
  t.equal(socket.binaryType, 'fragments')
  Object.assign(socket, { binaryType: 'blob' })
  const blob = await receive()
  t.ok(blob instanceof Blob)
  t.strictSame(Buffer.from(await new Response(blob as Blob).arrayBuffer()), Buffer.from([1, 2]))
})

test('the stream gets bytes whatever the binaryType is', async (t) => {
  const { stream, client } = await createPair(t)
  stream.socket.binaryType = 'arraybuffer'
  client.send(Buffer.from([1, 2]))
  t.strictSame(await once(stream, 'data'), [Buffer.from([1, 2])])
})

// --- Without a stream, without an owner ---

test('a server that is only a ws server keeps and drops messages the same way', async (t) => {
  const warnings = recordWarnings(t)
  const { server, origin } = await serveStreams(t)
  const [[socket], client] = await Promise.all([once(server, 'connection'), connect(t, origin)])
  client.send('first')
  await ping(client)
  t.strictSame(await once(socket, 'message'), ['first', false])
  client.send(FULL)
  await ping(client)
  await turn()
  t.match(warnings, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
  client.close(4001)
  t.strictSame(await once(socket, 'close'), [4001, Buffer.alloc(0)])
})

test('an error of the peer is not thrown where nobody listens', async (t) => {
  const { server, port } = await serveStreams(t)
  const client = new RawClient(t, port)
  client.write(upgradeHead('/'))
  const [socket] = await once(server, 'connection')
  // A reserved bit.
  client.write(frame(FIN_TEXT | 0x40))
  await client.closed
  await until(() => socket.closeCode !== undefined)
  t.equal(socket.closeCode, 1006)
})

test('without an owner a listener that throws, throws', async (t) => {
  const { stream } = await createPair(t)
  const failure = new Error('listener')
  stream.socket.on('ping', () => { throw failure })
  t.throws(() => stream.socket.emit('ping'), failure)
  stream.socket.on('message', () => { throw failure })
  t.throws(() => stream.socket.emit('message', Buffer.from('text'), false), failure)
})

test('without an owner an event handler that rejects is an unhandled rejection', async (t) => {
  const { stream, client } = await createPair(t)
  const failure = new Error('handler')
  expectUncaught(failure)
  const ofTap = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  t.teardown(() => { for (const listener of ofTap) process.on('unhandledRejection', listener) })
  const rejected = new Promise((resolve) => { process.once('unhandledRejection', resolve) })
  stream.socket.addEventListener('message', async () => { throw failure })
  client.send('text')
  t.equal(await rejected, failure)
})

// --- What the application emits ---

test('a message that a library replays is passed on as it is', async (t) => {
  const { stream: { socket } } = await createPair(t)
  const messages = record(socket, 'message')
  const bytes = Buffer.from([0xff, 0xfe])
  socket.emit('message', bytes)
  socket.emit('message', 'text', false)
  socket.emit('message')
  t.strictSame(messages, [[bytes], ['text', false], []])
  t.equal(messages[0]?.[0], bytes)
})

test('a message that is replayed as ws emits it is treated like a received one', async (t) => {
  const { stream } = await createPair(t)
  const messages = record(stream.socket, 'message')
  const data = record(stream, 'data')
  stream.socket.emit('message', Buffer.from('text'), false)
  stream.socket.emit('message', Buffer.from([1]), true)
  await until(() => data.length === 2)
  t.strictSame(messages, [['text', false], [Buffer.from([1]), true]])
})

// --- A pause of the application ---

test('messages wait for as long as the application has paused, however many', async (t) => {
  const warnings = recordWarnings(t)
  const count = 3000
  const packet = Array.from({ length: count }, (_, i) => frame(FIN_TEXT, String(i)))
  const { stream: { socket }, client } = await createRawPair(t)
  const first = new Promise((resolve) => {
    socket.once('message', (text) => {
      socket.pause()
      resolve(text)
    })
  })
  client.write(Buffer.concat(packet))
  t.equal(await first, '0')
  for (let i = 0; i < 20; i++) await turn()
  const messages = record(socket, 'message')
  socket.resume()
  await until(() => messages.length === count - 1)
  const expected = Array.from({ length: count - 1 }, (_, i) => String(i + 1))
  t.strictSame(messages.map(([text]) => text), expected)
  t.strictSame(warnings, [])
})

test('resume() without a reader drops what waits beyond the bound, with a warning', async (t) => {
  const packet = Array.from({ length: 3000 }, (_, i) => frame(FIN_TEXT, String(i)))
  const { stream: { socket }, client } = await createRawPair(t)
  const first = once(socket, 'message')
  socket.once('message', () => { socket.pause() })
  client.write(Buffer.concat(packet))
  await first
  await turn()
  const warned = once(process, 'warning')
  socket.resume()
  t.match(await warned, [{ code: 'FST_WS_UNREAD_OVERFLOW' }])
})
