// What a message is to its listeners: text or bytes, received or replayed.
import { once } from 'node:events'
import { test } from 'tap'
import { frame } from '../helpers/raw'
import { createPair, createRawPair, record, until } from '../helpers/streams'

const FIN_TEXT = 0x81
const FIN_BINARY = 0x82
const TEXT_FRAGMENT = 0x01
const CONTINUATION = 0x00
const FIN_CONTINUATION = 0x80

test('text is a string and bytes are a Buffer, fragments and empty ones too', async (t) => {
  const { stream } = await createRawPair(t, {}, Buffer.concat([
    frame(FIN_TEXT, 'text'),
    frame(FIN_BINARY, Buffer.from([0, 255])),
    frame(FIN_TEXT), frame(FIN_BINARY),
    // A character of three bytes, split over two fragments.
    frame(TEXT_FRAGMENT, Buffer.from([0xe2, 0x82])),
    frame(CONTINUATION),
    frame(FIN_CONTINUATION, Buffer.from([0xac]))
  ]))
  const messages = record(stream.socket, 'message')
  await until(() => messages.length === 5)
  t.strictSame(messages, [
    ['text', false], [Buffer.from([0, 255]), true], ['', false], [Buffer.alloc(0), true],
    ['€', false]
  ])
})

test('binaryType is the type of binary messages alone, and any other is ignored', async (t) => {
  const { stream, client } = await createPair(t)
  const { socket } = stream
  const receive = async (): Promise<unknown> => {
    client.send(Buffer.from([1, 2]))
    const [data] = await once(socket, 'message')
    client.send('text')
    t.strictSame(await once(socket, 'message'), ['text', false])
    return data
  }
  t.equal(socket.binaryType, 'nodebuffer')
  t.strictSame(await receive(), Buffer.from([1, 2]))
  socket.binaryType = 'arraybuffer'
  t.strictSame(await receive(), new Uint8Array([1, 2]).buffer)
  socket.binaryType = 'fragments'
  t.strictSame(await receive(), [Buffer.from([1, 2])])
  Object.assign(socket, { binaryType: 'nonsense' })
  t.equal(socket.binaryType, 'fragments')
  Object.assign(socket, { binaryType: 'blob' })
  const blob = await receive()
  t.ok(blob instanceof Blob)
  t.strictSame(Buffer.from(await new Response(blob as Blob).arrayBuffer()), Buffer.from([1, 2]))
})

test('the stream gets bytes whatever the binaryType is', async (t) => {
  const { stream, client } = await createPair(t)
  stream.socket.binaryType = 'arraybuffer'
  client.send(Buffer.from([1, 2]))
  t.strictSame(await once(stream, 'data'), [Buffer.from([1, 2])])
})

test('a message that a library replays is passed on as it is', async (t) => {
  const { stream: { socket } } = await createPair(t)
  const messages = record(socket, 'message')
  const bytes = Buffer.from([0xff, 0xfe])
  socket.emit('message', bytes)
  socket.emit('message', 'text', false)
  socket.emit('message')
  t.strictSame(messages, [[bytes], ['text', false], []])
  t.equal(messages[0]?.[0], bytes)
})

test('a listener of the stream gets all that the application emits itself', async (t) => {
  const { stream } = await createPair(t)
  const data = record(stream, 'data')
  stream.emit('data')
  stream.emit('data', 'one')
  stream.emit('data', 'one', 'two')
  t.strictSame(data, [[], ['one'], ['one', 'two']])
})

test('a message that is replayed as ws emits it is treated like a received one', async (t) => {
  const { stream } = await createPair(t)
  const messages = record(stream.socket, 'message')
  const data = record(stream, 'data')
  stream.socket.emit('message', Buffer.from('text'), false)
  stream.socket.emit('message', Buffer.from([1]), true)
  await until(() => data.length === 2)
  t.strictSame(messages, [['text', false], [Buffer.from([1]), true]])
})
