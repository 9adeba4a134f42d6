/** A message that was compressed on its own, inflated at once (RFC 7692 section 7.2.2). */
import { constants, inflateRawSync } from 'node:zlib'

/** What every compressed message ends with, and what its sender leaves out. */
const TAIL = Buffer.of(0x00, 0x00, 0xff, 0xff)

/** Longest compressed message, in bytes, that costs less inflated here than in a thread of zlib. */
export const MAX_COMPRESSED = 4 * 1024

/** The smallest piece of memory that zlib takes, in bytes. */
const MIN_CHUNK = 64

/** The message that is being inflated, and the tail. */
const memory = Buffer.allocUnsafeSlow(MAX_COMPRESSED + TAIL.length)

/**
 * Inflates a message of at most {@link MAX_COMPRESSED} bytes that does not refer to any message
 * before it. Null if it is not valid, or gives more than `maxLength` bytes.
 */
export function inflateOnce (compressed: Uint8Array, maxLength: number): Buffer | null {
  memory.set(compressed)
  memory.set(TAIL, compressed.length)
  try {
    return inflateRawSync(memory.subarray(0, compressed.length + TAIL.length), {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: maxLength,
      // The result keeps the last piece alive: by default, 16 KiB even for a single byte.
      chunkSize: Math.max(2 * compressed.length, MIN_CHUNK)
    })
  } catch {
    return null
  }
}
