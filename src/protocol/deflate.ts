/** A message, compressed once for all connections that can read it (RFC 7692 section 7.2.1). */
import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib'

/** How messages for many connections are compressed. */
export interface SharedDeflate {
  /** Bytes of the shortest message that is compressed. */
  readonly threshold: number
  /** Size of the LZ77 window, as a power of two. */
  readonly windowBits: number
  readonly options: Pick<ZlibOptions, 'level' | 'memLevel' | 'strategy'>
}

/** The four bytes that end each compressed message, and are not sent. */
const TAIL_SIZE = 4

/** Compresses a message that does not refer to any message before it. */
export function deflateOnce (payload: Uint8Array, { windowBits, options }: SharedDeflate): Buffer {
  const deflated = deflateRawSync(payload, {
    ...options, windowBits, finishFlush: constants.Z_SYNC_FLUSH
  })
  return deflated.subarray(0, -TAIL_SIZE)
}
