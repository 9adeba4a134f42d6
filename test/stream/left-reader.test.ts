// Who has read a part and leaves the rest must hear of the end of the connection, as from a TCP
// socket.
import { once } from 'node:events'
import { test } from 'tap'
import type { SocketStream } from '../../src/stream/duplex'
import { createPair } from '../helpers/streams'

/** Reads a chunk and leaves, and the stream stays open. */
async function readOne (stream: SocketStream): Promise<unknown> {
  const chunks = stream.iterator({ destroyOnReturn: false })
  const { value } = await chunks.next()
  await chunks.return?.()
  return value
}

test('a stream whose reader has left closes when the peer closes', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  t.same(await readOne(stream), Buffer.from('one'))
  const closed = once(stream, 'close')
  client.close()
  await closed
  t.ok(stream.readableEnded)
  t.equal(stream.closeCode, 1005)
})

test('a stream whose reader has left closes after an end of this side', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('question')
  await readOne(stream)
  const closed = once(stream, 'close')
  stream.end('answer')
  t.equal(await client.nextText(), 'answer')
  await closed
  t.match(await client.closed, { code: 1000 })
})

test('a paused stream that has nothing left closes when the peer closes', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  await once(stream, 'data')
  stream.pause()
  const closed = once(stream, 'close')
  client.close()
  await closed
  t.ok(stream.readableEnded)
})

test('what a reader has left is kept, and the end comes behind it', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  await readOne(stream)
  client.send('two')
  client.close()
  await once(stream.socket, 'close')
  t.notOk(stream.destroyed)
  t.same(await stream.toArray(), [Buffer.from('two')])
})
