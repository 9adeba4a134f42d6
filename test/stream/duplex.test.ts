import { once } from 'node:events'
import { Socket } from 'node:net'
import { finished, PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'tap'
import { inboxOf } from '../../src/stream/inbox'
import { connect } from '../helpers/client'
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

// --- Reading ---

test('setEncoding joins a UTF-8 character that is split over two messages', async (t) => {
  const { stream, client } = await createPair(t)
  const euro = Buffer.from('€')
  stream.setEncoding('utf8')
  const data = record(stream, 'data')
  client.send(euro.subarray(0, 1))
  client.send(euro.subarray(1))
  client.send('text')
  await until(() => data.length === 2)
  t.strictSame(data, [['€'], ['text']])
})

test('in byte mode text is bytes, and an empty message is nothing', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('')
  client.send('text')
  client.send(Buffer.alloc(0))
  client.close()
  t.strictSame(await stream.toArray(), [Buffer.from('text')])
})

for (const options of [{ objectMode: true }, { binary: false }]) {
  test(`with ${JSON.stringify(options)} a chunk is a message, and text a string`, async (t) => {
    const { stream, client } = await createPair(t, options)
    client.send('')
    client.send('text')
    client.send(Buffer.alloc(0))
    client.send(Buffer.from([255]))
    client.close()
    t.strictSame(await stream.toArray(), ['', 'text', Buffer.alloc(0), Buffer.from([255])])
  })

  test(`with ${JSON.stringify(options)} strings are sent as text, each on its own`, async (t) => {
    const { stream, client } = await createPair(t, options)
    stream.cork()
    for (const chunk of ['', 'text', Buffer.from([255]), new Uint8Array([1, 2]).buffer]) {
      stream.write(chunk)
    }
    stream.uncork()
    stream.end()
    t.match(await client.next(), { text: '', isBinary: false })
    t.match(await client.next(), { text: 'text', isBinary: false })
    t.match(await client.next(), { data: Buffer.from([255]), isBinary: true })
    t.match(await client.next(), { data: Buffer.from([1, 2]), isBinary: true })
  })
}

test('in object mode setEncoding makes strings of bytes too', async (t) => {
  const { stream, client } = await createPair(t, { objectMode: true })
  stream.setEncoding('hex')
  client.send('text')
  client.send(Buffer.from([255]))
  client.close()
  t.strictSame(await stream.toArray(), ['text', 'ff'])
})

for (const highWaterMark of [0, 1, 100]) {
  test(`with a highWaterMark of ${highWaterMark} an echo is complete and in order`, async (t) => {
    const { stream, client } = await createPair(t, { highWaterMark })
    stream.pipe(stream)
    let sent = ''
    for (let i = 0; i < 500; i++) {
      sent += `${i},`
      client.send(`${i},`)
    }
    let received = ''
    while (received.length < sent.length) received += await client.nextText()
    t.equal(received, sent)
  })
}

test('in object mode a reader that stops after 16 messages pauses the connection', async (t) => {
  const { stream, client } = await createPair(t, { objectMode: true })
  const onReadable = (): void => {}
  stream.on('readable', onReadable)
  for (let i = 0; i < 40; i++) client.send(String(i))
  await until(() => stream.readableLength === 16)
  t.equal(stream.socket.isPaused, true)
  stream.off('readable', onReadable)
  const data = record(stream, 'data')
  await until(() => data.length === 40)
  t.strictSame(data.map(([text]) => text), Array.from({ length: 40 }, (_, i) => String(i)))
})

// --- Writing ---

test('in byte mode strings and bytes are binary messages', async (t) => {
  const { stream, client } = await createPair(t)
  stream.write('text')
  stream.write('ff', 'hex')
  stream.write(new Uint8Array([1]))
  t.match(await client.next(), { text: 'text', isBinary: true })
  t.match(await client.next(), { data: Buffer.from([255]), isBinary: true })
  t.match(await client.next(), { data: Buffer.from([1]), isBinary: true })
})

test('chunks that are written while corked share a message, in the order of all', async (t) => {
  const { stream, client } = await createPair(t)
  stream.socket.send('one')
  stream.cork()
  stream.write('two')
  stream.write('three')
  stream.uncork()
  stream.socket.send('four')
  stream.write('five')
  stream.socket.ping()
  stream.end('six')
  const texts: string[] = []
  for (let i = 0; i < 5; i++) texts.push(await client.nextText())
  t.strictSame(texts, ['one', 'twothree', 'four', 'five', 'six'])
  t.match(await client.closed, { code: 1000 })
})

test('write is false while the peer is slow, and drain comes when it is not', async (t) => {
  const { stream, client } = await createPair(t)
  client.socket.pause()
  const chunk = Buffer.alloc(64 * 1024)
  let written = 0
  do written += chunk.length
  while (stream.write(chunk) || written < 16 * 1024 * 1024)
  t.ok(stream.writableNeedDrain)
  t.ok(stream.socket.bufferedAmount >= stream.writableHighWaterMark)
  client.socket.resume()
  await once(stream, 'drain')
  let received = 0
  while (received < written) received += (await client.next()).data.length
  t.equal(received, written)
})

test('a pipe to a slow peer buffers no more than the high-water mark and a chunk', async (t) => {
  const { stream, client } = await createPair(t)
  client.socket.pause()
  const source = new PassThrough()
  source.pipe(stream)
  while (source.write(Buffer.alloc(16 * 1024)) || source.readableFlowing === true) await turn()
  t.ok(stream.writableLength <= 2 * stream.writableHighWaterMark)
})

test('finish comes when the close frame has left, with all before it', async (t) => {
  const { stream, client } = await createRawPair(t)
  const before = client.received.length
  stream.write('text')
  stream.end()
  t.equal(stream.writableFinished, false)
  await once(stream, 'finish')
  const sent = Buffer.concat([
    Buffer.from([FIN_BINARY, 4]), Buffer.from('text'), Buffer.from([CLOSE, 2, 3, 232])
  ])
  await until(() => client.received.length >= before + sent.length)
  t.strictSame(client.received.subarray(before), sent)
})

test('a write after the close is an error of that connection alone', async (t) => {
  const { server, stream, client } = await createPair(t)
  const address = client.socket.url
  const [[other], second] = await Promise.all([once(server, 'stream'), connect(t, address)])
  const failures = record(stream, 'error')
  client.close()
  await until(() => stream.socket.readyState !== stream.socket.OPEN)
  stream.write('late')
  await until(() => stream.closed)
  t.match(failures, [[{ code: 'FST_WS_NOT_OPEN' }]])
  other.write('well')
  t.equal(await second.nextText(), 'well')
})

test('a write after end is the error that any stream gives', async (t) => {
  const { stream } = await createPair(t)
  const failure = once(stream, 'error')
  stream.end()
  stream.write('late')
  t.match(await failure, [{ code: 'ERR_STREAM_WRITE_AFTER_END' }])
})

test('a chunk that cannot be sent is an error, also among others', async (t) => {
  for (const chunks of [[1], ['text', Symbol('chunk')], [{}, 'text']]) {
    const { stream } = await createPair(t, { objectMode: true })
    const failure = once(stream, 'error')
    stream.cork()
    for (const chunk of chunks) stream.write(chunk)
    stream.uncork()
    t.match(await failure, [{ code: 'FST_WS_INVALID_CHUNK' }])
  }
})

test('every send calls back, with terminate() in the same tick too', async (t) => {
  for (const perMessageDeflate of [false, { threshold: 0 }]) {
    const { stream, client } = await createPair(
      t, { perMessageDeflate }, { perMessageDeflate: true })
    let unanswered = 5
    const done = new Promise<void>((resolve) => {
      const onSent = (): void => { if (--unanswered === 0) resolve() }
      for (let i = 0; i < 4; i++) stream.socket.send('text', onSent)
      stream.socket.send(Buffer.alloc(100_000), onSent)
      stream.socket.terminate()
    })
    await done
    t.match(await client.closed, { code: 1006 })
    t.equal(unanswered, 0)
  }
})

// --- Ends ---

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

// --- As any Duplex ---

test('pipeline through the connection echoes and ends with the client', async (t) => {
  const { stream, client } = await createPair(t)
  const upperCase = new Transform({
    transform (chunk, _encoding, callback) { callback(null, String(chunk).toUpperCase()) }
  })
  const done = pipeline(stream, upperCase, stream)
  client.send('one')
  t.equal(await client.nextText(), 'ONE')
  client.close()
  await done
  t.equal(stream.closed, true)
})

test('pipeline into the connection ends it after the last byte', async (t) => {
  const { stream, client } = await createPair(t)
  await pipeline(Readable.from(['one', 'two']), stream)
  t.equal(await client.nextText() + await client.nextText(), 'onetwo')
  t.match(await client.closed, { code: 1000 })
})

test('pipeline fails when its source fails, and the client sees 1011', async (t) => {
  const { stream, client } = await createPair(t)
  const failure = Object.assign(new Error('source'), { code: 'SOURCE' })
  const source = new Readable({ read () { this.destroy(failure) } })
  await t.rejects(pipeline(source, stream), { code: 'SOURCE' })
  t.match(await client.closed, { code: 1011 })
})

test('pipeline out of the connection fails when the connection is lost', async (t) => {
  const { stream, client } = await createPair(t)
  const done = pipeline(stream, new PassThrough().resume())
  client.socket.terminate()
  await t.rejects(done, { code: 'FST_WS_ABNORMAL_CLOSE' })
})

test('finished calls back for a read connection, without and with an error', async (t) => {
  const cases = [['close', undefined], ['terminate', 'FST_WS_ABNORMAL_CLOSE']] as const
  for (const [end, code] of cases) {
    const { stream, client } = await createPair(t)
    const done = new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
      finished(stream.resume(), resolve)
    })
    client.socket[end]()
    t.equal((await done)?.code, code)
  }
})

test('to leave for await by break closes with 1000', async (t) => {
  const { stream, client } = await createPair(t)
  client.send('one')
  client.send('two')
  const chunks: string[] = []
  for await (const chunk of stream) {
    if (chunks.push(String(chunk)) === 1) break
  }
  t.equal(chunks.length, 1)
  t.match(await client.closed, { code: 1000 })
  t.equal(stream.destroyed, true)
})

test('to leave for await by a throw closes with 1000 too, as streams cannot tell', async (t) => {
  const { stream, client } = await createPair(t)
  const failure = Object.assign(new Error('loop'), { code: 'LOOP' })
  const read = async (): Promise<void> => {
    for await (const chunk of stream) if (String(chunk) === 'one') throw failure
  }
  client.send('one')
  await t.rejects(read(), { code: 'LOOP' })
  t.match(await client.closed, { code: 1000 })
})

test('for await ends with the client', async (t) => {
  const { stream, client } = await createPair(t)
  const chunks: string[] = []
  client.send('one')
  client.send('two')
  client.close()
  for await (const chunk of stream) chunks.push(String(chunk))
  t.equal(chunks.join(''), 'onetwo')
})

// --- Errors on a bare server ---

test('a protocol error reaches stream and socket, and closes with its code', async (t) => {
  const { stream, client } = await createRawPair(t)
  const onStream = record(stream, 'error')
  const onSocket = record(stream.socket, 'error')
  client.write(frame(FIN_BINARY | 0x40))
  await once(client.socket, 'close')
  await until(() => stream.closed)
  t.match(onStream, [[{ code: 'WS_ERR_UNEXPECTED_RSV_1' }]])
  t.match(onSocket, [[{ code: 'WS_ERR_UNEXPECTED_RSV_1' }]])
  t.strictSame(client.received.subarray(-4), Buffer.from([CLOSE, 2, 3, 234]))
})

test('no error of a peer is thrown where nobody listens', async (t) => {
  const { stream, client } = await createRawPair(t)
  stream.resume()
  client.write(frame(FIN_BINARY | 0x40))
  await until(() => stream.closed)
  const { stream: other, client: lost } = await createPair(t)
  other.resume()
  lost.socket.terminate()
  await until(() => other.closed)
  t.equal(other.closeCode, 1006)
})

test('an error of the application is thrown where nobody listens', async (t) => {
  const { stream } = await createPair(t)
  const failure = new Error('own')
  t.throws(() => stream.emit('error', failure), failure)
  t.throws(() => stream.once('custom', () => { throw failure }).emit('custom'), failure)
})

test('a rejecting listener destroys the stream with its error', async (t) => {
  const { stream, client } = await createPair(t)
  const failure = once(stream, 'error')
  stream.on('data', async () => { throw Object.assign(new Error('own'), { code: 'OWN' }) })
  client.send('text')
  t.match(await failure, [{ code: 'OWN' }])
  t.match(await client.closed, { code: 1011 })
})
