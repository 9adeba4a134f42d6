// The Duplex at its end: who closes it how, and what is still read, written and reported then.
import { once } from 'node:events'
import { Socket } from 'node:net'
import { test } from 'tap'
import { inboxOf } from '../../src/stream/inbox'
import { frame } from '../helpers/raw'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'
import { recordTimers } from '../helpers/timers'

const FIN_BINARY = 0x82
const CLOSE = 0x88
const PATIENCE = 20

/** How many listeners each event has. */
function countListeners (socket: Socket): Record<string, number> {
  const events = socket.eventNames().map((event) => [String(event), socket.listenerCount(event)])
  return Object.fromEntries(events)
}

const ends: Array<{
  title: string
  end: (pair: Awaited<ReturnType<typeof createPair>>) => unknown
  seen: { code: number, reason: string }
  errorCode?: string
}> = [
  {
    title: 'end()',
    end: ({ stream }) => stream.end(),
    seen: { code: 1000, reason: '' }
  },
  {
    title: 'destroy()',
    end: ({ stream }) => stream.destroy(),
    seen: { code: 1000, reason: '' }
  },
  {
    title: 'destroy(error)',
    end: ({ stream }) => stream.destroy(Object.assign(new Error('own'), { code: 'OWN' })),
    seen: { code: 1011, reason: '' },
    errorCode: 'OWN'
  },
  {
    title: 'end() and destroy()',
    end: ({ stream }) => stream.end('last').destroy(),
    seen: { code: 1000, reason: '' }
  },
  {
    title: 'socket.close(code, reason)',
    end: ({ stream }) => stream.socket.close(4000, 'here'),
    seen: { code: 4000, reason: 'here' }
  },
  {
    title: 'socket.terminate()',
    end: ({ stream }) => stream.socket.terminate(),
    seen: { code: 1006, reason: '' }
  },
  {
    title: 'a close of the client with code and reason',
    end: ({ client }) => client.close(4001, 'there'),
    seen: { code: 4001, reason: 'there' }
  },
  {
    title: 'a close of the client without code',
    end: ({ client }) => client.close(),
    seen: { code: 1005, reason: '' }
  },
  {
    title: 'a lost connection',
    end: ({ client }) => client.socket.terminate(),
    seen: { code: 1006, reason: '' }
  }
]

for (const isRead of [false, true]) {
  for (const { title, end, seen, errorCode } of ends) {
    test(`${title} closes a ${isRead ? 'read' : 'unread'} connection once`, async (t) => {
      const timers = recordTimers(t)
      const pair = await createPair(t)
      const { server, stream, transport, client } = pair
      const streamCloses = record(stream, 'close')
      const socketCloses = record(stream.socket, 'close')
      const errors = record(stream, 'error')
      if (isRead) stream.resume()
      end(pair)
      await Promise.all([client.closed, once(stream.socket, 'close'), until(() => stream.closed)])
      await turn()

      t.match(await client.closed, seen)
      t.strictSame([streamCloses.length, socketCloses.length], [1, 1])
      t.equal(stream.closeCode, seen.code)
      t.equal(stream.closeReason, seen.reason)
      const lost = title === 'a lost connection' && isRead ? 'FST_WS_ABNORMAL_CLOSE' : errorCode
      t.match(errors, lost === undefined ? [] : [[{ code: lost }]])
      t.equal(server.clients.size, 0)
      // On purpose ws leaves one that ignores errors.
      transport.removeAllListeners('error')
      t.strictSame(countListeners(transport), countListeners(new Socket()))
      t.strictSame([...timers.values()], [])
    })
  }
}

test('a reset fails the reader and closes the connection', async (t) => {
  const { server, stream, client } = await createRawPair(t)
  const reading = stream.toArray()
  client.socket.resetAndDestroy()
  await t.rejects(reading, { code: 'FST_WS_ABNORMAL_CLOSE' })
  t.equal(stream.closeCode, 1006)
  await turn()
  t.equal(server.clients.size, 0)
})

test('a half-open peer is a lost connection', async (t) => {
  const { stream, client } = await createRawPair(t)
  const reading = stream.toArray()
  client.socket.end()
  await t.rejects(reading, { code: 'FST_WS_ABNORMAL_CLOSE' })
  await client.closed
})

test('a peer that never answers the close is cut off after closeTimeout', async (t) => {
  const { stream, client } = await createRawPair(t, { closeTimeout: PATIENCE })
  const errors = record(stream, 'error')
  stream.end()
  await Promise.all([once(stream, 'close'), client.closed])
  t.equal(stream.closeCode, 1006)
  t.strictSame(errors, [])
})

test('what came before the connection was lost is read before the error', async (t) => {
  const { stream, client } = await createRawPair(t)
  stream.once('readable', () => {})
  client.write(Buffer.concat([frame(FIN_BINARY, 'one'), frame(FIN_BINARY, 'two')]))
  await until(() => stream.readableLength === 6)
  client.socket.resetAndDestroy()
  await once(stream.socket, 'close')
  const chunks: string[] = []
  const read = async (): Promise<void> => {
    for await (const chunk of stream) chunks.push(String(chunk))
  }
  await t.rejects(read(), { code: 'FST_WS_ABNORMAL_CLOSE' })
  t.strictSame(chunks.join(''), 'onetwo')
})

test('a terminated connection does not end as if it were complete', async (t) => {
  const { stream } = await createPair(t)
  const reading = stream.toArray()
  stream.socket.terminate()
  await t.rejects(reading, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
})

test('end() still gives the reader what was on its way', async (t) => {
  const { stream, client } = await createRawPair(t)
  const reading = stream.toArray()
  stream.end()
  await once(stream, 'finish')
  client.write(Buffer.concat([frame(FIN_BINARY, 'late'), frame(CLOSE, Buffer.from([3, 232]))]))
  t.strictSame(await reading, [Buffer.from('late')])
})

test('a write that waits for its compression fails as one after the close does', async (t) => {
  const { stream } = await createPair(t, { perMessageDeflate: true }, { perMessageDeflate: true })
  const failure = once(stream, 'error')
  // The first is taken at once, the second when it is sent.
  stream.write(Buffer.alloc(100_000))
  stream.write(Buffer.alloc(100_000))
  stream.socket.terminate()
  t.match(await failure, [{ code: 'FST_WS_NOT_OPEN' }])
})

test('what is unsent when the peer closes fails', async (t) => {
  const { stream, client } = await createRawPair(t, { closeTimeout: PATIENCE })
  const failure = once(stream, 'error')
  client.socket.pause()
  stream.resume()
  // One write is on its way to the system, which takes no more, and others are behind it.
  while (stream.writableLength < 4 * 1024 * 1024) {
    stream.write(Buffer.alloc(1024 * 1024))
    await turn()
  }
  client.write(frame(CLOSE, Buffer.from([3, 232])))
  // Of the write that the system had (from Node.js 22 on), that the socket held back, or else of
  // one that the stream did; or of the close, which the peer does not wait for.
  t.match(await failure, [{
    code: /^(ECANCELED|ERR_STREAM_DESTROYED|FST_WS_NOT_OPEN|FST_WS_CLOSE_TIMEOUT)$/
  }])
  await until(() => stream.closed)
})

test('end() after the connection has closed finishes', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('kept')
  inboxOf(stream.socket).startHandling()
  client.close()
  await once(stream.socket, 'close')
  stream.end()
  await once(stream, 'finish')
})

test('destroy() after the connection has closed closes the stream', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('kept')
  inboxOf(stream.socket).startHandling()
  client.close()
  await once(stream.socket, 'close')
  stream.destroy()
  await once(stream, 'close')
  inboxOf(stream.socket).endHandling()
})

test('after destroy() nothing is given to anybody any more', async (t) => {
  const { stream, client } = await createRawPair(t)
  const messages = record(stream.socket, 'message')
  stream.destroy()
  client.write(Buffer.concat([frame(FIN_BINARY, 'late'), frame(CLOSE, Buffer.from([3, 232]))]))
  await once(stream, 'close')
  t.strictSame(messages, [])
  t.equal(stream.closeCode, 1000)
})

test('a message whose listener destroys the stream does not get into it', async (t) => {
  const { stream, client } = await createPair(t)
  const data = record(stream, 'data')
  stream.socket.on('message', () => { stream.destroy() })
  client.send('text')
  await once(stream, 'close')
  t.strictSame(data, [])
})

test('destroy() sees the close of the peer behind what a slow reader has left', async (t) => {
  for (const pause of ['bound', 'user']) {
    const { stream, client } = await createPair(t, { highWaterMark: 100 })
    stream.once('readable', () => {})
    if (pause === 'user') stream.socket.pause()
    for (let i = 0; i < 1000; i++) client.send(Buffer.alloc(1024))
    await until(() => stream.socket.isPaused)
    stream.destroy()
    await once(stream, 'close')
    t.equal(stream.closeCode, 1000, pause)
  }
})

test('destroy() in a close listener of the socket is enough', async (t) => {
  for (const isRead of [true, false]) {
    const { stream, client } = await createPair(t)
    const closes = record(stream, 'close')
    if (isRead) stream.resume()
    stream.socket.on('close', () => { stream.destroy() })
    client.close()
    await once(stream, 'close')
    await turn()
    t.equal(closes.length, 1)
  }
})
