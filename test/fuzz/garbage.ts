import fc from 'fast-check'
import { upgradeHead } from '../helpers/raw'
import { closeFrame, conversations } from './conversations'
import { encodeFrame, type ClientFrame, type LengthForm } from './frames'

/** A change of some bytes, `at` being where, as a part of 1. */
type Mutation = (bytes: Buffer, at: number) => Buffer

const anyByte = fc.integer({ min: 0, max: 255 })
const fewBytes = fc.uint8Array({ minLength: 1, maxLength: 12 })
const count = fc.integer({ min: 1, max: 300 })

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.integer({ min: 0, max: 7 }).map((bit): Mutation => (bytes, at) => {
    return replace(bytes, at, 1, (old) => Buffer.of(Number(old[0]) ^ 1 << bit))
  }),
  anyByte.map((byte): Mutation => (bytes, at) => replace(bytes, at, 1, () => Buffer.of(byte))),
  fewBytes.map((more): Mutation => (bytes, at) => replace(bytes, at, 0, () => Buffer.from(more))),
  count.map((length): Mutation => (bytes, at) => replace(bytes, at, length, () => NONE)),
  count.map((length): Mutation => (bytes, at) => {
    return replace(bytes, at, length, (old) => Buffer.concat([old, old]))
  }),
  fc.constant<Mutation>((bytes, at) => bytes.subarray(0, index(bytes, at)))
)

const NONE = Buffer.alloc(0)

function index (bytes: Buffer, at: number): number {
  return Math.floor(at * bytes.length)
}

function replace (
  bytes: Buffer, at: number, length: number, by: (old: Buffer) => Buffer
): Buffer {
  const start = index(bytes, at)
  const end = Math.min(start + length, bytes.length)
  return Buffer.concat([
    bytes.subarray(0, start), by(bytes.subarray(start, end)), bytes.subarray(end)
  ])
}

// Most of a conversation is payload: what is at the front is a header more often.
const place = fc.oneof(
  fc.double({ min: 0, max: 0.999, noNaN: true }),
  fc.double({ min: 0, max: 0.02, noNaN: true })
)

const mutations = fc.array(fc.tuple(mutation, place), { minLength: 1, maxLength: 6 })

function mutate (bytes: Buffer, changes: ReadonlyArray<[Mutation, number]>): Buffer {
  return changes.reduce((changed, [mutation, at]) => mutation(changed, at), bytes)
}

const wrongLength = fc.oneof(
  fc.bigInt({ min: 0n, max: 200n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(99_999n, 100_000n, 100_001n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n)
)

/** A frame of which anything may be wrong. */
const wildFrame: fc.Arbitrary<ClientFrame> = fc.record({
  isFinal: fc.boolean(),
  reserved: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) }
  ),
  opcode: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, 1, 2, 8, 9, 10) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 15 }) }
  ),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 10 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: 'binary', maxLength: 10 }).map((text) => Buffer.from(text)),
    fc.integer({ min: 900, max: 5100 }).map((code) => Buffer.of(code >> 8, code & 255)),
    fc.integer({ min: 0, max: 130 }).map((length) => Buffer.alloc(length, 'a'))
  ),
  mask: fc.option(
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map((mask) => Buffer.from(mask)), { freq: 12 }
  ),
  lengthForm: fc.constantFrom<LengthForm[]>('shortest', 'shortest', 16, 64),
  // Null most of the time.
  toldLength: fc.tuple(fc.nat(12), wrongLength).map(([dice, length]) => dice === 12 ? length : null)
})

const wildFrames = fc.array(wildFrame, { minLength: 1, maxLength: 12 })
  .map((frames) => Buffer.concat(frames.map(encodeFrame)))

function wholeConversations (canCompress: boolean): fc.Arbitrary<Buffer> {
  return conversations({ canCompress }).map(({ bytes, leave: { kind, payload, surplus } }) => {
    return kind === 'close' ? Buffer.concat([bytes, closeFrame(payload), surplus]) : bytes
  })
}

/** Bytes behind a handshake that need not mean anything. */
export function garbage ({ canCompress = false } = {}): fc.Arbitrary<Buffer> {
  const whole = wholeConversations(canCompress)
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(whole, mutations).map(([a, b]) => mutate(a, b)) },
    { weight: 4, arbitrary: wildFrames },
    { weight: 1, arbitrary: fc.tuple(whole, wildFrames).map((both) => Buffer.concat(both)) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
    }
  )
}

/** Lines that change what a handshake is, or that it is one. */
const LINES = [
  'Upgrade: h2c', 'Upgrade: websocket, h2c', 'Upgrade:', 'Connection: close',
  'Connection: keep-alive', 'Connection: Upgrade, close', 'Content-Length: 5', 'Content-Length: 0',
  'Content-Length: -1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: gzip, chunked',
  'Expect: 100-continue', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Version: 12',
  'Sec-WebSocket-Key: short', 'Sec-WebSocket-Protocol: a, b', 'Sec-WebSocket-Protocol: a,,a',
  'Sec-WebSocket-Extensions: permessage-deflate', 'Sec-WebSocket-Extensions: x; y="',
  'Host: other', 'Origin: null', ': nameless', 'Nul: \0', 'Folded: a\r\n b', 'X: \xff'
]

const FIRST_LINES = [
  'GET / HTTP/1.1', 'GET / HTTP/1.0', 'GET /nowhere HTTP/1.1', 'GET //%2e%2e/?a=%ff#b HTTP/1.1',
  'GET http://localhost/ HTTP/1.1', 'GET * HTTP/1.1', 'HEAD / HTTP/1.1', 'POST / HTTP/1.1',
  'CONNECT localhost:80 HTTP/1.1', 'OPTIONS * HTTP/1.1', 'GET /% HTTP/1.1', 'GET / HTTP/2.0'
]

const line = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...LINES) },
  { weight: 1, arbitrary: fc.string({ maxLength: 40 }) }
)

interface HeadPlan {
  readonly first: string
  readonly added: Array<[text: string, at: number]>
  readonly removed: number[]
}

const headPlan: fc.Arbitrary<HeadPlan> = fc.record({
  first: fc.oneof(fc.constant('GET / HTTP/1.1'), fc.constantFrom(...FIRST_LINES)),
  added: fc.array(fc.tuple(line, fc.nat(8)), { maxLength: 4 }),
  removed: fc.array(fc.nat(8), { maxLength: 1 })
})

function buildHead ({ first, added, removed }: HeadPlan): Buffer {
  const [, ...lines] = upgradeHead('/').trimEnd().split('\r\n')
  for (const at of removed) lines.splice(at, 1)
  for (const [text, at] of added) lines.splice(at, 0, text)
  return Buffer.from(`${[first, ...lines].join('\r\n')}\r\n\r\n`, 'latin1')
}

const head = headPlan.map(buildHead)

/** Requests that may be a handshake, and what follows them. */
export const openings: fc.Arbitrary<Buffer> = fc.tuple(
  fc.oneof(
    { weight: 3, arbitrary: head },
    { weight: 2, arbitrary: fc.tuple(head, mutations).map(([a, b]) => mutate(a, b)) },
    { weight: 1, arbitrary: fc.tuple(head, head).map((both) => Buffer.concat(both)) }
  ),
  fc.oneof(fc.constant(NONE), wildFrames, wholeConversations(false))
).map((both) => Buffer.concat(both))
