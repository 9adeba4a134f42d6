/**
 * The form in which a message travels between processes: in front of the message are its kind, its
 * publisher, and the count of the messages of that publisher.
 *
 * | bytes | meaning                                                           |
 * |-------|-------------------------------------------------------------------|
 * | 1     | the kind: text or binary, volatile or not. No UTF-8 has this byte |
 * | 8     | the publisher: random bytes, new each time that a broker is opened |
 * | 6     | the count, an unsigned integer, most significant byte first       |
 * | rest  | the message                                                       |
 *
 * Bytes that begin in another way come from other programs. They are a text if they are UTF-8.
 */
import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { TopicMessage } from './message'

const TEXT = 0xff
const BINARY = 0xfe
const VOLATILE_TEXT = 0xfd
const VOLATILE_BINARY = 0xfc

const PUBLISHER_SIZE = 8
const COUNT_SIZE = 6
const COUNT_START = 1 + PUBLISHER_SIZE
const HEADER_SIZE = COUNT_START + COUNT_SIZE

/** A message that has come from a broker. */
export interface Received {
  readonly payload: Buffer
  readonly isText: boolean
  readonly isVolatile: boolean
  /** Null for a message of another program. */
  readonly publisher: string | null
  readonly count: number
}

/** Puts the messages of one publisher into envelopes. */
export class Publisher {
  readonly #id = randomBytes(PUBLISHER_SIZE)
  readonly #name = nameOf(this.#id, 0)
  #count = 0

  wrap ({ isText, isVolatile, payload }: TopicMessage): Buffer {
    const bytes = Buffer.allocUnsafe(HEADER_SIZE + payload.length)
    bytes[0] = isVolatile
      ? (isText ? VOLATILE_TEXT : VOLATILE_BINARY)
      : (isText ? TEXT : BINARY)
    bytes.set(this.#id, 1)
    bytes.writeUIntBE(++this.#count, COUNT_START, COUNT_SIZE)
    bytes.set(payload, HEADER_SIZE)
    return bytes
  }

  /** Whether a message comes from this publisher. */
  hasSent ({ publisher }: Received): boolean {
    return publisher === this.#name
  }
}

/** Reads bytes that a broker has brought. Returns null if they are no message. */
export function unwrap (bytes: Uint8Array): Received | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = buffer[0] ?? 0
  const isText = kind === TEXT || kind === VOLATILE_TEXT
  if (kind < VOLATILE_BINARY) {
    return isUtf8(buffer)
      ? { payload: buffer, isText: true, isVolatile: false, publisher: null, count: 0 }
      : null
  }
  if (buffer.length < HEADER_SIZE) return null
  const payload = buffer.subarray(HEADER_SIZE)
  // Browsers end a connection that brings a text which is not UTF-8.
  if (isText && !isUtf8(payload)) return null
  return {
    payload,
    isText,
    isVolatile: kind < BINARY,
    publisher: nameOf(buffer, 1),
    count: buffer.readUIntBE(COUNT_START, COUNT_SIZE)
  }
}

function nameOf (bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, start + PUBLISHER_SIZE)
}
