import { deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import { upgradeHead } from '../helpers/raw'
import { Siege, type Attack } from '../helpers/siege'

const FINAL = 0x80
const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

const MASK = Buffer.from([1, 2, 3, 4])

interface Shape {
  isMasked?: boolean
  /** What the frame says of its length, where that is not the truth. */
  length?: number | bigint
}

/** A client's frame with a mask that does something. */
function frame (first: number, payload: string | Buffer = '', shape: Shape = {}): Buffer {
  const { isMasked = true } = shape
  const data = Buffer.from(payload)
  const bytes = isMasked ? data.map((byte, i) => byte ^ MASK.readUInt8(i % 4)) : data
  const length = lengthBytes(shape.length ?? data.length, isMasked ? 0x80 : 0)
  return Buffer.concat([Buffer.from([first]), length, isMasked ? MASK : Buffer.alloc(0), bytes])
}

function lengthBytes (length: number | bigint, maskBit: number): Buffer {
  if (length < 126) return Buffer.from([maskBit | Number(length)])
  const isShort = length < 65_536
  const bytes = Buffer.alloc(isShort ? 3 : 9, maskBit | (isShort ? 126 : 127))
  if (isShort) bytes.writeUInt16BE(Number(length), 1)
  else bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}

function closeFrame (code: number, reason: string | Buffer = ''): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)])
  payload.writeUInt16BE(code)
  return frame(FINAL | CLOSE, payload)
}

const GOODBYE = closeFrame(1000)

const NOT_UTF8: Record<string, number[]> = {
  'a lonely continuation byte': [0x80],
  'a byte that never occurs': [0xff],
  'an overlong slash': [0xc0, 0xaf],
  'a surrogate': [0xed, 0xa0, 0x80],
  'a code point beyond Unicode': [0xf4, 0x90, 0x80, 0x80],
  'a sequence that is cut short': [0x61, 0xe2, 0x82]
}

const RESERVED_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]
const FINE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 4999]

/** Frames, one after the other in one connection, and the close code that answers them. */
const FRAMES: Array<[name: string, code: number, ...frames: Buffer[]]> = [
  ...[0x40, 0x20, 0x10, 0x70].flatMap((bits) => [TEXT, CONTINUATION, PING, CLOSE].map((opcode) => {
    const first = FINAL | bits | opcode
    return [`first byte 0x${first.toString(16)}`, 1002, frame(first)] as [string, number, Buffer]
  })),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [FINAL, 0].map((fin) => {
    const name = `opcode ${opcode}${fin === 0 ? ', not final' : ''}`
    return [name, 1002, frame(fin | opcode)] as [string, number, Buffer]
  })),

  ['text without a mask', 1002, frame(FINAL | TEXT, 'hi', { isMasked: false })],
  ['a ping without a mask', 1002, frame(FINAL | PING, '', { isMasked: false })],
  ['a close without a mask', 1002, frame(FINAL | CLOSE, '', { isMasked: false })],

  ['a ping of 126 bytes', 1002, frame(FINAL | PING, 'x'.repeat(126))],
  ['a pong of 65536 bytes', 1002, frame(FINAL | PONG, 'x'.repeat(65_536))],
  ['a close of 126 bytes', 1002, closeFrame(1000, 'x'.repeat(124))],
  ['a ping that says 16 bits of length', 1002, frame(FINAL | PING, '', { length: 127 })],
  ['a fragmented ping', 1002, frame(PING, 'x'), frame(FINAL | CONTINUATION, 'y')],
  ['a fragmented pong', 1002, frame(PONG, 'x')],
  ['a fragmented close', 1002, frame(CLOSE)],

  ['a continuation of nothing', 1002, frame(FINAL | CONTINUATION, 'x')],
  ['a first fragment that is a continuation', 1002, frame(CONTINUATION, 'x')],
  ['a continuation behind the end', 1002,
    frame(TEXT, 'x'), frame(FINAL | CONTINUATION, 'y'), frame(FINAL | CONTINUATION, 'z')],
  ['text inside text', 1002, frame(TEXT, 'x'), frame(TEXT, 'y')],
  ['a whole message inside text', 1002, frame(TEXT, 'x'), frame(FINAL | BINARY, 'y')],
  ['text inside a binary message', 1002, frame(BINARY, 'x'), frame(FINAL | TEXT, 'y')],

  ['a length with the highest bit', 1009, frame(FINAL | BINARY, '', { length: 2n ** 63n })],
  ['a length of 2 to the 64th', 1009, frame(FINAL | BINARY, '', { length: 2n ** 64n - 1n })],
  ['a length of 2 to the 53rd', 1009, frame(FINAL | BINARY, '', { length: 2n ** 53n })],
  ['a length of 4 GiB', 1009, frame(FINAL | BINARY, '', { length: 2n ** 32n })],
  ['one byte over the limit', 1009, frame(FINAL | BINARY, '', { length: 2 ** 20 + 1 })],
  ['one byte over the limit, in fragments', 1009,
    frame(BINARY, Buffer.alloc(2 ** 19)), frame(CONTINUATION, Buffer.alloc(2 ** 19)),
    frame(CONTINUATION, 'x')],
  ['a fragment whose rest is over the limit', 1009,
    frame(TEXT, 'x'), frame(FINAL | CONTINUATION, '', { length: 2 ** 20 })],

  ...Object.entries(NOT_UTF8).flatMap(([name, bytes]) => {
    const bad = Buffer.from(bytes)
    return [
      [`text with ${name}`, 1007, frame(FINAL | TEXT, bad)],
      [`a close reason with ${name}`, 1007, closeFrame(1000, bad)],
      [`text with ${name} in the last fragment`, 1007,
        frame(TEXT, 'fine'), frame(CONTINUATION), frame(FINAL | CONTINUATION, bad)],
      [`text with ${name} in fragments of a byte`, 1007, frame(TEXT, bad.subarray(0, 1)),
        ...[...bad.subarray(1)].map((byte) => frame(CONTINUATION, Buffer.from([byte]))),
        frame(FINAL | CONTINUATION)]
    ] as Array<[string, number, ...Buffer[]]>
  }),

  ['a close of one byte', 1002, frame(FINAL | CLOSE, 'x')],
  ...RESERVED_CODES.map((code) => {
    return [`close code ${code}`, 1002, closeFrame(code)] as [string, number, Buffer]
  }),
  ...FINE_CODES.map((code) => {
    return [`close code ${code}`, code, closeFrame(code, 'bye')] as [string, number, Buffer]
  }),
  ['a close without a code', 1005, frame(FINAL | CLOSE)],
  ['a close in the middle of a message', 1000, frame(TEXT, 'x'), GOODBYE],
  ['text behind a close', 1000, GOODBYE, frame(FINAL | TEXT, 'too late')],
  ['a second close', 1000, GOODBYE, closeFrame(1001)],
  ['noise behind a close', 1000, GOODBYE, Buffer.alloc(100_000, 0xff)],
  ['noise behind an error', 1002, frame(FINAL | 3), Buffer.alloc(100_000, 0xff)],
  ['a close behind an error', 1002, frame(FINAL | 3), GOODBYE],

  ['a pong that nobody asked for', 1000, frame(FINAL | PONG, 'x'), GOODBYE],
  ['UTF-8 that is split in the middle', 1000,
    frame(TEXT, Buffer.from([0xe2])), frame(FINAL | PING, 'x'),
    frame(FINAL | CONTINUATION, Buffer.from([0x82, 0xac])), GOODBYE]
]

/** With compression agreed on. */
const COMPRESSED = 0x40
const COMPRESSED_FRAMES: typeof FRAMES = [
  ['a compressed ping', 1002, frame(FINAL | COMPRESSED | PING)],
  ['a compressed close', 1002, frame(FINAL | COMPRESSED | CLOSE)],
  ['a compressed continuation', 1002,
    frame(COMPRESSED | TEXT, ''), frame(FINAL | COMPRESSED | CONTINUATION)],
  ['RSV2 beside compression', 1002, frame(FINAL | COMPRESSED | 0x20 | TEXT)],
  ['what cannot be inflated', 1007, frame(FINAL | COMPRESSED | BINARY, Buffer.alloc(9, 0xff))],
  ['what inflates to bad UTF-8', 1007,
    frame(FINAL | COMPRESSED | TEXT, deflateRawSync(Buffer.from([0xff])))],
  ['what inflates to one byte over the limit', 1009,
    frame(FINAL | COMPRESSED | BINARY, deflateRawSync(Buffer.alloc(2 ** 20 + 1)))],
  ['a close behind what is being inflated', 1000,
    frame(FINAL | COMPRESSED | BINARY, deflateRawSync(Buffer.alloc(2 ** 20))), GOODBYE]
]

function attacksOn (path: string, table: typeof FRAMES, lines = {}): Attack[] {
  return table.map(([name, code, ...frames]) => {
    return [name, code, Buffer.concat([Buffer.from(upgradeHead(path, lines)), ...frames])]
  })
}

for (const path of ['/echo', '/pipe', '/unread', '/pending', '/paused']) {
  test(`bad frames to ${path} get the right close code and harm nobody`, async (t) => {
    const siege = await Siege.begin(t, {
      plugin: { options: { pauseTimeout: 50 } },
      declare (fastify) {
        fastify.get('/pipe', { websocket: true }, (connection) => { connection.pipe(connection) })
        fastify.get('/unread', { websocket: true }, (connection) => { connection.write('hi') })
        fastify.get('/pending', { websocket: true }, () => new Promise(() => {}))
        fastify.get('/paused', { websocket: true }, (connection) => {
          connection.on('data', () => {}).pause()
        })
      }
    })
    await siege.attackEach(t, attacksOn(path, FRAMES))
    await siege.end(t)
  })
}

test('bad frames get the right close code where compression is agreed on', async (t) => {
  const siege = await Siege.begin(t, { plugin: { options: { perMessageDeflate: true } } })
  const lines = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
  // Its reserved bit means something now.
  const frames = FRAMES.filter(([name]) => !name.startsWith('first byte'))
  await siege.attackEach(t, attacksOn('/echo', [...frames, ...COMPRESSED_FRAMES], lines))
  await siege.end(t)
})

test('a message may be as long as the limit', async (t) => {
  const siege = await Siege.begin(t, {})
  const message = frame(FINAL | BINARY, Buffer.alloc(2 ** 20))
  await siege.attackEach(t, attacksOn('/echo', [
    ['a message of the limit', 1000, message, GOODBYE],
    ['two messages of the limit', 1000, message, message, GOODBYE]
  ]))
  await siege.end(t)
})
