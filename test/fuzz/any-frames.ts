/** Random frames of clients, most of them valid, and what listeners do with them. */
import fc from 'fast-check'
import {
  BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, type ClientFrame
} from './frames'
import type { Action } from './reading'

/** Longest message in bytes; some payloads are longer. */
export const MAX_PAYLOAD = 70_000

const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 3, 4, 5, 125, 126, 127, 300, 511, 512) },
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

/** Nearly always `usual`. */
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

/** What a listener does at each message: nothing, or now and then something else. */
export function actionsOf (...rare: Action[]): fc.Arbitrary<Action[]> {
  return fc.array(fc.oneof(
    { weight: 12, arbitrary: fc.constant<Action>('nothing') },
    { weight: 1, arbitrary: fc.constantFrom(...rare) }
  ), { maxLength: 6 })
}

/** Messages that wait would find another state of the connection, so pauses come alone. */
export const actions = fc.oneof(actionsOf('pauses'), actionsOf('closes', 'terminates'))

/** Options of ws by which it reads in another way. */
export const readingOptions = fc.record({
  maxPayload: fc.constantFrom(MAX_PAYLOAD, 0),
  maxFragments: fc.constantFrom(0, 3),
  skipUTF8Validation: rarely(false, fc.constant(true), 5),
  autoPong: rarely(true, fc.constant(false), 5)
})

/** What a client sends: frames of which a few break a rule. */
export const clientFrames: fc.Arbitrary<ClientFrame[]> = fc.array(fc.oneof(
  { weight: 4, arbitrary: frames.map((frame) => [frame]) }, { weight: 1, arbitrary: fragmented }
), { maxLength: 10 }).map((frames) => frames.flat())
