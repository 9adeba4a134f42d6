/**
 * A message that is compressed on its own (RFC 7692 section 7.2.1): a short one for a single
 * connection, or any message once for all connections that can read it.
 */
import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib'

/** How messages are compressed, each on its own. */
export interface DeflateSettings {
  /** Bytes of the shortest message that is compressed. */
  readonly threshold: number
  /** Size of the LZ77 window, as a power of two. */
  readonly windowBits: number
  readonly options: Pick<ZlibOptions, 'level' | 'memLevel' | 'strategy'>
}

/** The four bytes that end each compressed message, and are not sent. */
const TAIL_SIZE = 4

/** Whether a message of so many bytes is compressed. An empty one never is. */
export function isDeflated (byteLength: number, { threshold }: DeflateSettings): boolean {
  return byteLength > 0 && byteLength >= threshold
}

/** Compresses a message that does not refer to any message before it. */
export function deflateOnce (
  payload: string | Uint8Array, { windowBits, options }: DeflateSettings
): Buffer {
  const deflated = deflateRawSync(payload, {
    ...options, windowBits, finishFlush: constants.Z_SYNC_FLUSH
  })
  return deflated.subarray(0, -TAIL_SIZE)
}
