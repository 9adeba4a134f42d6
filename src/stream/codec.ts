/**
 * How the chunks of a stream and the messages of its WebSocket become each other. A server has one
 * codec for all its streams, in its settings.
 */
import { compact } from './compact'
import { InvalidChunkError } from './errors'
import type { Data } from './send-data'

/** How one kind of stream does it. */
export interface Codec {
  /** Makes a chunk of a message; a text comes as its bytes. */
  decode (data: Buffer, isBinary: boolean): unknown
  /**
   * Makes a message of a chunk: a string becomes a text message, bytes a binary one.
   *
   * @throws FST_WS_INVALID_CHUNK
   */
  encode (chunk: unknown): Data
}

function encode (chunk: unknown): Data {
  if (!isSendable(chunk)) throw new InvalidChunkError(typeof chunk)
  return chunk
}

function isSendable (chunk: unknown): chunk is string | ArrayBuffer | Uint8Array {
  return typeof chunk === 'string' || ArrayBuffer.isView(chunk) || chunk instanceof ArrayBuffer
}

/** A stream of bytes, in which the type of a message and its end mean nothing. */
export const BYTES: Codec = {
  // Compact, because a chunk may wait for long, in this stream or in the one that it is piped to.
  decode: compact,
  encode
}

/** A stream in object mode: each chunk is a message, and text messages are strings. */
export const MESSAGES: Codec = {
  decode: (data, isBinary) => isBinary ? compact(data) : data.toString(),
  encode
}
