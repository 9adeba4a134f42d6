/** What is to be known of data, and of the options beside it, before they are given to ws. */
import { types } from 'node:util'
import { WebSocket } from 'ws'
import { MAX_PACKED_PAYLOAD } from '../protocol/pack'

/** What ws can send. */
export type Data = Parameters<WebSocket['send']>[0]

/** The options of `send`. */
export type SendOptions = Parameters<WebSocket['send']>[1]

/** Whether a frame ends its message. As in ws, an option that is there and undefined says no. */
export function isFinal (options: SendOptions): boolean {
  return !('fin' in options) || options.fin === true
}

/** Whether ws sends the data as it is. */
function isBytes (data: unknown): data is NodeJS.ArrayBufferView | ArrayBufferLike {
  return ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data)
}

/** Bytes of the message that ws makes of data. */
export function sizeOf (data: unknown): number {
  if (isBytes(data)) return data.byteLength
  if (Array.isArray(data)) return data.length
  // ws knows Blobs of all classes by their shape.
  if (typeof data === 'object' && data !== null && 'size' in data) return Number(data.size)
  // For ws, what is not there is an empty message.
  return data == null || data === false ? 0 : Buffer.byteLength(String(data))
}

/** Whether data is too long to be copied. */
export function isLong (data: unknown): boolean {
  return isBytes(data) && data.byteLength > MAX_PACKED_PAYLOAD
}

/**
 * What to give to ws: a copy of short bytes. They wait for the end of the tick or for a slow peer,
 * and the application may use its buffer again at once.
 */
export function keep<T> (data: T): T | Buffer {
  if (!isBytes(data) || isLong(data)) return data
  if (!ArrayBuffer.isView(data)) return Buffer.from(new Uint8Array(data))
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

/**
 * Whether ws may have to read the data first, as it does with a Blob. ws knows Blobs of all classes
 * by their shape, so any object that is not bytes counts.
 */
export function isReadLate (data: unknown): boolean {
  return typeof data === 'object' && data !== null && !isBytes(data)
}

/** The `send` that was looked at last. */
let knownSend: unknown = null

/** Whether that is not the one of ws. */
let isWrapped = false

/**
 * Whether the `send` of ws has been replaced, by a tracing agent for example. Then each message has
 * to go through the replacement, and none is packed. The agent may have come before this module, so
 * the method is recognized by its source: the one of ws calls the sender. A source that is not
 * recognized counts as replaced, which costs speed and nothing else.
 */
export function isSendWrapped (): boolean {
  const { send } = WebSocket.prototype
  if (send !== knownSend) {
    knownSend = send
    isWrapped = !Function.prototype.toString.call(send).includes('_sender.send(')
  }
  return isWrapped
}
