// Frames are read in front of ws. Each of these conversations has to come out as ws reads it;
// random ones are compared in test/fuzz/differential.test.ts.
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { deflateRawSync, constants } from 'node:zlib'
import { test, type Test } from 'tap'
import type { ServerOptions } from 'ws'
import { WebSocketStreamServer } from '../../src/stream/server'
import type { StreamSocket } from '../../src/stream/socket'
import { encodeFrame, type ClientFrame } from '../fuzz/frames'
import { createRequest, readByWs, readHere, Wire, type Action, type End } from '../fuzz/reading'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { createPair, nextStream, record, serveStreams, turn, until } from '../helpers/streams'

interface Conversation {
  readonly frames: ReadonlyArray<Partial<ClientFrame> & { readonly opcode: number }>
  /** Where the bytes are cut; one chunk by default. */
  readonly cuts?: readonly number[]
  /** The last chunk does not arrive. */
  readonly isCutShort?: boolean
  readonly options?: ServerOptions
  readonly actions?: readonly Action[]
  readonly end?: End
  /** How many messages come out of it. */
  readonly messages: number
}

const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const ZEROS = Buffer.alloc(4)
const GOOD = { opcode: TEXT, payload: Buffer.from('good') }
const UMLAUT = Buffer.from('ä')
const BROKEN = UMLAUT.subarray(0, 1)
const LONG = Buffer.alloc(70_000, 'long')
const FRAGMENTS = [
  { opcode: TEXT, payload: UMLAUT.subarray(0, 1), isFinal: false },
  { opcode: PING, payload: Buffer.from('between') },
  { opcode: 0, payload: UMLAUT.subarray(1) }
]

const CONVERSATIONS: Record<string, Conversation> = {
  'whole messages': {
    frames: [GOOD, { opcode: BINARY, payload: LONG }, { opcode: TEXT, payload: UMLAUT }, GOOD],
    messages: 4
  },
  'messages that are masked with zeros': {
    frames: [GOOD, { opcode: BINARY, payload: LONG }].map((each) => ({ ...each, mask: ZEROS })),
    messages: 2
  },
  'empty messages': { frames: [{ opcode: TEXT }, { opcode: BINARY }, GOOD], messages: 3 },
  'messages cut in their headers': { frames: [GOOD, GOOD, GOOD], cuts: [1, 11, 25], messages: 3 },
  'a message cut in its payload': {
    frames: [GOOD, { opcode: BINARY, payload: LONG }, GOOD], cuts: [9, 30, 31, 40_000], messages: 3
  },
  'a message in fragments': { frames: [GOOD, ...FRAGMENTS, GOOD], messages: 3 },
  'fragments cut everywhere': {
    frames: [GOOD, ...FRAGMENTS, GOOD], cuts: Array.from({ length: 40 }, (_, i) => i), messages: 3
  },
  'a text that is not UTF-8': {
    frames: [GOOD, { opcode: TEXT, payload: BROKEN }, GOOD], messages: 1
  },
  'long texts, in ASCII or not': {
    frames: [511, 512, 1024].flatMap((length) => {
      const ascii = LONG.subarray(0, length)
      return [ascii, Buffer.concat([UMLAUT, ascii])].map((payload) => ({ opcode: TEXT, payload }))
    }),
    messages: 6
  },
  'long texts that are masked with zeros': {
    frames: [LONG, Buffer.concat([UMLAUT, LONG])].map((payload) => {
      return { opcode: TEXT, payload, mask: ZEROS }
    }),
    messages: 2
  },
  'a long text that is not UTF-8': {
    frames: [GOOD, { opcode: TEXT, payload: Buffer.concat([LONG, BROKEN]) }, GOOD], messages: 1
  },
  'a long text that is not UTF-8, where that is not checked': {
    frames: [GOOD, { opcode: TEXT, payload: Buffer.concat([LONG, BROKEN]) }, GOOD],
    options: { skipUTF8Validation: true },
    messages: 3
  },
  'a text that is not UTF-8, where that is not checked': {
    frames: [GOOD, { opcode: TEXT, payload: BROKEN }, GOOD],
    options: { skipUTF8Validation: true },
    messages: 3
  },
  'fragments that are not UTF-8': {
    frames: [FRAGMENTS[0] ?? GOOD, { opcode: 0, payload: BROKEN }, GOOD], messages: 0
  },
  'a continuation of nothing': { frames: [GOOD, { opcode: 0 }, GOOD], messages: 1 },
  'a refused frame in parts': {
    frames: [GOOD, { opcode: 0, payload: Buffer.from('continuation') }, GOOD],
    cuts: [20],
    messages: 1
  },
  'a text inside fragments': { frames: [FRAGMENTS[0] ?? GOOD, GOOD, GOOD], messages: 0 },
  'a fragment inside fragments': {
    frames: [FRAGMENTS[0] ?? GOOD, FRAGMENTS[0] ?? GOOD, GOOD], messages: 0
  },
  'reserved bits': { frames: [GOOD, { ...GOOD, reserved: 1 }, GOOD], messages: 1 },
  'an unknown opcode': { frames: [GOOD, { opcode: 11 }, GOOD], messages: 1 },
  'a frame without a mask': { frames: [GOOD, { ...GOOD, mask: null }, GOOD], messages: 1 },
  'a ping that is too long': {
    frames: [GOOD, { opcode: PING, payload: LONG.subarray(0, 126) }, GOOD], messages: 1
  },
  'a ping in fragments': { frames: [{ opcode: PING, isFinal: false }, GOOD], messages: 0 },
  'a message that is too long': {
    frames: [GOOD, { opcode: BINARY, payload: LONG }, GOOD],
    options: { maxPayload: LONG.length - 1 },
    messages: 1
  },
  'a message that is as long as it may be': {
    frames: [{ opcode: BINARY, payload: LONG }], options: { maxPayload: LONG.length }, messages: 1
  },
  'a message of any length': {
    frames: [{ opcode: BINARY, payload: LONG }], options: { maxPayload: 0 }, messages: 1
  },
  'more fragments than there may be': {
    frames: [
      ...Array.from({ length: 3 }, (_, i) => ({ opcode: i === 0 ? TEXT : 0, isFinal: false })), GOOD
    ],
    options: { maxFragments: 2 },
    messages: 0
  },
  'a length that no message has': {
    frames: [GOOD, { ...GOOD, toldLength: 2n ** 60n }, GOOD], cuts: [30], messages: 1
  },
  'a close frame before messages': { frames: [GOOD, { opcode: CLOSE }, GOOD], messages: 1 },
  'a close code that is none': {
    frames: [{ opcode: CLOSE, payload: Buffer.of(3, 0xf7) }, GOOD], cuts: [8], messages: 0
  },
  'a close frame in parts': {
    frames: [GOOD, { opcode: CLOSE, payload: Buffer.of(3, 0xe8) }, GOOD], cuts: [17], messages: 1
  },
  'a text in parts that is not UTF-8': {
    frames: [GOOD, { opcode: TEXT, payload: Buffer.concat([LONG, BROKEN]) }, GOOD],
    cuts: [40_000],
    messages: 1
  },
  'an end inside a header': {
    frames: [GOOD, { ...GOOD, toldLength: 2n ** 60n }], cuts: [12], isCutShort: true, messages: 1
  },
  'an end inside a payload': { frames: [GOOD, { ...GOOD, toldLength: 200n }], messages: 1 },
  'an end inside a header that ws refuses': {
    frames: [GOOD, { ...GOOD, reserved: 2 }], cuts: [12], isCutShort: true, messages: 1
  },
  'a transport that is destroyed inside a header': {
    frames: [GOOD, { ...GOOD, reserved: 2 }],
    cuts: [12],
    isCutShort: true,
    end: 'destroy',
    messages: 1
  },
  'a part of a header that ws refuses inside fragments': {
    frames: [FRAGMENTS[0] ?? GOOD, GOOD], cuts: [9], isCutShort: true, messages: 0
  },
  'a setting that is not true': {
    frames: [{ opcode: PING }, ...FRAGMENTS, GOOD],
    // The types of ws do not know it.
    options: { allowSynchronousEvents: 0 as unknown as boolean },
    messages: 2
  },
  'a listener that terminates': {
    frames: [GOOD, GOOD, GOOD], actions: ['terminates'], messages: 3
  },
  'a listener that closes': { frames: [GOOD, GOOD, GOOD], actions: ['closes'], messages: 3 },
  'messages that ws defers': {
    frames: [GOOD, { opcode: BINARY, payload: LONG }, { opcode: PING }, ...FRAGMENTS, GOOD],
    cuts: [4, 20, 40, 60_000],
    options: { allowSynchronousEvents: false },
    messages: 4
  },
  'a refused frame behind one that ws defers': {
    frames: [GOOD, { opcode: CLOSE, payload: Buffer.of(3, 0xf7) }, GOOD, GOOD],
    cuts: [4, 12, 20, 24, 28],
    options: { allowSynchronousEvents: false },
    messages: 1
  },
  'fragments over the limit behind a message that ws defers': {
    frames: [GOOD, ...Array.from({ length: 3 }, (_, i) => {
      return { opcode: i === 0 ? TEXT : 0, isFinal: false }
    }), GOOD, GOOD],
    cuts: [4, 12, 20, 24, 28, 34],
    options: { allowSynchronousEvents: false, maxFragments: 2 },
    messages: 1
  }
}

function bytesOf (frames: Conversation['frames']): Buffer {
  return Buffer.concat(frames.map((frame) => encodeFrame({
    isFinal: true,
    reserved: 0,
    payload: Buffer.alloc(0),
    mask: Buffer.of(0x12, 0xf4, 0x56, 0x98),
    lengthForm: 'shortest',
    toldLength: null,
    ...frame
  })))
}

function chunksOf (bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const bounds = [0, ...cuts, bytes.length]
  return bounds.slice(1).map((end, i) => bytes.subarray(bounds[i], end))
    .filter((chunk) => chunk.length > 0)
}

for (const [name, conversation] of Object.entries(CONVERSATIONS)) {
  test(`${name}: read as ws reads it`, async (t) => {
    const { frames, cuts = [], options = {}, actions = [], end = 'end', messages } = conversation
    const all = chunksOf(bytesOf(frames), cuts)
    const chunks = conversation.isCutShort === true ? all.slice(0, -1) : all
    const reading = { options, chunks, actions, end }
    const [expected, told] = await Promise.all([readByWs(reading), readHere(reading)])
    t.strictSame(told, expected)
    t.equal(told.messages.length, messages)
  })
}

const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
const FINAL_TEXT = 0x81
const FINAL_CLOSE = 0x88
const COMPRESSED = 4

function deflated (payload: Buffer): Buffer {
  const bytes = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH })
  return bytes.subarray(0, -4)
}

/** A raw client and what the socket of its connection tells. */
async function open (t: Test, options: ServerOptions, lines?: Record<string, string>) {
  const { server, port } = await serveStreams(t, options)
  const client = new RawClient(t, port)
  client.write(upgradeHead('/', lines))
  const { socket } = await nextStream(server)
  const messages = record(socket, 'message')
  const errors = record(socket, 'error')
  const closes = record(socket, 'close')
  return { client, messages, errors, closes }
}

test('frames behind a refused one, while a message is inflated, harm nothing', async (t) => {
  const options = { perMessageDeflate: { threshold: 0 } }
  const { client, messages, errors, closes } = await open(t, options, DEFLATE)
  const payload = deflated(Buffer.alloc(900_000, 'x'))
  client.write(bytesOf([{ opcode: BINARY, payload, reserved: COMPRESSED }]))
  await turn()
  client.write(frame(FINAL_CLOSE, Buffer.of(3, 0xf7)))
  for (let i = 0; i < 20; i++) {
    await turn()
    client.write(frame(FINAL_TEXT, Buffer.alloc(100, 'a')))
  }
  await until(() => closes.length === 1)
  t.equal(messages.length, 1)
  t.match(errors, [[{ code: 'WS_ERR_INVALID_CLOSE_CODE' }]])
})

test('a message that cannot be inflated ends the reading', async (t) => {
  const options = { perMessageDeflate: { threshold: 0 } }
  const { client, messages, errors, closes } = await open(t, options, DEFLATE)
  const payload = Buffer.alloc(2000, 0xff)
  client.write(bytesOf([{ opcode: BINARY, payload, reserved: COMPRESSED }, GOOD]))
  await until(() => closes.length === 1)
  t.same(messages, [])
  t.match(errors, [[{ code: 'Z_DATA_ERROR' }]])
})

test('compressed messages and plain ones come in their order', async (t) => {
  const options = { perMessageDeflate: { threshold: 0 } }
  const { client, messages } = await open(t, options, DEFLATE)
  for (let i = 0; i < 10; i++) {
    const payload = deflated(Buffer.alloc(100_000, String(i)))
    client.write(bytesOf([{ opcode: TEXT, payload, reserved: COMPRESSED }, GOOD, { opcode: PING }]))
  }
  await until(() => messages.length === 20)
  const heads = messages.map(([text]) => String(text).slice(0, 4))
  t.same(heads, Array.from({ length: 20 }, (_, i) => {
    return i % 2 === 1 ? 'good' : String(i / 2).repeat(4)
  }))
})

test('a limit that the application changes holds for the next connection', async (t) => {
  const { server, port } = await serveStreams(t, { maxPayload: 10 })
  const connect = async (): Promise<unknown[][]> => {
    const client = new RawClient(t, port)
    client.write(upgradeHead('/'))
    const { socket } = await nextStream(server)
    const errors = record(socket, 'error')
    const messages = record(socket, 'message')
    client.write(frame(FINAL_TEXT, 'four'))
    await until(() => errors.length + messages.length === 1)
    return errors
  }
  t.same(await connect(), [])
  server.options.maxPayload = 3
  t.match(await connect(), [[{ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }]])
})

test('data waits while ws defers a message, although the transport is resumed', async (t) => {
  const server = new WebSocketStreamServer({ noServer: true, allowSynchronousEvents: false })
  const wire = new Wire()
  const messages: unknown[] = []
  server.handleUpgrade(createRequest(), wire, Buffer.alloc(0), (socket) => {
    socket.on('message', (message) => { messages.push(message) })
  })
  // The transport flows from now on.
  await turn()
  for (const text of ['first', 'second', 'third']) {
    wire.push(bytesOf([{ opcode: TEXT, payload: Buffer.from(text) }]))
  }
  wire.resume()
  await until(() => messages.length === 3)
  t.same(messages, ['first', 'second', 'third'])
  t.notOk(wire.isPaused())
  wire.destroy()
})

test('all of a message is unmasked that is unread when its transport closes', async (t) => {
  const server = new WebSocketStreamServer({ noServer: true })
  const wire = new Wire()
  const messages: unknown[] = []
  const sockets: StreamSocket[] = []
  server.handleUpgrade(createRequest(), wire, Buffer.alloc(0), (socket) => {
    socket.on('message', (message) => { messages.push(message) })
    sockets.push(socket)
  })
  const [first, ...rest] = chunksOf(bytesOf([{ opcode: BINARY, payload: LONG }]), [20, 300, 4000])
  await turn()
  wire.push(first)
  await turn()
  // A transport that is destroyed while it flows gives its first chunk alone to `read()`.
  for (const socket of sockets) {
    socket.pause()
    for (const chunk of rest) wire.push(chunk)
    await turn()
    socket.terminate()
    socket.resume()
    await until(() => socket.readyState === socket.CLOSED)
  }
  t.strictSame(messages, [LONG])
})

for (const allowSynchronousEvents of [true, false]) {
  test(`an error of ws ends the reading at once, with ${allowSynchronousEvents}`, async (t) => {
    const { server, port } = await serveStreams(t, { allowSynchronousEvents })
    const client = new RawClient(t, port)
    client.write(upgradeHead('/'))
    const { socket } = await nextStream(server)
    const messages = record(socket, 'message')
    const errors = record(socket, 'error')
    const fail = (): void => {
      socket.emit('error', Object.assign(new Error('test'), { code: 'WS_ERR_TEST' }))
    }
    // A ping is a frame that ws gets.
    socket.once('ping', fail)
    client.write(bytesOf([{ opcode: PING }, GOOD]))
    await until(() => errors.length === 1)
    for (let turns = 0; turns < 5; turns++) await turn()
    t.same(messages, [])
  })
}

/** A message that arrives on a transport, to which something was done before the handshake. */
async function readBehind (t: Test, prepare: (transport: Duplex) => void): Promise<unknown> {
  const { server, port } = await serveStreams(t)
  const handleUpgrade = server.handleUpgrade.bind(server)
  server.handleUpgrade = (request, transport, head, callback) => {
    prepare(transport)
    handleUpgrade(request, transport, head, callback)
  }
  const client = new RawClient(t, port)
  client.write(upgradeHead('/'))
  const { socket } = await nextStream(server)
  client.write(frame(FINAL_TEXT, 'hi'))
  const [message] = await once(socket, 'message')
  return message
}

test('a transport that another library reads is left to ws', async (t) => {
  const seen: Buffer[] = []
  const message = await readBehind(t, (transport) => {
    transport.on('data', (chunk) => { seen.push(chunk) })
  })
  t.equal(message, 'hi')
  t.strictSame(Buffer.concat(seen), frame(FINAL_TEXT, 'hi'))
})

test('a transport whose listeners are wrapped is left to ws', async (t) => {
  await createPair(t)
  const wrapped: unknown[] = []
  const message = await readBehind(t, (transport) => {
    const on = (event: string, listener: (...args: unknown[]) => void): Duplex => {
      wrapped.push(event)
      const wrapper = (...args: unknown[]): void => { listener.apply(transport, args) }
      return Duplex.prototype.on.call(transport, event, wrapper)
    }
    Object.assign(transport, { on })
  })
  t.equal(message, 'hi')
  t.ok(wrapped.includes('data'))
})
