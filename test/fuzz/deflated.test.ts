// Short compressed messages are inflated in front of ws, and all others by ws. The same must come
// of it as if ws had inflated all of them: the same events, in order, and the same bytes back.
import fc from 'fast-check'
import { constants, deflateRawSync } from 'node:zlib'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { WebSocketStreamServer } from '../../src/stream/server'
import { turn } from '../helpers/streams'
import { split, splits } from './chunks'
import { BINARY, CLOSE, encodeFrame, PING, TEXT, type ClientFrame } from './frames'
import { fuzz, soonTrue } from './fuzz'
import { createRequest, Wire } from './reading'
import { checkEqual } from './served'
import { OFFER } from './targets'

/** Says that a message is compressed: the first of the reserved bits. */
const COMPRESSED = 4

const FLUSHES = { 'for more': constants.Z_SYNC_FLUSH, 'for good': constants.Z_FINISH }

/** What happens to the bytes of a compressed message on their way. */
type Damage = 'none' | 'cut' | 'changed' | 'longer'

const lengths = fc.oneof(
  { weight: 4, arbitrary: fc.nat(60) },
  { weight: 3, arbitrary: fc.nat(6000) },
  { weight: 1, arbitrary: fc.constantFrom(0, 997, 1000, 1001, 65_535, 65_536, 65_537, 200_000) }
)

const units = fc.oneof(
  fc.constantFrom('a', 'text and ', 'é', 'щука', '👩‍👩‍👧'),
  // Of these not much is saved.
  fc.uint8Array({ minLength: 1, maxLength: 5000 })
)

const messages = fc.record({
  opcode: fc.constantFrom(TEXT, TEXT, BINARY, PING),
  unit: units,
  length: lengths,
  isCompressed: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  flush: fc.oneof(
    { weight: 5, arbitrary: fc.constant('for more' as const) }, fc.constant('for good' as const)),
  damage: fc.oneof(
    { weight: 20, arbitrary: fc.constant<Damage>('none') },
    fc.constantFrom<Damage>('cut', 'changed', 'longer')),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  mask: fc.oneof(
    { weight: 30, arbitrary: fc.uint8Array({ minLength: 4, maxLength: 4 }) }, fc.constant(null))
})

type MessagePlan = typeof messages extends fc.Arbitrary<infer Plan> ? Plan : never

function frameOf (plan: MessagePlan): ClientFrame {
  const isCompressed = plan.isCompressed && plan.opcode !== PING
  const whole = Buffer.alloc(plan.opcode === PING ? plan.length % 126 : plan.length, plan.unit)
  return {
    opcode: plan.opcode,
    payload: isCompressed ? damaged(deflated(whole, plan), plan) : whole,
    isFinal: true,
    reserved: isCompressed ? COMPRESSED : 0,
    mask: plan.mask && Buffer.from(plan.mask),
    lengthForm: 'shortest',
    toldLength: null
  }
}

function deflated (payload: Buffer, { flush }: MessagePlan): Buffer {
  const bytes = deflateRawSync(payload, { finishFlush: FLUSHES[flush] })
  return flush === 'for more' ? bytes.subarray(0, -4) : bytes
}

function damaged (bytes: Buffer, { damage, place }: MessagePlan): Buffer {
  const at = Math.floor(place * bytes.length)
  switch (damage) {
    case 'cut': return bytes.subarray(0, at)
    case 'longer': return Buffer.concat([bytes, bytes.subarray(at)])
    case 'changed': return Buffer.from(bytes.map((byte, i) => i === at ? byte ^ 0x55 : byte))
    case 'none': return bytes
  }
}

const GOODBYE = encodeFrame({
  opcode: CLOSE,
  payload: Buffer.of(3, 0xe8),
  isFinal: true,
  reserved: 0,
  mask: Buffer.of(1, 2, 3, 4),
  lengthForm: 'shortest',
  toldLength: null
})

const cases = fc.record({
  messages: fc.array(messages, { maxLength: 12 }),
  sizes: splits,
  offer: fc.constantFrom(
    OFFER, OFFER, OFFER, 'permessage-deflate', `${OFFER}; client_max_window_bits=10`),
  options: fc.record({
    maxPayload: fc.constantFrom(0, 1000, 70_000),
    skipUTF8Validation: fc.boolean(),
    allowSynchronousEvents: fc.oneof(
      { weight: 4, arbitrary: fc.constant(true) }, fc.constant(false))
  })
})

interface Offered {
  readonly offer: string
  readonly options: ServerOptions
}

/** What the listeners of a connection are told, and what is sent back. */
async function tell (
  server: { handleUpgrade: WebSocketServer['handleUpgrade'] }, chunks: readonly Buffer[],
  { offer }: Offered
): Promise<{ events: unknown[], sent: string }> {
  const events: unknown[] = []
  const wire = new Wire()
  const request = createRequest()
  request.headers['sec-websocket-extensions'] = offer
  let connection: WebSocket | null = null
  server.handleUpgrade(request, wire, Buffer.alloc(0), (socket: WebSocket) => {
    connection = socket
    socket.on('message', (data, isBinary) => {
      // ws gives text as bytes, this library as a string.
      const bytes = Buffer.from(data as Buffer)
      events.push([isBinary ? bytes.toString('hex') : bytes.toString(), isBinary])
    })
    socket.on('ping', (data) => { events.push(['ping', data.toString('hex')]) })
    socket.on('error', (error) => { events.push(['error', error.message]) })
    socket.on('close', (code) => { events.push(['close', code]) })
  })
  wire.sent.length = 0
  for (const chunk of chunks) {
    // Each gets its own, because both take the mask off in place.
    if (!wire.destroyed) wire.push(Buffer.from(chunk))
    await turn()
  }
  await soonTrue(() => connection?.readyState !== 1, 'the close frame, or an error')
  if (!wire.destroyed) wire.push(null)
  await soonTrue(() => connection?.readyState === 3, 'the end')
  wire.destroy()
  return { events, sent: Buffer.concat(wire.sent).toString('hex') }
}

fuzz('compressed messages are inflated here as by ws', cases, async () => async (example) => {
  const frames = example.messages.map((message) => encodeFrame(frameOf(message)))
  const bytes = Buffer.concat([...frames, GOODBYE])
  const options = { ...example.options, noServer: true, perMessageDeflate: { threshold: 0 } }
  // ws 8.23 throws into the process if chunks wait behind a frame that it refuses.
  const expected = await tell(new WebSocketServer(options), [bytes], example)
  const told = await tell(new WebSocketStreamServer(options), split(bytes, example.sizes), example)
  checkEqual('events', told.events, expected.events)
  checkEqual('bytes sent', told.sent, expected.sent)
})
