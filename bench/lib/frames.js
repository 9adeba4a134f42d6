/**
 * WebSocket frames as bytes (RFC 6455 section 5.2), as far as the clients need them.
 *
 * `maskedMessage` makes a message that a client sends. `FrameCounter` reads the headers only, so it
 * is cheap enough for the time of a measurement. `decodeFrames` reads the content too, and is for
 * the check before the measurement. Both throw when a frame is not of the expected type.
 */

import { randomBytes } from 'node:crypto'

export const TEXT = 1
export const BINARY = 2

const CONTINUATION = 0
const OPCODE_MASK = 0x0f
const FINAL = 0x80

/** RSV1, which says that the message is compressed. */
const COMPRESSED = 0x40

const MASKED = 0x80
const LENGTH_16 = 126
const LENGTH_64 = 127
const KEY_LENGTH = 4
const NONE = Buffer.alloc(0)

/** A random masking key, as browsers choose it (RFC 6455 section 5.3). */
export function randomKey () {
  return randomBytes(KEY_LENGTH)
}

/** A masking key that leaves the payload as it is, so that ws has nothing to unmask. */
export const ZERO_KEY = Buffer.alloc(KEY_LENGTH)

/**
 * A message as a client sends it.
 *
 * @param options.key the masking key of its frames
 * @param options.fragments the number of its frames; the payload is cut into parts of the same size
 * @param options.isCompressed the payload is compressed (RFC 7692)
 */
export function maskedMessage (payload, opcode = BINARY, options = {}) {
  const { key = randomKey(), fragments = 1, isCompressed = false } = options
  const size = Math.ceil(payload.length / fragments)
  const frames = Array.from({ length: fragments }, (_, i) => {
    const first = (i === 0 ? opcode : CONTINUATION) |
      (i === fragments - 1 ? FINAL : 0) | (i === 0 && isCompressed ? COMPRESSED : 0)
    return maskedFrame(first, payload.subarray(i * size, (i + 1) * size), key)
  })
  return Buffer.concat(frames)
}

function maskedFrame (first, payload, key) {
  const masked = Buffer.from(payload.map((byte, i) => byte ^ key[i % KEY_LENGTH]))
  return Buffer.concat([header(first, payload.length), key, masked])
}

function header (first, length) {
  if (length < LENGTH_16) return Buffer.of(first, MASKED | length)
  if (length <= 0xffff) return Buffer.of(first, MASKED | LENGTH_16, length >> 8, length & 0xff)
  const long = Buffer.of(first, MASKED | LENGTH_64, 0, 0, 0, 0, 0, 0, 0, 0)
  long.writeBigUInt64BE(BigInt(length), 2)
  return long
}

/** Counts the payload bytes of a stream of frames, or its frames. Reads the headers only. */
export class FrameCounter {
  /** The opcode that the first frame of each message must have. */
  #opcode
  #countsFrames
  /** Payload bytes of the current frame that have not come yet. */
  #missing = 0
  /** The part of a header that was at the end of the last chunk. */
  #cut = NONE

  constructor (opcode, { countsFrames = false } = {}) {
    this.#opcode = opcode
    this.#countsFrames = countsFrames
  }

  /** Payload bytes in `chunk`, the next part of the stream; or the frames that end in it. */
  count (chunk) {
    const data = this.#cut.length === 0 ? chunk : Buffer.concat([this.#cut, chunk])
    this.#cut = NONE
    let offset = 0
    let bytes = 0
    let frames = 0
    while (offset < data.length) {
      if (this.#missing === 0) {
        const end = headerEnd(data, offset)
        if (end > data.length) {
          // A copy, because the next chunk overwrites the buffer of this one.
          this.#cut = Buffer.from(data.subarray(offset))
          break
        }
        checkOpcode(data[offset] & OPCODE_MASK, this.#opcode)
        this.#missing = payloadLength(data, offset)
        offset = end
      }
      const taken = Math.min(this.#missing, data.length - offset)
      this.#missing -= taken
      offset += taken
      bytes += taken
      if (this.#missing === 0) frames++
    }
    return this.#countsFrames ? frames : bytes
  }
}

/** Whether `data` is at least one whole frame. */
export function isWhole (data) {
  const start = headerEnd(data, 0)
  return start <= data.length && start + payloadLength(data, 0) <= data.length
}

/** The payloads of complete frames, unmasked and joined. */
export function decodeFrames (data, opcode) {
  const payloads = []
  let offset = 0
  while (offset < data.length) {
    checkOpcode(data[offset] & OPCODE_MASK, opcode)
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

/** Offset behind the header that begins at `offset`; more than `data.length` if it is cut. */
function headerEnd (data, offset) {
  const second = data[offset + 1]
  if (second === undefined) return Infinity
  const length = second & ~MASKED
  const lengthBytes = length < LENGTH_16 ? 0 : length === LENGTH_16 ? 2 : 8
  return offset + 2 + lengthBytes + ((second & MASKED) === 0 ? 0 : KEY_LENGTH)
}

function checkOpcode (opcode, expected) {
  if (opcode === expected || opcode === CONTINUATION) return
  throw new Error(`a frame with opcode ${expected} is expected, got opcode ${opcode}`)
}

function payloadLength (data, offset) {
  const length = data[offset + 1] & ~MASKED
  if (length === LENGTH_16) return data.readUInt16BE(offset + 2)
  if (length === LENGTH_64) return Number(data.readBigUInt64BE(offset + 2))
  return length
}
