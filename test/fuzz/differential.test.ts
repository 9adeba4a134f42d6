// Frames are read in front of ws, and the same must come of it as if ws had read them: the same
// messages and events, in order, the same close codes, the same bytes back. Deliberate differences:
//
// - While the application pauses a socket, its messages wait, and those of ws do not. So the order
//   between messages and other events is not compared.
// - The parts of a header are one chunk for `maxBufferedChunks`, which therefore has no limit here.
import fc from 'fast-check'
import { split, splits } from './chunks'
import {
  BINARY, CLOSE, CONTINUATION, encodeFrame, PING, PONG, TEXT, type ClientFrame
} from './frames'
import { fuzz } from './fuzz'
import { readByWs, readHere, type Action, type End } from './reading'
import { checkEqual } from './served'

const MAX_PAYLOAD = 70_000

const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 3, 4, 5, 125, 126, 127, 300) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(4096, 65_535, 65_536, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1)
  }
)

const units = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('a', 'text ', '\x7f', 'é', 'щука ', '👩‍👩‍👧', '\ufeff', '\0')
  },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 9 }) }
)

const payloads = fc.record({ length: lengths, unit: units, isWhole: fc.boolean() })
  .map(({ length, unit, isWhole }) => {
    const bytes = Buffer.from(unit)
    const filled = Buffer.alloc(length, bytes)
    // A text that ends inside a character is not valid.
    return isWhole ? filled.subarray(0, length - length % bytes.length) : filled
  })

const closePayloads = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.tuple(fc.constantFrom(1000, 1001, 1005, 1006, 1015, 2999, 3000, 4999, 5000), payloads)
    .map(([code, reason]) => {
      return Buffer.concat([Buffer.of(code >> 8, code & 255), reason.subarray(0, 123)])
    }),
  fc.constant(Buffer.of(3))
)

const opcodes = fc.oneof(
  { weight: 5, arbitrary: fc.constant(TEXT) },
  { weight: 5, arbitrary: fc.constant(BINARY) },
  { weight: 3, arbitrary: fc.constant(CONTINUATION) },
  { weight: 2, arbitrary: fc.constantFrom(PING, PONG) },
  { weight: 1, arbitrary: fc.constantFrom(CLOSE, 3, 11) }
)

function rarely<T, U> (usual: T, arbitrary: fc.Arbitrary<U>, weight = 1): fc.Arbitrary<T | U> {
  return fc.oneof({ weight: 25, arbitrary: fc.constant(usual) }, { weight, arbitrary })
}

const frames: fc.Arbitrary<ClientFrame> = opcodes.chain((opcode) => fc.record({
  opcode: fc.constant(opcode),
  payload: opcode === CLOSE
    ? closePayloads
    : opcode > CLOSE ? payloads.map((payload) => payload.subarray(0, 126)) : payloads,
  isFinal: opcode > CLOSE ? rarely(true, fc.constant(false)) : rarely(true, fc.constant(false), 6),
  reserved: rarely(0, fc.constantFrom(1, 2, 4)),
  mask: rarely<'usual', Buffer | null>('usual', fc.constantFrom(null, Buffer.alloc(4)))
    .chain((mask) => mask === 'usual'
      ? fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes))
      : fc.constant(mask)),
  lengthForm: rarely('shortest' as const, fc.constantFrom(16 as const, 64 as const)),
  toldLength: rarely(null, fc.constantFrom(2n ** 53n, 2n ** 62n, 200n))
}))

/** A message in fragments, with control frames between. */
const fragmented: fc.Arbitrary<ClientFrame[]> = fc.record({
  opcode: fc.constantFrom(TEXT, BINARY),
  parts: fc.array(frames, { minLength: 2, maxLength: 5 })
}).map(({ opcode, parts }) => parts.map((part, i) => {
  if (part.opcode >= CLOSE) return part
  return { ...part, opcode: i === 0 ? opcode : CONTINUATION, isFinal: i === parts.length - 1 }
}))

function actionsOf (...rare: Action[]): fc.Arbitrary<Action[]> {
  return fc.array(fc.oneof(
    { weight: 12, arbitrary: fc.constant<Action>('nothing') },
    { weight: 1, arbitrary: fc.constantFrom(...rare) }
  ), { maxLength: 6 })
}

/** Messages that wait would find another state of the connection, so pauses come alone. */
const actions = fc.oneof(actionsOf('pauses'), actionsOf('closes', 'terminates'))

/** What was terminated gets no more chunks, and ws has all in one where it defers messages. */
const deferredActions = fc.oneof(actionsOf('pauses'), actionsOf('closes'))

const cases = fc.record({
  options: fc.record({
    maxPayload: fc.constantFrom(MAX_PAYLOAD, 0),
    maxFragments: fc.constantFrom(0, 3),
    skipUTF8Validation: rarely(false, fc.constant(true), 5),
    autoPong: rarely(true, fc.constant(false), 5)
  }),
  frames: fc.array(fc.oneof(
    { weight: 4, arbitrary: frames.map((frame) => [frame]) }, { weight: 1, arbitrary: fragmented }
  ), { maxLength: 10 }),
  sizes: splits,
  end: fc.constantFrom<End>('end', 'destroy')
})

/** Whether ws defers messages, and what listeners do. */
const modes = fc.oneof(
  fc.record({ allowSynchronousEvents: fc.constant(true), actions }),
  fc.record({ allowSynchronousEvents: fc.constant(false), actions: deferredActions })
)

fuzz('frames are read here as ws reads them', fc.tuple(cases, modes), async () => {
  return async ([example, { allowSynchronousEvents, actions }]) => {
    const { frames, sizes, end } = example
    const options = { ...example.options, allowSynchronousEvents }
    const chunks = split(Buffer.concat(frames.flat().map(encodeFrame)), sizes)
    const reading = { options, chunks, actions, end }
    const [expected, told] = await Promise.all([readByWs(reading), readHere(reading)])
    checkEqual('messages', told.messages, expected.messages)
    checkEqual('other events', told.others, expected.others)
    checkEqual('bytes sent', told.sent, expected.sent)
  }
})
