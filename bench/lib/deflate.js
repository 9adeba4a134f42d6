/**
 * Compressed messages (RFC 7692), each compressed on its own. With context takeover, that is allowed
 * as well.
 */

import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'

/** What a sender leaves out of each message, and a receiver adds (RFC 7692 section 7.2.1). */
const TAIL = Buffer.of(0, 0, 0xff, 0xff)

const OPTIONS = { finishFlush: constants.Z_SYNC_FLUSH }

/** The extension that a client asks for. With context takeover, messages may refer to earlier ones. */
export const DEFLATE = 'permessage-deflate; client_no_context_takeover; server_no_context_takeover'
export const DEFLATE_TAKEOVER = 'permessage-deflate'

/** The compressed payload of a message. */
export function deflate (payload) {
  return deflateRawSync(payload, OPTIONS).subarray(0, -TAIL.length)
}

/** The payload of a compressed message. */
export function inflate (compressed) {
  return inflateRawSync(Buffer.concat([compressed, TAIL]), OPTIONS)
}
