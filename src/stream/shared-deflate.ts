/**
 * Whether a connection can read messages that are compressed once for many. Two parameters of its
 * permessage-deflate decide (RFC 7692 section 7.1). ws does not show them on the socket, so they
 * are read in the 101: ws emits `headers` just before it hands the socket over, in the same call.
 */
import type { ServerOptions } from 'ws'
import type { SharedDeflate } from '../protocol/deflate'

/** The threshold of ws, in bytes. */
const DEFAULT_THRESHOLD = 1024

/** The size of the window if the parameter is missing, as a power of two. */
const MAX_WINDOW_BITS = 15

/** The smallest window of zlib: for 8 it takes 9, which a peer that asked for 8 cannot read. */
const MIN_WINDOW_BITS = 9

/** Each message is compressed on its own. */
const NO_TAKEOVER = /;\s*server_no_context_takeover\s*(;|,|$)/

const WINDOW_BITS = /;\s*server_max_window_bits=(\d+)/

/** The extensions of the 101 that was emitted last, until they are taken. */
let extensions = ''

/** A listener of `headers`. */
export function noteExtensions (lines: readonly string[]): void {
  const prefix = 'sec-websocket-extensions:'
  extensions = lines.find((line) => line.toLowerCase().startsWith(prefix)) ?? ''
}

/** Whether the connection that was accepted last can read messages that are compressed for all. */
export function takeCanShare ({ windowBits }: SharedDeflate): boolean {
  const agreed = extensions
  extensions = ''
  const [, bits = MAX_WINDOW_BITS] = WINDOW_BITS.exec(agreed) ?? []
  return NO_TAKEOVER.test(agreed) && Number(bits) >= windowBits
}

/** How a server with an option `perMessageDeflate` compresses for many connections, or null. */
export function sharedDeflateOf (option: ServerOptions['perMessageDeflate']): SharedDeflate | null {
  if (option === undefined || option === null || option === false) return null
  const { threshold, serverMaxWindowBits, zlibDeflateOptions } = option === true ? {} : option
  const { level, memLevel, strategy } = zlibDeflateOptions ?? {}
  return {
    threshold: threshold ?? DEFAULT_THRESHOLD,
    windowBits: Math.max(serverMaxWindowBits ?? MAX_WINDOW_BITS, MIN_WINDOW_BITS),
    options: {
      ...(level !== undefined && { level }),
      ...(memLevel !== undefined && { memLevel }),
      ...(strategy !== undefined && { strategy })
    }
  }
}
