// Short messages that are each compressed on their own are inflated and compressed without ws. The
// same comes of it as with ws, see test/fuzz/deflated.test.ts; here is which messages these are.
import { once } from 'node:events'
import { constants, deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { SocketStream } from '../../src/stream/duplex'
import { WebSocketStreamServer, type WebSocketStreamServerOptions } from '../../src/stream/server'
import type { StreamSocket } from '../../src/stream/socket'
import { BINARY, encodeFrame, ServerFrames, TEXT, type ClientFrame } from '../fuzz/frames'
import { createRequest, Wire } from '../fuzz/reading'
import { OFFER } from '../fuzz/targets'
import { turn, until } from '../helpers/streams'

const MASK = Buffer.of(1, 2, 3, 4)
const SHORT = 'a short message, '.repeat(20)

interface Accepted {
  readonly server: WebSocketStreamServer
  readonly socket: StreamSocket
  readonly wire: Wire
  readonly messages: unknown[]
}

/** A connection in memory whose transport flows, and the messages of its listener. */
async function accept (
  perMessageDeflate: WebSocketStreamServerOptions['perMessageDeflate'], offer: string,
  options: WebSocketStreamServerOptions = {}
): Promise<Accepted> {
  const server = new WebSocketStreamServer({ ...options, perMessageDeflate, noServer: true })
  const request = createRequest()
  request.headers['sec-websocket-extensions'] = offer
  const wire = new Wire()
  const messages: unknown[] = []
  const socket = await new Promise<StreamSocket>((resolve) => {
    server.handleUpgrade(request, wire, Buffer.alloc(0), resolve)
  })
  socket.on('message', (message) => { messages.push(message) })
  await turn()
  wire.sent.length = 0
  return { server, socket, wire, messages }
}

function frame (opcode: number, payload: Buffer, reserved = 0): Buffer {
  const form: Pick<ClientFrame, 'lengthForm' | 'toldLength'> = {
    lengthForm: 'shortest', toldLength: null
  }
  return encodeFrame({ opcode, payload, reserved, isFinal: true, mask: MASK, ...form })
}

function compressed (opcode: number, payload: Buffer): Buffer {
  const bytes = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH })
  return frame(opcode, bytes.subarray(0, -4), 4)
}

/** Bytes that cannot be compressed: a sequence of numbers that looks random. */
function incompressible (length: number): Buffer {
  let state = 1
  return Buffer.from(Array.from({ length }, () => {
    state = Math.imul(state, 1_103_515_245) + 12_345
    return state >>> 16 & 255
  }))
}

// --- Reading ---

const ALONE = compressed(TEXT, Buffer.from(SHORT))

/** Which messages are delivered as soon as they arrive. All others come later, from ws. */
const ARRIVALS: Array<{
  title: string
  perMessageDeflate?: WebSocketStreamServerOptions['perMessageDeflate']
  offer?: string
  options?: WebSocketStreamServerOptions
  bytes?: Buffer
  isAtOnce: boolean
}> = [
  { title: 'a message', isAtOnce: true },
  {
    title: 'a binary message', bytes: compressed(BINARY, Buffer.from(SHORT)), isAtOnce: true
  },
  { title: 'an empty message', bytes: compressed(TEXT, Buffer.alloc(0)), isAtOnce: true },
  {
    title: 'a message of 4 KiB',
    bytes: compressed(BINARY, incompressible(4096 - 6)),
    isAtOnce: true
  },
  {
    title: 'a message of more than 4 KiB',
    bytes: compressed(BINARY, incompressible(4096)),
    isAtOnce: false
  },
  {
    title: 'a message that inflates to 64 KiB',
    bytes: compressed(BINARY, Buffer.alloc(65_536)),
    isAtOnce: true
  },
  {
    title: 'a message that inflates to more',
    bytes: compressed(BINARY, Buffer.alloc(65_537)),
    isAtOnce: false
  },
  {
    title: 'a message with other options of zlib',
    perMessageDeflate: { zlibInflateOptions: { chunkSize: 1024 } },
    isAtOnce: true
  },
  {
    title: 'a message where zlib has a dictionary',
    perMessageDeflate: { zlibInflateOptions: { dictionary: Buffer.from('message') } },
    isAtOnce: false
  },
  {
    title: 'a message that may refer to earlier ones',
    offer: 'permessage-deflate; server_no_context_takeover',
    isAtOnce: false
  },
  {
    title: 'a message in a smaller window',
    offer: `${OFFER}; client_max_window_bits=10`,
    isAtOnce: false
  },
  {
    title: 'a message where each has a turn',
    options: { allowSynchronousEvents: false },
    isAtOnce: false
  },
  {
    title: 'a message that is not compressed, although it might be',
    offer: 'permessage-deflate',
    bytes: frame(TEXT, Buffer.from(SHORT)),
    isAtOnce: true
  }
]

for (const { title, isAtOnce, ...given } of ARRIVALS) {
  test(`${title} is ${isAtOnce ? '' : 'not '}read at once`, async (t) => {
    const { perMessageDeflate = true, offer = OFFER, options, bytes = ALONE } = given
    const { wire, messages } = await accept(perMessageDeflate, offer, options)
    wire.push(Buffer.from(bytes))
    t.equal(messages.length, isAtOnce ? 1 : 0)
    await until(() => messages.length === 1)
    wire.destroy()
  })
}

test('a chunk that inflates a thousandfold is not inflated at once', async (t) => {
  const { wire, messages } = await accept(true, OFFER)
  const lengths = Array.from({ length: 50 }, (_, i) => 60_000 - i)
  wire.push(Buffer.concat(lengths.map((length) => compressed(BINARY, Buffer.alloc(length)))))
  t.equal(messages.length, 3)
  await until(() => messages.length === lengths.length)
  t.strictSame(messages.map((message) => (message as Buffer).length), lengths)
  wire.push(Buffer.from(ALONE))
  t.equal(messages.length, 51, 'the next chunk is read at once')
  wire.destroy()
})

test('a chunk of a thousand empty messages is not inflated at once', async (t) => {
  const { wire, messages } = await accept(true, OFFER)
  const empty = compressed(BINARY, Buffer.alloc(0))
  wire.push(Buffer.concat(Array<Buffer>(1000).fill(empty)))
  t.equal(messages.length, 128)
  await until(() => messages.length === 1000)
  wire.destroy()
})

test('a message that is too long to be inflated here uses half of the budget', async (t) => {
  const { wire, messages } = await accept(true, OFFER)
  const long = compressed(BINARY, Buffer.alloc(70_000))
  wire.push(Buffer.concat([ALONE, long, ALONE, long, ALONE]))
  t.equal(messages.length, 1)
  await until(() => messages.length === 5)
  t.strictSame(messages, [SHORT, Buffer.alloc(70_000), SHORT, Buffer.alloc(70_000), SHORT])
  wire.destroy()
})

for (const cut of [1, 3, 7, 20]) {
  test(`a message that is cut at byte ${cut} is read when the rest arrives`, async (t) => {
    const { wire, messages } = await accept(true, OFFER)
    wire.push(Buffer.from(ALONE.subarray(0, cut)))
    wire.push(Buffer.from(ALONE.subarray(cut)))
    t.strictSame(messages, [SHORT])
    wire.destroy()
  })
}

test('an inflated message keeps little more than its bytes alive', async (t) => {
  const { wire, messages } = await accept(true, OFFER)
  for (const message of [Buffer.of(1), Buffer.alloc(3000), incompressible(4000)]) {
    wire.push(compressed(BINARY, message))
  }
  // Node.js shares pieces of this size between short Buffers.
  const bound = Math.max(Buffer.poolSize, 8192)
  for (const message of messages as Buffer[]) t.ok(message.buffer.byteLength <= bound)
  t.equal(messages.length, 3)
  wire.destroy()
})

test('messages are counted with the bytes that they have uncompressed', async (t) => {
  const { socket, wire, server } = await accept({ threshold: 0 }, OFFER)
  wire.push(Buffer.from(ALONE))
  socket.send('é'.repeat(100))
  await until(() => wire.sent.length > 0)
  t.match(server.streamSettings.traffic.numbers, {
    messagesReceived: 1, bytesReceived: SHORT.length, messagesSent: 1, bytesSent: 200
  })
  wire.destroy()
})

test('a message behind fragments of another is left to ws', async (t) => {
  const { wire, messages } = await accept(true, OFFER)
  const fragment = Buffer.from(frame(TEXT, Buffer.from('a fragment')))
  fragment[0] = TEXT
  wire.push(fragment)
  wire.push(Buffer.from(ALONE))
  await until(() => wire.sent.length > 1)
  t.strictSame(messages, [])
  t.strictSame(Buffer.concat(wire.sent), Buffer.of(0x88, 2, 3, 0xea), 'a protocol error')
  wire.destroy()
})

test('a message that is too long before it is inflated is refused', async (t) => {
  const { socket, wire, messages } = await accept(true, OFFER, { maxPayload: 1000 })
  const errors: unknown[] = []
  socket.on('error', (error) => { errors.push(error) })
  // Compressed, it has some bytes more.
  wire.push(compressed(BINARY, incompressible(1000)))
  await until(() => errors.length === 1)
  t.match(errors, [{ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }])
  t.strictSame(messages, [])
  wire.destroy()
})

// --- Sending ---

const FINAL_TEXT = 0x81
const FINAL_BINARY = 0x82
const COMPRESSED = 0x40
const BYTES = Buffer.from(SHORT)
const UNDEFINED = { compress: undefined }

/** What is sent, and the first byte of the frame that leaves with the tick; null: none does. */
const SENDS: Array<{
  title: string
  zlibDeflateOptions?: { dictionary: Buffer }
  send: (socket: StreamSocket) => void
  first: number | null
}> = [
  { title: 'a text', send: (socket) => { socket.send(SHORT) }, first: FINAL_TEXT | COMPRESSED },
  { title: 'bytes', send: (socket) => { socket.send(BYTES) }, first: FINAL_BINARY | COMPRESSED },
  {
    title: 'a text that is not ASCII',
    send: (socket) => { socket.send('щ'.repeat(200)) },
    first: FINAL_TEXT | COMPRESSED
  },
  {
    title: 'a text as long as the threshold',
    send: (socket) => { socket.send('é'.repeat(50)) },
    first: FINAL_TEXT | COMPRESSED
  },
  {
    title: 'a text below the threshold',
    send: (socket) => { socket.send('a'.repeat(99)) },
    first: FINAL_TEXT
  },
  {
    title: 'bytes below the threshold',
    send: (socket) => { socket.send(Buffer.alloc(99)) },
    first: FINAL_BINARY
  },
  {
    title: 'a text that must not be compressed',
    send: (socket) => { socket.send(SHORT, { compress: false }) },
    first: FINAL_TEXT
  },
  {
    title: 'bytes for which ws would not compress',
    send: (socket) => { socket.send(BYTES, UNDEFINED as object) },
    first: FINAL_BINARY
  },
  {
    title: 'a text where zlib has a dictionary',
    zlibDeflateOptions: { dictionary: BYTES },
    send: (socket) => { socket.send(SHORT) },
    first: null
  },
  {
    title: 'a text of more than 4 KiB',
    send: (socket) => { socket.send('a'.repeat(4097)) },
    first: null
  },
  {
    title: 'a text with a callback',
    send: (socket) => { socket.send(SHORT, () => {}) },
    first: null
  }
]

// Ours is a window of 32 KiB, and the smallest one of zlib is 512 bytes.
test('a window that is not a number is as large as that of ws', async (t) => {
  const far = Buffer.concat([incompressible(1000), incompressible(1000)])
  const sizes = await Promise.all([undefined, true].map(async (serverMaxWindowBits) => {
    const perMessageDeflate = { threshold: 0, serverNoContextTakeover: true, serverMaxWindowBits }
    const { socket, wire } = await accept(perMessageDeflate as object, 'permessage-deflate')
    socket.send(far)
    await until(() => wire.sent.length > 0)
    wire.destroy()
    return Buffer.concat(wire.sent).length
  }))
  t.equal(sizes[0], sizes[1])
  t.ok(Number(sizes[0]) < 1100, 'the second half refers to the first one')
})

test('a thread compresses what exceeds the budget of a tick, of all connections', async (t) => {
  const perMessageDeflate = { serverNoContextTakeover: true }
  const all = await Promise.all(Array.from({ length: 100 }, () => {
    return accept(perMessageDeflate, 'permessage-deflate')
  }))
  const message = 'a'.repeat(4000)
  for (const { socket } of all) socket.send(message)
  await new Promise((resolve) => { process.nextTick(resolve) })
  t.equal(all.filter(({ wire }) => wire.sent.length > 0).length, 27)
  await until(() => all.every(({ wire }) => wire.sent.length > 0))
  for (const { wire } of all) {
    const received = new ServerFrames()
    await until(() => {
      for (const chunk of wire.sent.splice(0)) received.push(chunk)
      return received.frames.length === 1
    })
    t.equal(received.frames[0]?.payload.toString(), message)
    wire.destroy()
  }
})

test('a stream that compresses well says that it is full', async (t) => {
  const perMessageDeflate = { serverNoContextTakeover: true }
  const { server, socket, wire } = await accept(perMessageDeflate, 'permessage-deflate')
  const stream = new SocketStream(socket, server.streamSettings)
  let writes = 0
  while (stream.write(Buffer.alloc(4000))) writes++
  t.ok(writes < 100, `${writes} writes`)
  await once(stream, 'drain')
  wire.destroy()
})

test('an agent that has wrapped `send` gets each message', async (t) => {
  const { send } = WebSocket.prototype
  const seen: unknown[] = []
  t.teardown(() => { WebSocket.prototype.send = send })
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    seen.push(args[0])
    Reflect.apply(send, this, args)
  }
  const perMessageDeflate = { threshold: 0, serverNoContextTakeover: true }
  const { socket, wire } = await accept(perMessageDeflate, 'permessage-deflate')
  socket.send(SHORT)
  t.same(seen, [SHORT])
  await until(() => wire.sent.length > 0)
  wire.destroy()
})

for (const { title, zlibDeflateOptions, send, first } of SENDS) {
  test(`${title} leaves ${first === null ? 'later' : `with ${first.toString(16)}`}`, async (t) => {
    const perMessageDeflate = {
      threshold: 100,
      serverNoContextTakeover: true,
      ...(zlibDeflateOptions && { zlibDeflateOptions })
    }
    const { socket, wire } = await accept(perMessageDeflate, 'permessage-deflate')
    send(socket)
    await new Promise((resolve) => { process.nextTick(resolve) })
    t.equal(wire.sent[0]?.[0] ?? null, first)
    await until(() => wire.sent.length > 0)
    wire.destroy()
  })
}

test('messages of all kinds leave in their order', async (t) => {
  const perMessageDeflate = { threshold: 100, serverNoContextTakeover: true }
  const { socket, wire } = await accept(perMessageDeflate, 'permessage-deflate')
  const sent: Buffer[] = []
  for (let round = 0; round < 5; round++) {
    for (const length of [10, 300, 5000, 300, 10, 4096, 4097, 0]) {
      const message = Buffer.alloc(length, `${round}:${length},`)
      sent.push(message)
      if (length % 2 === 0) socket.send(message.toString())
      else socket.send(message)
    }
    if (round % 2 === 0) await turn()
  }
  const received = new ServerFrames()
  await until(() => {
    for (const chunk of wire.sent.splice(0)) received.push(chunk)
    return received.frames.length === sent.length
  })
  t.strictSame(received.frames.map(({ payload }) => payload), sent)
  wire.destroy()
})

test('a short message does not overtake the fragments of another', async (t) => {
  const { socket, wire } = await accept({ threshold: 0, serverNoContextTakeover: true }, OFFER)
  socket.send('a fragment', { fin: false })
  socket.send(SHORT)
  await until(() => Buffer.concat(wire.sent).length > 20)
  const firsts = Buffer.concat(wire.sent)
  t.equal(firsts[0], TEXT | COMPRESSED, 'the fragment')
  // Its length is in the second byte.
  t.equal(firsts[2 + Number(firsts[1])], 0x80, 'the continuation')
  wire.destroy()
})
