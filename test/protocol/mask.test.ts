import { test } from 'tap'
import { Chunk } from '../../src/protocol/chunk'
import { LONG_PAYLOAD, readKey, turnKey, unmask } from '../../src/protocol/mask'

const MASK = Buffer.of(0x12, 0xf4, 0x56, 0x98)
const KEY = readKey(MASK, 0)

/** As RFC 6455 section 5.3 describes it. */
function maskOf (payload: Buffer): Buffer {
  return Buffer.from(payload.map((byte, i) => byte ^ Number(MASK[i % 4])))
}

for (const offset of [0, 1, 2, 3]) {
  test(`bytes ${offset} behind a word are unmasked, whatever their number`, async (t) => {
    for (let length = 0; length <= 70; length++) {
      const payload = Buffer.alloc(length, 'unmasked')
      const memory = Buffer.alloc(8 + length + 8, 0xff)
      const bytes = memory.subarray(offset)
      bytes.set(maskOf(payload), 4)
      t.equal(unmask(new Chunk(bytes), 4, 4 + length, KEY), true)
      t.strictSame(bytes.subarray(4, 4 + length), payload)
      t.strictSame(bytes.subarray(0, 4), Buffer.alloc(4, 0xff), 'what is before')
      t.ok(bytes.subarray(4 + length).every((byte) => byte === 0xff), 'what is behind')
    }
  })
}

for (const offset of [0, 1, 2, 3, 4, 5, 6, 7]) {
  test(`about 512 bytes, ${offset} bytes behind a long word, are unmasked`, async (t) => {
    for (let length = LONG_PAYLOAD - 8; length <= LONG_PAYLOAD + 40; length++) {
      const payload = Buffer.alloc(length, 'unmasked: ')
      const memory = Buffer.from(new ArrayBuffer(offset + 8 + length + 5)).fill(0xff)
      const bytes = memory.subarray(offset)
      bytes.set(maskOf(payload), 8)
      const isKnown = length < LONG_PAYLOAD
      t.equal(unmask(new Chunk(bytes), 8, 8 + length, KEY), isKnown, 'known to be ASCII')
      t.strictSame(bytes.subarray(8, 8 + length), payload)
      t.strictSame(bytes.subarray(0, 8), Buffer.alloc(8, 0xff), 'what is before')
      t.strictSame(bytes.subarray(8 + length), Buffer.alloc(5, 0xff), 'what is behind')
    }
  })
}

test('a byte that is not ASCII is seen wherever it is', async (t) => {
  for (let position = 0; position < 40; position++) {
    const payload = Buffer.alloc(40, 'a')
    payload[position] = 0x80
    const bytes = Buffer.from(maskOf(payload))
    t.equal(unmask(new Chunk(bytes), 0, 40, KEY), false, String(position))
    t.strictSame(bytes, payload)
  }
})

test('a turned key is the key for the rest of a payload', async (t) => {
  const payload = Buffer.from('a payload in two parts')
  for (let count = 0; count < 9; count++) {
    const bytes = Buffer.from(maskOf(payload))
    unmask(new Chunk(bytes), 0, count, KEY)
    unmask(new Chunk(bytes), count, bytes.length, turnKey(KEY, count))
    t.strictSame(bytes, payload, String(count))
  }
})

test('memory whose size is no multiple of a word is unmasked to its end', async (t) => {
  const payload = Buffer.from('thirteen byte')
  const bytes = Buffer.from(new Uint8Array(maskOf(payload)).buffer)
  t.equal(bytes.buffer.byteLength, 13)
  unmask(new Chunk(bytes), 0, bytes.length, KEY)
  t.strictSame(bytes, payload)
})

test('a key of zeros leaves the bytes as they are, and says nothing of them', async (t) => {
  const bytes = Buffer.from('not masked')
  t.equal(unmask(new Chunk(bytes), 0, bytes.length, 0), false)
  t.equal(bytes.toString(), 'not masked')
})
