/** Packs the messages that need not go through ws: whole, short and of a common type. */
import { deflateOnce, isDeflated, type DeflateSettings } from '../protocol/deflate'
import {
  MAX_PACKED_PAYLOAD, packBinary, packCompressed, packText, type FrameSink
} from '../protocol/pack'
import { isCompressed, isFinal, type Data, type SendOptions } from './send-data'
import { isBudgetSpent, spendBudget } from './zlib-budget'

/** Says that a message has to go through ws. */
export const NOT_PACKED = -1

/**
 * Packs a message, and returns how many bytes it has, or {@link NOT_PACKED}. A message that is
 * compressed is compressed here, while the budget of the tick lasts.
 *
 * @param deflate how messages are compressed, or null if they are not
 */
export function packMessage (
  sink: FrameSink, data: Data, options: SendOptions, deflate: DeflateSettings | null
): number {
  if (!isFinal(options) || options.mask === true) return NOT_PACKED
  // For ws, `binary: undefined` means text, not "by the type of the data".
  if (options.binary === undefined && 'binary' in options) return NOT_PACKED
  const mayCompress = deflate !== null && isCompressed(options) ? deflate : null
  if (typeof data === 'string') {
    return options.binary === true ? NOT_PACKED : packString(sink, data, mayCompress)
  }
  if (!(data instanceof Uint8Array) || options.binary === false) return NOT_PACKED
  const size = data.length
  if (size > MAX_PACKED_PAYLOAD) return NOT_PACKED
  if (mayCompress !== null && isDeflated(size, mayCompress)) {
    return packDeflated(sink, data, size, mayCompress)
  }
  packBinary(sink, data)
  return size
}

function packString (sink: FrameSink, text: string, deflate: DeflateSettings | null): number {
  // A character has at least one byte.
  if (text.length > MAX_PACKED_PAYLOAD) return NOT_PACKED
  const size = Buffer.byteLength(text)
  if (size > MAX_PACKED_PAYLOAD) return NOT_PACKED
  if (deflate !== null && isDeflated(size, deflate)) return packDeflated(sink, text, size, deflate)
  packText(sink, text, size)
  return size
}

function packDeflated (
  sink: FrameSink, data: string | Uint8Array, size: number, deflate: DeflateSettings
): number {
  if (isBudgetSpent()) return NOT_PACKED
  packCompressed(sink, deflateOnce(data, deflate), typeof data === 'string')
  spendBudget(size)
  return size
}
