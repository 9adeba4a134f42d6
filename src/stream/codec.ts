/**
 * How the chunks of a stream and the messages of its WebSocket become each other. The settings of a
 * stream hold its codec. `messages/codec.ts` has the one for values of a route's schema.
 */
import { toError } from '../observe/thrown'
import { compact } from './compact'
import { InvalidChunkError, InvalidValueError } from './errors'
import type { Data } from './send-data'

/** How one kind of stream does it. */
export interface Codec {
  /**
   * Makes a chunk of a message; a text comes as its bytes.
   *
   * @throws FST_WS_INVALID_MESSAGE
   */
  decode (data: Buffer, isBinary: boolean): unknown
  /**
   * Makes a message of a chunk: a string becomes a text message, bytes a binary one.
   *
   * @throws FST_WS_INVALID_CHUNK, FST_WS_INVALID_VALUE
   */
  encode (chunk: unknown): Data
  /**
   * The text of a value, as JSON.
   *
   * @throws FST_WS_INVALID_VALUE
   */
  serialize (value: unknown): string
}

/** The JSON of a value, made by `stringify`. @throws FST_WS_INVALID_VALUE */
export function toJson (value: unknown, stringify: (value: unknown) => unknown): string {
  let text: unknown
  try {
    text = stringify(value)
  } catch (cause) {
    throw new InvalidValueError(toError(cause).message, { cause })
  }
  if (typeof text !== 'string') throw new InvalidValueError(`${typeof value} has no JSON`)
  return text
}

/** As {@link toJson}, without a schema. */
export function serialize (value: unknown): string {
  return toJson(value, JSON.stringify)
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
  encode,
  serialize
}

/** A stream in object mode: each chunk is a message, and text messages are strings. */
export const MESSAGES: Codec = {
  decode: (data, isBinary) => isBinary ? compact(data) : data.toString(),
  encode,
  serialize
}
