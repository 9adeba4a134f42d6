import fc from 'fast-check'
import { constants, deflateRawSync } from 'node:zlib'
import {
  BINARY, CLOSE, CONTINUATION, encodeFrame, PING, PONG, TEXT, type ClientFrame, type Frame
} from './frames'

/** How a client leaves. */
export interface Leave {
  readonly kind: 'close' | 'end' | 'reset'
  /** Before its answers have come. */
  readonly isEarly: boolean
  /** Payload of the close frame. */
  readonly payload: Buffer
  /** What a client that has closed should not send, and nobody reads. */
  readonly surplus: Buffer
}

/** What a client does on a connection. */
export interface Conversation {
  /** Behind the handshake, without the end. */
  readonly bytes: Buffer
  readonly answers: Frame[]
  readonly leave: Leave
}

/** A payload as few numbers, so that a long one is quickly made and quickly made shorter. */
interface PayloadPlan {
  readonly unit: string | Uint8Array
  readonly length: number
}

interface MessagePlan {
  readonly isMessage: true
  readonly payload: PayloadPlan
  /** Where it is cut into fragments, as parts of 1. */
  readonly cuts: number[]
  /** Control frames before each fragment. */
  readonly between: ControlPlan[][]
  readonly masks: Uint8Array[]
  readonly isCompressed: boolean
}

interface ControlPlan {
  readonly isMessage: false
  readonly opcode: typeof PING | typeof PONG
  readonly payload: Uint8Array
  readonly mask: Uint8Array
}

/** Characters at the borders of the widths of UTF-8, and those that decoders trip over. */
const BORDERS = [
  '\0', 'a', '\x7f', '\x80', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\ufeff', '\ufffd', '\uffff',
  '\u{10000}', '\u{10ffff}', 'e\u0301', '👩‍👩‍👧'
]

/** Lengths around which something changes: forms of the length, what is packed, memory, chunks. */
const LIMITS = [0, 1, 125, 126, 127, 1024, 4095, 4096, 4097, 65_535, 65_536, 65_537]

const length = fc.oneof(
  { weight: 3, arbitrary: fc.nat(40) },
  { weight: 3, arbitrary: fc.constantFrom(...LIMITS) },
  { weight: 1, arbitrary: fc.nat(70_000) }
)

const character = fc.oneof(fc.constantFrom(...BORDERS), fc.string({ unit: 'binary', minLength: 1 }))

const payload: fc.Arbitrary<PayloadPlan> = fc.record({
  unit: fc.oneof(character, fc.uint8Array({ minLength: 1, maxLength: 7 })), length
})

const mask = fc.oneof(
  { weight: 1, arbitrary: fc.constant(new Uint8Array(4)) },
  { weight: 4, arbitrary: fc.uint8Array({ minLength: 4, maxLength: 4 }) }
)

const control: fc.Arbitrary<ControlPlan> = fc.record({
  isMessage: fc.constant(false),
  opcode: fc.constantFrom(PING, PING, PONG),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ minLength: 124, maxLength: 125 })),
  mask
})

const message: fc.Arbitrary<MessagePlan> = fc.record({
  isMessage: fc.constant(true),
  payload,
  cuts: fc.oneof(
    { weight: 2, arbitrary: fc.constant<number[]>([]) },
    { weight: 1, arbitrary: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }) }
  ),
  between: fc.array(fc.array(control, { maxLength: 2 }), { maxLength: 6 }),
  masks: fc.array(mask, { minLength: 1, maxLength: 3 }),
  isCompressed: fc.boolean()
})

const closePayload = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.tuple(
    fc.oneof(fc.constantFrom(1000, 1001, 1011, 1014), fc.integer({ min: 3000, max: 4999 })),
    fc.oneof(fc.constant(''), fc.string({ unit: 'binary', maxLength: 30 }))
  ).map(([code, reason]) => Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]))
)

const leave: fc.Arbitrary<Leave> = fc.record({
  kind: fc.constantFrom('close', 'close', 'end', 'reset'),
  isEarly: fc.boolean(),
  payload: closePayload,
  surplus: fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 20 }))
    .map((bytes) => Buffer.from(bytes))
})

/** A conversation that breaks no rule. */
export function conversations ({ canCompress = false } = {}): fc.Arbitrary<Conversation> {
  const items = fc.array(
    fc.oneof({ weight: 3, arbitrary: message }, { weight: 1, arbitrary: control }),
    { maxLength: 12 }
  )
  return fc.record({ items, leave }).map(({ items, leave }) => {
    const frames = items.flatMap((item) => {
      return item.isMessage ? fragments(item, canCompress) : [controlFrame(item)]
    })
    return {
      bytes: Buffer.concat(frames.map(encodeFrame)),
      answers: items.flatMap(answersTo),
      leave
    }
  })
}

/** The close frame of a client. */
export function closeFrame (payload: Buffer): Buffer {
  return encodeFrame(clientFrame({ opcode: CLOSE, payload }))
}

function answersTo (item: MessagePlan | ControlPlan): Frame[] {
  if (!item.isMessage) return pongTo(item)
  const pongs = boundaries(item).flatMap((_, i) => item.between[i]?.flatMap(pongTo) ?? [])
  return [...pongs, wholeMessage(item)]
}

function pongTo ({ opcode, payload }: ControlPlan): Frame[] {
  return opcode === PING ? [{ opcode: PONG, payload: Buffer.from(payload) }] : []
}

/** A text of characters that are whole, or bytes. */
function wholeMessage ({ payload: { unit, length } }: MessagePlan): Frame {
  if (typeof unit !== 'string') return { opcode: BINARY, payload: Buffer.alloc(length, unit) }
  const bytes = Buffer.byteLength(unit)
  const text = unit.repeat(Math.floor(length / bytes)).padEnd(length)
  // The padding is in characters, and may be too much.
  const payload = Buffer.from(text).subarray(0, length)
  return { opcode: TEXT, payload }
}

function boundaries ({ cuts }: MessagePlan): number[] {
  return [0, ...[...cuts].sort((a, b) => a - b)]
}

function fragments (plan: MessagePlan, canCompress: boolean): ClientFrame[] {
  const { opcode, payload } = wholeMessage(plan)
  const isCompressed = canCompress && plan.isCompressed
  const bytes = isCompressed ? deflate(payload) : payload
  const starts = boundaries(plan)
  return starts.flatMap((start, i) => {
    const end = starts[i + 1] ?? 1
    const fragment = clientFrame({
      isFinal: i === starts.length - 1,
      reserved: isCompressed && i === 0 ? 4 : 0,
      opcode: i === 0 ? opcode : CONTINUATION,
      payload: bytes.subarray(Math.floor(start * bytes.length), Math.floor(end * bytes.length)),
      mask: Buffer.from(plan.masks[i % plan.masks.length] ?? [])
    })
    return [...(plan.between[i] ?? []).map(controlFrame), fragment]
  })
}

function controlFrame ({ opcode, payload, mask }: ControlPlan): ClientFrame {
  return clientFrame({ opcode, payload: Buffer.from(payload), mask: Buffer.from(mask) })
}

function clientFrame (frame: Frame & Partial<ClientFrame>): ClientFrame {
  return {
    isFinal: true,
    reserved: 0,
    mask: Buffer.from([1, 2, 3, 4]),
    lengthForm: 'shortest',
    toldLength: null,
    ...frame
  }
}

/** A message as permessage-deflate sends it, without its tail (RFC 7692 section 7.2.1). */
function deflate (payload: Buffer): Buffer {
  const deflated = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH })
  return deflated.subarray(0, -4)
}
