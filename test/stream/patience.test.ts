import { test } from 'tap'
import { once } from 'node:events'
import { inboxOf } from '../../src/stream/inbox'
import { connect } from '../helpers/client'
import { serve } from '../helpers/plugin'
import { frame } from '../helpers/raw'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'
import { holdTimers } from '../helpers/timers'

// Readers that come and go, and how long their messages wait.

const FIN_TEXT = 0x81

/** No other timer has this delay. */
const PAUSE_TIMEOUT = 4321

test('a handler that reads one message at a time gets all, however long it takes', async (t) => {
  const timers = holdTimers(t, PAUSE_TIMEOUT)
  const count = 300
  const seen: string[] = []
  let halves = 0
  const { origin } = await serve(t, {
    plugin: { options: { highWaterMark: 1000, pauseTimeout: PAUSE_TIMEOUT } },
    declare (fastify) {
      fastify.get('/', { websocket: true }, async ({ socket }) => {
        await until(() => socket.isPaused)
        while (seen.length < count) {
          const [message] = await once(socket, 'message')
          seen.push(message)
          // Work: all of it together lasts longer than a pause may.
          halves += timers.size
          timers.passHalf()
          await turn()
        }
        socket.send('done')
      })
    }
  })
  const client = await connect(t, origin)
  const sent = Array.from({ length: count }, (_, index) => `message ${index}`)
  for (const message of sent) client.send(message)
  t.equal(await client.nextText(), 'done')
  t.same(seen, sent)
  t.ok(halves > 2, `${halves} halves of a pause`)
})

test('it gets all after the client has closed, too', async (t) => {
  const timers = holdTimers(t, PAUSE_TIMEOUT)
  const count = 100
  const seen: string[] = []
  let halves = 0
  let isDone = false
  const { origin } = await serve(t, {
    plugin: { options: { pauseTimeout: PAUSE_TIMEOUT } },
    declare (fastify) {
      fastify.get('/', { websocket: true }, async ({ socket }) => {
        await until(() => socket.readyState === socket.CLOSED)
        while (seen.length < count) {
          const [message] = await once(socket, 'message')
          seen.push(message)
          halves += timers.size
          timers.passHalf()
          await turn()
        }
        isDone = true
      })
    }
  })
  const client = await connect(t, origin)
  const sent = Array.from({ length: count }, (_, index) => `message ${index}`)
  for (const message of sent) client.send(message)
  client.close()
  await until(() => isDone)
  t.same(seen, sent)
  t.ok(halves > 2, `${halves} halves of a pause`)
})

test('a stream that is paused between two data listeners stays within its bound', async (t) => {
  const { stream, client } = await createRawPair(t, { highWaterMark: 1000 })
  const first = once(stream, 'data')
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  t.equal(String((await first)[0]), 'one')
  stream.pause()

  for (let i = 0; i < 100; i++) client.write(frame(FIN_TEXT, 'x'.repeat(100)))
  await until(() => stream.socket.isPaused)
  const rest = record(stream, 'data')
  stream.resume()
  await until(() => rest.flat().join('').length === 3 + 100 * 100)
  t.equal(String(rest[0]).slice(0, 3), 'two')
})

test('a data listener that is prepended gets what waits for one', async (t) => {
  const { stream, client } = await createRawPair(t)
  const first = once(stream, 'data')
  client.write(Buffer.concat([frame(FIN_TEXT, 'one'), frame(FIN_TEXT, 'two')]))
  await first
  await turn()
  const rest: unknown[] = []
  stream.prependListener('data', (chunk) => { rest.push(String(chunk)) })
  await until(() => rest.length === 1)
  t.same(rest, ['two'])
})

test('a stream that was read once does not hold up the listeners of the socket', async (t) => {
  const { stream, client } = await createPair(t, { highWaterMark: 1000 })
  client.send('hello')
  await once(stream, 'readable')
  t.equal(String(stream.read()), 'hello')

  let bytes = 0
  stream.socket.on('message', (message) => { bytes += message.length })
  for (let i = 0; i < 100; i++) client.send('x'.repeat(100))
  client.socket.ping()
  await once(client.socket, 'pong')
  t.equal(bytes, 100 * 100)
  client.close(4000)
  t.match(await once(stream.socket, 'close'), [4000])
})

test('a handler that lost its messages by waiting too long may read later ones', async (t) => {
  const { stream, client } = await createPair(t, { highWaterMark: 100, pauseTimeout: 5 })
  const { socket } = stream
  inboxOf(socket).startHandling()
  client.send('x'.repeat(1000))
  await until(() => socket.isPaused)
  await until(() => !socket.isPaused)
  const [late] = await Promise.all([once(socket, 'message'), client.send('late')])
  t.equal(late[0], 'late')

  client.send('y'.repeat(1000))
  await until(() => socket.isPaused)
  t.equal(String((await once(socket, 'message'))[0]), 'y'.repeat(1000))
})
