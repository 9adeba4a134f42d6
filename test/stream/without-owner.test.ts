// A server of streams without Fastify: no handler owns its connections.
import { once } from 'node:events'
import { test } from 'tap'
import { connect, ping } from '../helpers/client'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { expectUncaught } from '../helpers/uncaught'
import { createPair, serveStreams, turn, until } from '../helpers/streams'
import { Warnings } from '../helpers/warnings'

const BOUND = 64 * 1024
const OVERHEAD = 64
/** A message that alone weighs as much as may wait. */
const FULL = Buffer.alloc(BOUND - OVERHEAD)

const FIN_TEXT = 0x81

test('a server that is only a ws server keeps and drops messages the same way', async (t) => {
  const warnings = new Warnings(t)
  const { server, origin } = await serveStreams(t)
  const [[socket], client] = await Promise.all([once(server, 'connection'), connect(t, origin)])
  client.send('first')
  await ping(client)
  t.strictSame(await once(socket, 'message'), ['first', false])
  client.send(FULL)
  await ping(client)
  await turn()
  t.strictSame(await warnings.codes(), ['FST_WS_UNREAD_OVERFLOW'])
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
