// The Duplex, read and written: what a chunk is, and how fast it may come.
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { test } from 'tap'
import { connect } from '../helpers/client'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'

const FIN_BINARY = 0x82
const CLOSE = 0x88

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
