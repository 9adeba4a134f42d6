/**
 * Inflates a short message where it is read, if the peer compresses each message on its own. ws
 * inflates all other messages in a thread, and also these when the budget of the tick is spent.
 */
import type { Chunk } from '../protocol/chunk'
import { isCompressedMessage, KEY_SIZE, type FrameHeader } from '../protocol/frame-header'
import { inflateOnce, MAX_COMPRESSED } from '../protocol/inflate'
import { readKey, unmask } from '../protocol/mask'
import type { ReadingOptions } from './read-socket'
import { isBudgetSpent, spendBudget } from './zlib-budget'

/** Bytes of the longest message, when it is inflated, that is inflated here. */
const MAX_INFLATED = 64 * 1024

/** Whether the frame of `header` is a message that is inflated here. */
export function isInflatedHere (
  { first, isMasked, length }: FrameHeader, { inflatesHere, maxPayload }: ReadingOptions
): boolean {
  if (!inflatesHere || !isCompressedMessage(first) || !isMasked || isBudgetSpent()) return false
  return length <= MAX_COMPRESSED && (length <= maxPayload || maxPayload === 0)
}

/**
 * Unmasks a message and returns its data, or null if it is not valid or too long to be inflated
 * here.
 */
export function inflate (
  header: FrameHeader, { maxPayload }: ReadingOptions, chunk: Chunk, payload: number
): Buffer | null {
  const end = payload + header.length
  unmask(chunk, payload, end, readKey(chunk.bytes, payload - KEY_SIZE))
  const isLimited = maxPayload > 0 && maxPayload < MAX_INFLATED
  const data = inflateOnce(chunk.view(payload, end), isLimited ? maxPayload : MAX_INFLATED)
  spendBudget(data === null ? MAX_INFLATED : data.length)
  return data
}
