/**
 * Sends the messages that need not go through ws: whole ones of a common type. Short ones are
 * packed. Long ones are written, if they are not compressed.
 */
import { deflateOnce, isDeflated, type DeflateSettings } from '../protocol/deflate'
import { createHeader } from '../protocol/frame'
import {
  MAX_PACKED_PAYLOAD, packBinary, packCompressed, packText, type FrameSink
} from '../protocol/pack'
import { isCompressed, isFinal, type Data, type SendOptions } from './send-data'
import { isBudgetSpent, spendBudget } from './zlib-budget'

/** Says that a message has to go through ws. */
export const LEFT_TO_WS = -1

/**
 * Sends a message, and returns how many bytes it has, or {@link LEFT_TO_WS}. A short message may be
 * compressed here, while the budget of the tick lasts.
 *
 * @param deflate how messages are compressed, or null if they are not
 */
export function sendMessage (
  sink: FrameSink, data: Data, options: SendOptions, deflate: DeflateSettings | null
): number {
  if (!isFinal(options) || options.mask === true) return LEFT_TO_WS
  // For ws, `binary: undefined` means text, not "by the type of the data".
  if (options.binary === undefined && 'binary' in options) return LEFT_TO_WS
  const mayCompress = deflate !== null && isCompressed(options) ? deflate : null
  if (typeof data === 'string') {
    if (options.binary === true) return LEFT_TO_WS
    return sendUsual(sink, data, Buffer.byteLength(data), mayCompress)
  }
  if (!(data instanceof Uint8Array) || options.binary === false) return LEFT_TO_WS
  return sendUsual(sink, data, data.length, mayCompress)
}

function sendUsual (
  sink: FrameSink, data: string | Uint8Array, size: number, deflate: DeflateSettings | null
): number {
  if (deflate !== null && isDeflated(size, deflate)) return packDeflated(sink, data, size, deflate)
  if (size > MAX_PACKED_PAYLOAD) {
    sink.writeLong(createHeader(typeof data === 'string', size), data)
  } else if (typeof data === 'string') packText(sink, data, size)
  else packBinary(sink, data)
  return size
}

function packDeflated (
  sink: FrameSink, data: string | Uint8Array, size: number, deflate: DeflateSettings
): number {
  if (size > MAX_PACKED_PAYLOAD || isBudgetSpent()) return LEFT_TO_WS
  packCompressed(sink, deflateOnce(data, deflate), typeof data === 'string')
  spendBudget(size)
  return size
}
