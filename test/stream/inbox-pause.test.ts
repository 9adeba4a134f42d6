// A pause of the connection: by the bound, while a handler runs or the stream is full, and by the
// application.
import { once } from 'node:events'
import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { inboxOf } from '../../src/stream/inbox'
import { kOutbox } from '../../src/stream/symbols'
import { connect, ping } from '../helpers/client'
import { Logs, WARN } from '../helpers/logs'
import { serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { holdTimers } from '../helpers/timers'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'
import { Warnings } from '../helpers/warnings'

const BOUND = 64 * 1024
const OVERHEAD = 64
const KILOBYTE = Buffer.alloc(1024)
/** A message that alone weighs as much as may wait. */
const FULL = Buffer.alloc(BOUND - OVERHEAD)

/** Longer than a test may take. */
const A_MINUTE = 60_000

const FIN_TEXT = 0x81
const FIN_CLOSE = 0x88

test('a full wait for a running handler pauses the connection until it reads', async (t) => {
  const warnings = new Warnings(t)
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
  t.strictSame(await warnings.codes(), [])
})

test('messages that wait for the end of a pause are answered before a close frame', async (t) => {
  const { stream: { socket }, client } = await createRawPair(t)
  socket.on('message', (data) => {
    socket.pause()
    socket.send(`re: ${data}`)
  })
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  await client.until('re: one')
  const { transport } = socket[kOutbox]
  client.write(frame(FIN_CLOSE))
  await until(() => transport?.readableLength !== 0)
  socket.resume()
  await client.until('re: two')
  socket.resume()
  await once(socket, 'close')
  t.equal(socket.closeCode, 1005)
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
  const warnings = new Warnings(t)
  const { stream, client } = await createPair(t, { pauseTimeout: 5 })
  inboxOf(stream.socket).startHandling()
  const warned = warnings.next()
  client.send(FULL)
  t.match(await warned, { code: 'FST_WS_UNREAD_OVERFLOW' })
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
  const warnings = new Warnings(t)
  const { stream, client } = await createPair(t, { pauseTimeout: A_MINUTE })
  inboxOf(stream.socket).startHandling()
  client.send(FULL)
  await until(() => stream.socket.isPaused)
  stream.end()
  await client.closed
  await once(stream.socket, 'close')
  t.strictSame(await once(stream.socket, 'message'), [FULL, true])
  t.strictSame(await warnings.codes(), [])
})

test('after a close of this side, what has no room is dropped without a warning', async (t) => {
  const warnings = new Warnings(t)
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
  t.strictSame(await warnings.codes(), [])
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

test('messages wait for as long as the application has paused, however many', async (t) => {
  const warnings = new Warnings(t)
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
  t.strictSame(await warnings.codes(), [])
})

test('resume() without a reader drops what waits beyond the bound, with a warning', async (t) => {
  const packet = Array.from({ length: 3000 }, (_, i) => frame(FIN_TEXT, String(i)))
  const { stream: { socket }, client } = await createRawPair(t)
  const first = once(socket, 'message')
  socket.once('message', () => { socket.pause() })
  client.write(Buffer.concat(packet))
  await first
  await turn()
  const warned = new Warnings(t).next()
  socket.resume()
  t.match(await warned, { code: 'FST_WS_UNREAD_OVERFLOW' })
})
