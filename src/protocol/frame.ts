/**
 * A whole message as one frame, in memory that nothing else changes: the same bytes can be written
 * to any number of connections. Short frames of a single connection are made in `pack.ts`, and a
 * long message for a single connection gets its header here.
 */
import { COMPRESSED } from './frame-header'
import { FINAL_BINARY, FINAL_TEXT, MAX_SHORT_PAYLOAD } from './pack'

/** These say that the length is in the next two bytes, or in the next eight. */
const LENGTH_IN_16_BITS = 126
const LENGTH_IN_64_BITS = 127

const MAX_16_BITS = 0xffff

/** Longest frame, in bytes, that shares its memory with other frames. */
const MAX_SHARING = 1024

const SLAB_SIZE = 8 * 1024

/**
 * Memory of short frames, and of headers. It is not that of `Buffer.from`, which holds buffers of
 * all kinds: a frame that waits for a slow peer would keep those alive.
 */
let slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
let used = 0

/** The frame of a message: of a text message if `isText`, and else of a binary one. */
export function createFrame (payload: string | Uint8Array, isText: boolean): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.byteLength
  const frame = frameFor(firstByte(isText), length)
  const start = frame.length - length
  if (typeof payload === 'string') frame.write(payload, start, 'utf8')
  else frame.set(payload, start)
  return frame
}

/** The frame of a message that is compressed already. */
export function createCompressedFrame (payload: Uint8Array, isText: boolean): Buffer {
  const frame = frameFor(firstByte(isText) | COMPRESSED, payload.length)
  frame.set(payload, frame.length - payload.length)
  return frame
}

/** The header of a message of `length` bytes, which is a text message if `isText`. */
export function createHeader (isText: boolean, length: number): Buffer {
  const header = allocate(headerSize(length))
  writeHeader(header, firstByte(isText), length)
  return header
}

/** The payload of a frame that was made here, in the same memory. */
export function payloadOf (frame: Buffer): Buffer {
  const short = frame.readUInt8(1)
  return frame.subarray(short < LENGTH_IN_16_BITS ? 2 : short === LENGTH_IN_16_BITS ? 4 : 10)
}

function firstByte (isText: boolean): number {
  return isText ? FINAL_TEXT : FINAL_BINARY
}

/** A frame with its header, and with room for its payload. */
function frameFor (first: number, length: number): Buffer {
  const frame = allocate(headerSize(length) + length)
  writeHeader(frame, first, length)
  return frame
}

function headerSize (length: number): number {
  if (length <= MAX_SHORT_PAYLOAD) return 2
  return length <= MAX_16_BITS ? 4 : 10
}

function writeHeader (frame: Buffer, first: number, length: number): void {
  frame[0] = first
  if (length <= MAX_SHORT_PAYLOAD) frame[1] = length
  else if (length <= MAX_16_BITS) {
    frame[1] = LENGTH_IN_16_BITS
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = LENGTH_IN_64_BITS
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
}

function allocate (size: number): Buffer {
  if (size > MAX_SHARING) return Buffer.allocUnsafeSlow(size)
  if (used + size > SLAB_SIZE) {
    slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
    used = 0
  }
  const memory = slab.subarray(used, used + size)
  used += size
  return memory
}
