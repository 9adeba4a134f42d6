/**
 * Turns the chunks of a stream into messages of its WebSocket, and messages into chunks. The
 * settings of a stream hold its codec. That of routes with schemas is in `messages/value-codec.ts`.
 */
import { toError } from '../observe/thrown'
import { compact } from './compact'
import { InvalidChunkError, InvalidValueError } from './errors'
import type { Data } from './send-data'
import { dropPromise } from './thenable'

/** How one kind of stream converts chunks and messages. */
export interface Codec {
  /** Whether `decode` is faster with the string of a text than with its bytes. */
  readonly takesText: boolean
  /**
   * Makes a chunk of a message.
   *
   * @param data bytes, or the string of a text
   * @throws FST_WS_INVALID_MESSAGE
   */
  decode (data: Buffer | string, isBinary: boolean): unknown
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
  // fast-json-stringify gives this text for a value without JSON where the schema allows any.
  if (typeof text === 'string' && text !== 'undefined') return text
  if (dropPromise(text)) throw new InvalidValueError('its serializer is asynchronous')
  throw new InvalidValueError(`${typeof value} has no JSON`)
}

/** The JSON of a value, without a schema. @throws FST_WS_INVALID_VALUE */
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

/** A stream of bytes: it does not keep the type and the end of a message. */
export const BYTES: Codec = {
  takesText: false,
  // Compact, because a chunk may wait for long, in this stream or in the one that it is piped to.
  decode: (data) => typeof data === 'string' ? Buffer.from(data) : compact(data),
  encode,
  serialize
}

/** A stream in object mode: each chunk is a message, and text messages are strings. */
export const MESSAGES: Codec = {
  takesText: true,
  decode (data, isBinary) {
    if (typeof data === 'string') return data
    return isBinary ? compact(data) : data.toString()
  },
  encode,
  serialize
}
