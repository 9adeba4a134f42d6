import { randomBytes } from 'node:crypto'

const OPCODE_MASK = 0x0f
const FINAL_BINARY = 0x82
const CONTINUATION = 0
const BINARY = 2
const MASKED = 0x80
const LENGTH_16 = 126
const LENGTH_64 = 127
const KEY_LENGTH = 4
const NONE = Buffer.alloc(0)

/** A key of a client's choice (RFC 6455 section 5.3), as browsers choose it. */
export function randomKey () {
  return randomBytes(KEY_LENGTH)
}

/** A key that leaves the payload as it is, so that ws has nothing to unmask. */
export const ZERO_KEY = Buffer.alloc(KEY_LENGTH)

/** A binary message as a client sends it, masked with `key` (RFC 6455 section 5.2). */
export function maskedFrame (payload, key = randomKey()) {
  const masked = Buffer.from(payload.map((byte, i) => byte ^ key[i % KEY_LENGTH]))
  return Buffer.concat([header(payload.length), key, masked])
}

function header (length) {
  if (length < LENGTH_16) return Buffer.of(FINAL_BINARY, MASKED | length)
  if (length > 0xffff) throw new RangeError('a message of the benchmark has at most 65535 bytes')
  return Buffer.of(FINAL_BINARY, MASKED | LENGTH_16, length >> 8, length & 0xff)
}

/** Counts the payload bytes of a stream of frames and looks at nothing but their headers. */
export class FrameCounter {
  /** Payload bytes of the current frame that have not come yet. */
  #missing = 0
  /** A header that was cut at the end of a chunk. */
  #cut = NONE

  /** Payload bytes in `chunk`, the next part of the stream. */
  count (chunk) {
    const data = this.#cut.length === 0 ? chunk : Buffer.concat([this.#cut, chunk])
    this.#cut = NONE
    let offset = 0
    let bytes = 0
    while (offset < data.length) {
      if (this.#missing === 0) {
        const end = headerEnd(data, offset)
        if (end > data.length) {
          // The chunk is in a buffer that the next one overwrites.
          this.#cut = Buffer.from(data.subarray(offset))
          return bytes
        }
        this.#missing = payloadLength(data, offset)
        offset = end
      }
      const taken = Math.min(this.#missing, data.length - offset)
      this.#missing -= taken
      offset += taken
      bytes += taken
    }
    return bytes
  }
}

/** The payloads of complete frames, joined; those of masked frames unmasked. */
export function decodeFrames (data) {
  const payloads = []
  let offset = 0
  while (offset < data.length) {
    const start = headerEnd(data, offset)
    const end = start + payloadLength(data, offset)
    const payload = Buffer.from(data.subarray(start, end))
    const isMasked = (data[offset + 1] & MASKED) !== 0
    const key = data.subarray(start - KEY_LENGTH, start)
    payloads.push(isMasked ? payload.map((byte, i) => byte ^ key[i % KEY_LENGTH]) : payload)
    offset = end
  }
  return Buffer.concat(payloads)
}

/** Where the header that begins at `offset` ends; beyond the data if it is cut. */
function headerEnd (data, offset) {
  const second = data[offset + 1]
  if (second === undefined) return Infinity
  const length = second & ~MASKED
  const lengthBytes = length < LENGTH_16 ? 0 : length === LENGTH_16 ? 2 : 8
  return offset + 2 + lengthBytes + ((second & MASKED) === 0 ? 0 : KEY_LENGTH)
}

function payloadLength (data, offset) {
  const opcode = data[offset] & OPCODE_MASK
  if (opcode !== BINARY && opcode !== CONTINUATION) {
    throw new Error(`binary messages are expected, got a frame with opcode ${opcode}`)
  }
  const length = data[offset + 1] & ~MASKED
  if (length === LENGTH_16) return data.readUInt16BE(offset + 2)
  if (length === LENGTH_64) return Number(data.readBigUInt64BE(offset + 2))
  return length
}
