/**
 * Sends the messages that need not go through ws: whole ones of a common type. Short ones are
 * packed. Long ones are written, if they are not compressed.
 */
import { deflateOnce, isDeflated, type DeflateSettings } from '../protocol/deflate'
import { createHeader } from '../protocol/frame'
import {
  MAX_PACKED_PAYLOAD, packBinary, packCompressed, packText, type FrameSink
} from '../protocol/pack'
import {
  isCompressed, isFinal, isSendWrapped, isSentAsText, type Data, type SendOptions
} from './send-data'
import { isBudgetSpent, spendBudget } from './zlib-budget'

/** A connection that messages are sent on. */
export interface MessageSink extends FrameSink {
  /** Gets a message that is too long to be packed: its header, and its payload as it is. */
  writeLong (header: Buffer, payload: string | Uint8Array): void
}

/** Says that a message has to go through ws. */
export const LEFT_TO_WS = -1

/**
 * Sends a message, and returns how many bytes it has, or {@link LEFT_TO_WS}. A short message may be
 * compressed here, while the budget of the tick lasts.
 *
 * @param deflate how messages are compressed, or null if they are not
 */
export function sendMessage (
  sink: MessageSink, data: Data, options: SendOptions, deflate: DeflateSettings | null
): number {
  if (!isFinal(options) || Boolean(options.mask)) return LEFT_TO_WS
  const isText = typeof data === 'string'
  if (isSentAsText(data, options) !== isText) return LEFT_TO_WS
  const mayCompress = deflate !== null && isCompressed(options) ? deflate : null
  if (isText) return sendWhole(sink, data, Buffer.byteLength(data), mayCompress)
  if (!(data instanceof Uint8Array)) return LEFT_TO_WS
  const bytes = data instanceof Buffer ? data : asBuffer(data)
  return sendWhole(sink, bytes, bytes.length, mayCompress)
}

function sendWhole (
  sink: MessageSink, data: string | Uint8Array, size: number, deflate: DeflateSettings | null
): number {
  if (deflate !== null && isDeflated(size, deflate)) return packDeflated(sink, data, size, deflate)
  if (size > MAX_PACKED_PAYLOAD) return writeLong(sink, data, size)
  if (typeof data === 'string') packText(sink, data, size)
  else packBinary(sink, data)
  return size
}

/** A subclass may have a `length` that is not that of its bytes. */
function asBuffer ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function writeLong (sink: MessageSink, data: string | Uint8Array, size: number): number {
  // Read again: an agent may have come in the middle of the tick.
  if (isSendWrapped()) return LEFT_TO_WS
  sink.writeLong(createHeader(typeof data === 'string', size), data)
  return size
}

function packDeflated (
  sink: MessageSink, data: string | Uint8Array, size: number, deflate: DeflateSettings
): number {
  if (size > MAX_PACKED_PAYLOAD || isBudgetSpent()) return LEFT_TO_WS
  packCompressed(sink, deflateOnce(data, deflate), typeof data === 'string')
  spendBudget(size)
  return size
}
