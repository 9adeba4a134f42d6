// The Duplex with what Node.js has for streams (pipeline, finished, for await), and its errors.
import { once } from 'node:events'
import { finished, PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'tap'
import { frame } from '../helpers/raw'
import { createPair, createRawPair, record, until } from '../helpers/streams'

const FIN_BINARY = 0x82
const CLOSE = 0x88

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
