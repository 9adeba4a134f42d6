import { test } from 'tap'
import {
  createCompressedFrame, createFrame, createHeader, payloadOf
} from '../../src/protocol/frame'

/** Lengths on both sides of each limit of a header, and the header that is expected. */
const HEADERS: Array<[length: number, header: number[]]> = [
  [0, [0x82, 0]],
  [125, [0x82, 125]],
  [126, [0x82, 126, 0, 126]],
  [65_535, [0x82, 126, 0xff, 0xff]],
  [65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]]
]

test('a frame has the shortest header, and its payload', async (t) => {
  for (const [length, header] of HEADERS) {
    const payload = Buffer.alloc(length, 'x')
    const frame = createFrame(payload, false)
    t.strictSame([...frame.subarray(0, header.length)], header)
    t.ok(frame.subarray(header.length).equals(payload))
    t.ok(payloadOf(frame).equals(payload))
    t.strictSame([...createHeader(false, length)], header, 'as the header alone')
  }
})

test('a text is UTF-8, and its length counts in bytes', async (t) => {
  const frame = createFrame('gr\u00fc\u00df', true)
  t.strictSame([...frame], [0x81, 6, ...Buffer.from('gr\u00fc\u00df')])
  t.strictSame([...createHeader(true, 6)], [0x81, 6])
})

test('a compressed frame says so', async (t) => {
  t.strictSame([...createCompressedFrame(Buffer.of(1, 2), true)], [0xc1, 2, 1, 2])
  t.strictSame([...createCompressedFrame(Buffer.of(1, 2), false)], [0xc2, 2, 1, 2])
})

test('short frames share memory with frames only, and never overlap', async (t) => {
  const frames = Array.from({ length: 50 }, (_, i) => createFrame(Buffer.alloc(1000, i), false))
  t.ok(frames.every((frame, i) => payloadOf(frame).equals(Buffer.alloc(1000, i))))
  const slabs = new Set(frames.map(({ buffer }) => buffer))
  t.ok(slabs.size < frames.length)
  t.ok([...slabs].every(({ byteLength }) => byteLength === 8192))
  const long = createFrame(Buffer.alloc(2000), false)
  t.equal(long.buffer.byteLength, long.length, 'a long one has memory of its own')
})
