/** Checks the data and the options of a `send`, and copies short data, before ws gets them. */
import { types } from 'node:util'
import { WebSocket } from 'ws'
import { MAX_PACKED_PAYLOAD } from '../protocol/pack'

/** What ws can send. */
export type Data = Parameters<WebSocket['send']>[0]

/** The options of `send`. */
export type SendOptions = Parameters<WebSocket['send']>[1]

// As in ws, an option that is there counts as it is: `undefined` means no, and so does `null`.

/** Whether a frame ends its message. */
export function isFinal (options: SendOptions): boolean {
  return !('fin' in options) || Boolean(options.fin)
}

/** Whether a message may be compressed. */
export function isCompressed (options: SendOptions): boolean {
  return !('compress' in options) || Boolean(options.compress)
}

/** Whether a message is sent as text. */
export function isSentAsText (data: Data, options: SendOptions): boolean {
  const { binary } = options
  return binary === undefined && !('binary' in options) ? typeof data === 'string' : !binary
}

/** Whether ws sends the data as it is. */
function isBytes (data: unknown): data is NodeJS.ArrayBufferView | ArrayBufferLike {
  return ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data)
}

/** Bytes of the message that ws makes of a result of {@link keep}. */
export function sizeOf (data: unknown): number {
  if (isBytes(data)) return data.byteLength
  // An object that only looks like a Blob has no size.
  if (isReadLate(data)) return Number(data.size) || 0
  // ws sends these values as an empty message.
  return data == null || data === false ? 0 : Buffer.byteLength(String(data))
}

/** Whether data is too long to be copied. */
export function isLong (data: unknown): boolean {
  return isBytes(data) && data.byteLength > MAX_PACKED_PAYLOAD
}

/**
 * The data to give to ws: short bytes are copied. They may wait for the end of the tick or for a
 * slow peer, but the application may change its buffer at once.
 *
 * @throws what ws throws for an object that has no bytes
 */
export function keep<T> (data: T): T | Buffer {
  if (typeof data === 'object' && data !== null && !isBytes(data) && !isReadLate(data)) {
    // ws would do the same; done here, the bytes can be counted. The types of `Buffer.from` allow
    // fewer objects than the function takes.
    return Buffer.from(data as never)
  }
  if (!isBytes(data) || isLong(data)) return data
  if (!ArrayBuffer.isView(data)) return Buffer.from(new Uint8Array(data))
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

/**
 * Whether ws has to read the data first, as it does with a Blob. ws knows Blobs of all classes by
 * their shape.
 */
export function isReadLate (data: unknown): data is { size?: unknown } {
  return typeof data === 'object' && data !== null && 'arrayBuffer' in data
}

/** The `send` that was checked last. */
let knownSend: unknown = null

/** Whether `knownSend` is not the `send` of ws. */
let isWrapped = false

/**
 * Whether the `send` of ws has been replaced, by a tracing agent for example. Then each message has
 * to go through the replacement. The agent may have come before this module, so the method is
 * recognized by its source: the one of ws calls the sender. A source that is not recognized counts
 * as replaced, which costs speed and nothing else.
 */
export function isSendWrapped (): boolean {
  const { send } = WebSocket.prototype
  if (send !== knownSend) {
    knownSend = send
    isWrapped = !Function.prototype.toString.call(send).includes('_sender.send(')
  }
  return isWrapped
}
