/**
 * Inflates short messages where they are read: to give them to a thread of zlib takes longer. Of
 * each chunk only so much is inflated here, because a chunk of short messages can inflate to a
 * thousand times its size. ws inflates the rest, between which other connections have their turn.
 */
import { KEY_SIZE, type FrameHeader } from '../protocol/frame-header'
import { inflateOnce, MAX_INFLATED_HERE } from '../protocol/inflate'
import { readKey, unmask } from '../protocol/mask'
import type { ReadingOptions } from './read-socket'

/** After so many bytes of a chunk that were inflated here, ws inflates the rest of the chunk. */
const MAX_INFLATED = 64 * 1024

/** Bytes that were inflated here of the chunk that is being read. */
let inflated = 0

/** A chunk is about to be read. */
export function startChunk (): void {
  inflated = 0
}

/** Whether the frame of `header` is a message that is inflated here. */
export function isInflatedHere (
  header: FrameHeader, { inflatesAlone, maxPayload }: ReadingOptions
): boolean {
  if (!inflatesAlone || !header.isCompressedMessage || !header.isMasked) return false
  const { length } = header
  return length <= MAX_INFLATED_HERE && (length <= maxPayload || maxPayload === 0) &&
    inflated < MAX_INFLATED
}

/**
 * Unmasks a message and returns its data, or null if it is not valid or too long to be inflated
 * here.
 */
export function inflate (
  header: FrameHeader, { maxPayload }: ReadingOptions,
  bytes: Buffer, words: Int32Array, payload: number
): Buffer | null {
  const end = payload + header.length
  unmask(bytes, words, payload, end, readKey(bytes, payload - KEY_SIZE))
  const isLimited = maxPayload > 0 && maxPayload < MAX_INFLATED
  const data = inflateOnce(bytes.subarray(payload, end), isLimited ? maxPayload : MAX_INFLATED)
  inflated += data === null ? MAX_INFLATED : data.length
  return data
}
