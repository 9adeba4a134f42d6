import { test } from 'tap'
import type { Socket } from 'node:net'
import { createServer } from '../../src/stream/server'
import { StreamSocket } from '../../src/stream/socket'
import { kOutbox } from '../../src/stream/symbols'
import { connect } from '../helpers/client'
import { createHttp } from '../helpers/servers'
import { createPair, createRawPair, record, turn, until } from '../helpers/streams'

const FIN_BINARY = 0x82

/** What is written to a TCP socket from now on, a chunk for each write. */
function recordWrites (transport: Socket): unknown[] {
  const chunks: unknown[] = []
  const write = transport.write.bind(transport)
  Object.assign(transport, {
    write: (chunk: string, ...rest: []): boolean => {
      chunks.push(chunk)
      return write(chunk, ...rest)
    }
  })
  return chunks
}

test('small messages of one tick are one chunk for the TCP socket', async (t) => {
  const { stream: { socket }, transport, client } = await createPair(t)
  const writes = recordWrites(transport)

  for (let i = 0; i < 100; i++) socket.send(`message ${i}`)
  t.equal(writes.length, 0, 'nothing is written before the tick ends')
  for (let i = 0; i < 100; i++) t.equal(await client.nextText(), `message ${i}`)
  t.equal(writes.length, 1)
})

test('the tick ends when its microtasks have run', async (t) => {
  const { stream: { socket }, transport, client } = await createPair(t)
  const writes = recordWrites(transport)

  socket.send('one')
  await Promise.resolve()
  socket.send('two')
  await turn()
  t.equal(writes.length, 1)
  t.same([await client.nextText(), await client.nextText()], ['one', 'two'])
})

test('a broadcast to many connections keeps every message in its own connection', async (t) => {
  const { server: http, origin } = await createHttp(t)
  const server = createServer({ server: http })
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, origin)))

  // Round by round, so that the frames of all connections alternate in the shared memory.
  for (let round = 0; round < 50; round++) {
    for (const socket of server.clients) socket.send(`round ${round}`)
  }
  for (const client of clients) {
    for (let round = 0; round < 50; round++) t.equal(await client.nextText(), `round ${round}`)
  }
})

test('more than the shared memory holds can be sent in one tick', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const payload = 'x'.repeat(4000)

  for (let i = 0; i < 100; i++) socket.send(`${i} ${payload}`)
  for (let i = 0; i < 100; i++) t.equal(await client.nextText(), `${i} ${payload}`)
})

test('bufferedAmount counts what waits for the end of the tick', async (t) => {
  const { stream: { socket }, client } = await createPair(t)

  socket.send('12345')
  t.equal(socket.bufferedAmount, 7, 'a header of 2 bytes and the payload')
  await client.next()
  t.equal(socket.bufferedAmount, 0)
})

test('a short message to a peer that does not read is what it was when it was sent', async (t) => {
  const { stream: { socket }, client } = await createRawPair(t)
  client.socket.pause()
  // The system takes a few megabytes before the socket has to wait.
  while (socket.bufferedAmount === 0) {
    socket.send(Buffer.alloc(1024 * 1024))
    await turn()
  }

  const before = socket.bufferedAmount
  const own = Buffer.alloc(100)
  socket.send(own)
  t.equal(socket.bufferedAmount, before + 102)
  await turn()
  own.fill(1)
  socket.send(own)
  client.socket.resume()
  await until(() => socket.bufferedAmount === 0 && client.received.at(-1) === 1)
  const frames = [Buffer.from([FIN_BINARY, 100]), Buffer.alloc(100)]
  const expected = Buffer.concat([...frames, Buffer.from([FIN_BINARY, 100]), own])
  t.ok(client.received.subarray(-204).equals(expected))
})

test('terminate sends what was sent before in the same tick', async (t) => {
  const { stream: { socket }, client } = await createPair(t)

  socket.send('last words')
  socket.terminate()
  t.equal(await client.nextText(), 'last words')
  t.match(await client.closed, { code: 1006 })
})

test('every callback of a send comes, also when the connection ends in that tick', async (t) => {
  const { stream: { socket } } = await createPair(t)
  const answers: string[] = []

  socket.send('packed')
  socket.send('small', () => { answers.push('small') })
  socket.send(Buffer.alloc(100_000), () => { answers.push('large') })
  socket.send(new Blob(['blob']), () => { answers.push('blob') })
  socket.ping('', false, () => { answers.push('ping') })
  socket.terminate()
  socket.send('late', () => { answers.push('late') })
  await until(() => answers.length === 5)
  t.same(answers.sort(), ['blob', 'large', 'late', 'ping', 'small'])
})

test('pings, pongs and the close frame keep their place among the messages', async (t) => {
  const { stream: { socket }, client } = await createPair(t)
  const pings = record(client.socket, 'ping')
  const pongs = record(client.socket, 'pong')

  socket.send('one')
  socket.ping('after one')
  socket.send('two')
  socket.pong('after two')
  socket.send('three')
  socket.close(4000, 'bye')
  t.match(await client.closed, { code: 4000, reason: 'bye' })
  t.same(client.unread.map(({ text }) => text), ['one', 'two', 'three'])
  t.equal(String(pings[0]?.[0]), 'after one')
  t.equal(String(pongs[0]?.[0]), 'after two')
})

test('finish waits for messages that are still being compressed', async (t) => {
  const { stream, client } = await createPair(
    t, { perMessageDeflate: { threshold: 0 } }, { perMessageDeflate: true }
  )
  const payload = Buffer.alloc(500_000, 'compressible ')
  t.equal(stream.socket.extensions, 'permessage-deflate')

  const finished = new Promise((resolve) => { stream.once('finish', resolve) })
  stream.end(payload)
  await finished
  t.ok((await client.next()).data.equals(payload))
  t.match(await client.closed, { code: 1000 })
})

test('end() waits for what was sent to a peer that has ended its side already', async (t) => {
  const { stream, client } = await createRawPair(t)
  const { socket } = stream
  client.socket.allowHalfOpen = true
  client.socket.pause()
  const payload = Buffer.alloc(16 * 1024 * 1024, 1)
  socket.send(payload)
  client.socket.end()
  await until(() => socket.readyState === socket.CLOSING)

  const finished = new Promise((resolve) => { stream.once('finish', resolve) })
  stream.end()
  client.socket.resume()
  await finished
  await until(() => client.received.length >= payload.length)
  t.ok(client.received.subarray(-1000).equals(payload.subarray(-1000)), 'nothing is cut off')
})

test('options that are undefined mean to a packed message what they mean to ws', async (t) => {
  const { stream: { socket }, client } = await createPair(t)

  socket.send(Buffer.from('short'), { binary: undefined })
  socket.send(Buffer.alloc(5000, 'long'), { binary: undefined })
  t.equal((await client.next()).isBinary, false)
  t.equal((await client.next()).isBinary, false)
  socket.send('a part, ', { fin: undefined })
  socket.send('and the end')
  t.equal(await client.nextText(), 'a part, and the end')
})

test('a send that throws does not hold up the end', async (t) => {
  const { stream, client } = await createPair(
    t, { perMessageDeflate: true }, { perMessageDeflate: true }
  )
  // Of a type that ws refuses, as TypeScript would.
  const nonsense = Symbol('nonsense') as unknown as string
  t.throws(() => { stream.socket.send(nonsense) }, TypeError)
  const finished = new Promise((resolve) => { stream.once('finish', resolve) })
  stream.end('last')
  await finished
  t.equal(await client.nextText(), 'last')
})

test('a socket without a transport has no progress to tell of', async (t) => {
  // As ws itself makes one; its types know only the first argument.
  const socket: StreamSocket = Reflect.construct(StreamSocket, [null, undefined, {}])
  t.ok(Number.isNaN(socket[kOutbox].progress))
})

test('a socket without a transport has sent nothing', (t) => {
  // As ws makes those of its server. The types of ws know no third argument there.
  const socket: StreamSocket = Reflect.construct(StreamSocket, [null, undefined, {}])
  t.equal(socket[kOutbox].sentBytes, 0)
  t.end()
})

test('frames leave although fake timers replace process.nextTick', async (t) => {
  const { stream, client } = await createPair(t)
  const { nextTick } = process
  process.nextTick = () => {}
  stream.socket.send('hi')
  process.nextTick = nextTick
  t.equal(await client.nextText(), 'hi')
})
