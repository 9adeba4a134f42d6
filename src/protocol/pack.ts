/**
 * Frames that a server sends, written one behind the other into one piece of memory, so that the
 * frames of a tick are one chunk for the socket and not two for each of them.
 *
 * The memory is used again and again. The chunk is a Latin-1 string, a copy of just the frames:
 * Node.js hands a string to the system from its own stack and keeps only what the system does not
 * take. So frames that wait for a slow peer keep no other memory alive.
 */
import { COMPRESSED } from './frame-header'

/** Where the frames of a connection go when they are complete. */
export interface FrameSink {
  /** Gets frames, in Latin-1, that must be written before anything else. */
  writeFrames (frames: string): void
}

const MEMORY_SIZE = 64 * 1024

/** Longest payload, in bytes, that is cheaper to copy than to write as a buffer of its own. */
export const MAX_PACKED_PAYLOAD = 4 * 1024

/** Longest header of a frame whose payload is that short (RFC 6455 section 5.2). */
const MAX_HEADER = 4

/** Longest payload, in bytes, whose length fits into the second byte of the frame. */
export const MAX_SHORT_PAYLOAD = 125

/** Says that the length is in the next two bytes. */
const LENGTH_IN_16_BITS = 126

/** First byte of a frame that is a whole message. */
export const FINAL_TEXT = 0x81
export const FINAL_BINARY = 0x82

const memory = Buffer.allocUnsafeSlow(MEMORY_SIZE)
/** Bound: V8 looks up a method of a Buffer at each call, a fifth of the time of a short copy. */
const copyToMemory = memory.set.bind(memory)

/** The frames in `memory` from 0 to here are packed and not written yet. */
let end = 0
/** The connection of these frames, null if there are none. */
let owner: FrameSink | null = null

/** Appends a text message of `byteLength` bytes, at most {@link MAX_PACKED_PAYLOAD}. */
export function packText (sink: FrameSink, text: string, byteLength: number): void {
  reserve(sink, byteLength)
  packHeader(FINAL_TEXT, byteLength)
  end += memory.write(text, end, byteLength, 'utf8')
}

/** Appends a binary message of at most {@link MAX_PACKED_PAYLOAD} bytes. */
export function packBinary (sink: FrameSink, data: Uint8Array): void {
  packBytes(sink, data, FINAL_BINARY)
}

/** Appends a message that is compressed. It may be a little longer than it was before. */
export function packCompressed (sink: FrameSink, data: Uint8Array, isText: boolean): void {
  packBytes(sink, data, (isText ? FINAL_TEXT : FINAL_BINARY) | COMPRESSED)
}

function packBytes (sink: FrameSink, data: Uint8Array, firstByte: number): void {
  reserve(sink, data.length)
  packHeader(firstByte, data.length)
  copyToMemory(data, end)
  end += data.length
}

/** Bytes of a connection that are packed and not handed over yet. */
export function packedBytes (sink: FrameSink): number {
  return owner === sink ? end : 0
}

/** Hands over the packed frames of a connection, if there are any. */
export function flushPacked (sink: FrameSink): void {
  if (owner === sink) handOver(sink)
}

function reserve (sink: FrameSink, byteLength: number): void {
  if (owner !== null && (owner !== sink || end + MAX_HEADER + byteLength > MEMORY_SIZE)) {
    handOver(owner)
  }
  owner = sink
}

function packHeader (firstByte: number, byteLength: number): void {
  memory[end++] = firstByte
  if (byteLength <= MAX_SHORT_PAYLOAD) {
    memory[end++] = byteLength
    return
  }
  memory[end++] = LENGTH_IN_16_BITS
  memory[end++] = byteLength >> 8
  memory[end++] = byteLength & 0xff
}

function handOver (sink: FrameSink): void {
  const frames = memory.toString('latin1', 0, end)
  end = 0
  owner = null
  sink.writeFrames(frames)
}
