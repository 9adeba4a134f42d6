// Messages without a reader wait, up to a bound, and are dropped beyond it.
import { once } from 'node:events'
import { test } from 'tap'
import type { WebsocketHandler } from '../../src/types'
import { ping } from '../helpers/client'
import { exposeGarbageCollector } from '../helpers/gc'
import { serve } from '../helpers/plugin'
import { RawClient, upgradeHead } from '../helpers/raw'
import { createPair, record, turn, until } from '../helpers/streams'
import { Warnings } from '../helpers/warnings'

const BOUND = 64 * 1024
const OVERHEAD = 64
const KILOBYTE = Buffer.alloc(1024)
/** A message that alone weighs as much as may wait. */
const FULL = Buffer.alloc(BOUND - OVERHEAD)

const FIN_BINARY = 0x82

test('keeps what nobody reads up to just below 64 KiB, 64 bytes being added to each', async (t) => {
  const { stream, client } = await createPair(t)
  client.send(FULL.subarray(1))
  await ping(client)
  const messages = record(stream.socket, 'message')
  await turn()
  t.strictSame(messages, [[FULL.subarray(1), true]])
})

test('drops what nobody reads at 64 KiB, and what follows, with one warning', async (t) => {
  const warnings = new Warnings(t)
  const { stream, client } = await createPair(t)
  for (let i = 0; i < 3; i++) client.send(FULL)
  await ping(client)
  const messages = record(stream.socket, 'message')
  client.send('after')
  await once(stream.socket, 'message')

  t.strictSame(messages, [['after', false]])
  t.strictSame(await warnings.codes(), ['FST_WS_UNREAD_OVERFLOW'])
})

test('empty messages weigh 64 bytes each', async (t) => {
  const warnings = new Warnings(t)
  const { stream, client } = await createPair(t)
  for (let i = 0; i < BOUND / OVERHEAD - 1; i++) client.send('')
  await ping(client)
  t.strictSame(await warnings.codes(), [])
  client.send('')
  await ping(client)
  await turn()
  t.strictSame(await warnings.codes(), ['FST_WS_UNREAD_OVERFLOW'])
  const messages = record(stream.socket, 'message')
  await ping(client)
  t.strictSame(messages, [])
})

test('after a drop, gaps between two readers lose nothing again', async (t) => {
  const warnings = new Warnings(t)
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
  t.equal((await warnings.codes()).length, 1, 'a second drop is not told')
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
  const warnings = new Warnings(t)
  const { client } = await createPair(t, { highWaterMark: OVERHEAD + 2 })
  client.send('1')
  await ping(client)
  t.strictSame(await warnings.codes(), [])
  client.send('2')
  await ping(client)
  await turn()
  t.strictSame(await warnings.codes(), ['FST_WS_UNREAD_OVERFLOW'])
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
