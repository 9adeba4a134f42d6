/**
 * Frames that a server sends, written one behind the other into shared memory, so that the frames
 * of a tick are one buffer for the socket and not two for each of them.
 *
 * The memory is only ever written forwards and never used again: what has been handed to a socket
 * may be on its way for as long as it takes.
 */

/** Where the frames of a connection go when they are complete. */
export interface FrameSink {
  /** Frames that must be written before anything else is. */
  writeFrames (frames: Buffer): void
}

const SLAB_SIZE = 64 * 1024

/** Longest payload, in bytes, that is cheaper to copy than to write as a buffer of its own. */
export const MAX_PACKED_PAYLOAD = 4 * 1024

/** Longest header of a frame whose payload is that short (RFC 6455 section 5.2). */
const MAX_HEADER = 4

/** Payloads up to this length have it in the second byte of the frame. */
const MAX_SHORT_PAYLOAD = 125

/** Says that the length is in the next two bytes. */
const LENGTH_IN_16_BITS = 126

/** First byte of a frame that is a whole message. */
const FINAL_TEXT = 0x81
const FINAL_BINARY = 0x82

let slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
let end = 0

/** The frames from `start` to `end` are those of `owner`, and not written yet. */
let start = 0
let owner: FrameSink | null = null

/** Appends a text message of at most {@link MAX_PACKED_PAYLOAD} bytes, `byteLength` of them. */
export function packText (sink: FrameSink, text: string, byteLength: number): void {
  reserve(sink, byteLength)
  writeHeader(FINAL_TEXT, byteLength)
  end += slab.write(text, end, byteLength, 'utf8')
}

/** Appends a binary message of at most {@link MAX_PACKED_PAYLOAD} bytes. */
export function packBinary (sink: FrameSink, data: Uint8Array): void {
  reserve(sink, data.length)
  writeHeader(FINAL_BINARY, data.length)
  slab.set(data, end)
  end += data.length
}

/** Bytes of a connection that are packed and not handed over yet. */
export function packedBytes (sink: FrameSink): number {
  return owner === sink ? end - start : 0
}

/** Hands over the packed frames of a connection, if there are any. */
export function unpack (sink: FrameSink): void {
  if (owner === sink) handOver(sink)
}

function reserve (sink: FrameSink, byteLength: number): void {
  if (owner !== sink) {
    if (owner !== null) handOver(owner)
    owner = sink
    start = end
  }
  if (end + MAX_HEADER + byteLength <= SLAB_SIZE) return
  handOver(sink)
  slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
  start = end = 0
  owner = sink
}

function writeHeader (firstByte: number, byteLength: number): void {
  slab[end++] = firstByte
  if (byteLength <= MAX_SHORT_PAYLOAD) {
    slab[end++] = byteLength
    return
  }
  slab[end++] = LENGTH_IN_16_BITS
  slab[end++] = byteLength >> 8
  slab[end++] = byteLength & 0xff
}

function handOver (sink: FrameSink): void {
  owner = null
  if (end > start) sink.writeFrames(slab.subarray(start, end))
}
