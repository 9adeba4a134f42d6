/**
 * What a server and a client have agreed on about permessage-deflate: which side compresses each
 * message on its own, so that it can be compressed or inflated without ws. The parameters decide
 * (RFC 7692 section 7.1). ws does not show them on the socket, so they are read in the 101: ws
 * emits `headers` just before it hands the socket over, in the same call.
 */
import type { ServerOptions } from 'ws'
import type { DeflateSettings } from '../protocol/deflate'

/** The threshold of ws, in bytes. */
const DEFAULT_THRESHOLD = 1024

/** The size of the window if the parameter is missing, as a power of two. */
const MAX_WINDOW_BITS = 15

/** The smallest window of zlib: for 8 it takes 9, which a peer that asked for 8 cannot read. */
const MIN_WINDOW_BITS = 9

/** The server compresses each message on its own. */
const SERVER_ALONE = /;\s*server_no_context_takeover\s*(;|,|$)/

/** The client does. */
const CLIENT_ALONE = /;\s*client_no_context_takeover\s*(;|,|$)/

const SERVER_BITS = /;\s*server_max_window_bits=(\d+)/
const CLIENT_BITS = /;\s*client_max_window_bits=/

/** How a server compresses messages, and inflates them. */
export interface ServerDeflate {
  readonly settings: DeflateSettings
  /** False for a side with a dictionary: its messages are left to ws. */
  readonly mayDeflate: boolean
  readonly mayInflate: boolean
}

/** What the connection that was accepted last has agreed on. */
export interface AgreedDeflate {
  /** The client can read messages that are each compressed on its own, as the server does it. */
  readonly deflatesAlone: boolean
  /** Each message of the client can be inflated on its own. */
  readonly inflatesAlone: boolean
}

const NOTHING: AgreedDeflate = { deflatesAlone: false, inflatesAlone: false }

/** The extensions of the 101 that was emitted last, until they are taken. */
let extensions = ''

/** A listener of `headers`. */
export function noteExtensions (lines: readonly string[]): void {
  const prefix = 'sec-websocket-extensions:'
  extensions = lines.find((line) => line.toLowerCase().startsWith(prefix)) ?? ''
}

/** What the connection that was accepted last has agreed on; `server` is null without an option. */
export function takeAgreed (server: ServerDeflate | null): AgreedDeflate {
  const agreed = extensions
  if (server === null || agreed === '') return NOTHING
  extensions = ''
  const [, bits = MAX_WINDOW_BITS] = SERVER_BITS.exec(agreed) ?? []
  return {
    deflatesAlone: server.mayDeflate && SERVER_ALONE.test(agreed) &&
      Number(bits) >= server.settings.windowBits,
    // A smaller window is left to ws, which refuses messages that need a larger one.
    inflatesAlone: server.mayInflate && CLIENT_ALONE.test(agreed) && !CLIENT_BITS.test(agreed)
  }
}

/** What the option `perMessageDeflate` of a server means; null if it does not compress. */
export function serverDeflateOf (option: ServerOptions['perMessageDeflate']): ServerDeflate | null {
  if (option === undefined || option === null || option === false) return null
  const given = option === true ? {} : option
  const { threshold, serverMaxWindowBits, zlibDeflateOptions, zlibInflateOptions } = given
  const { level, memLevel, strategy } = zlibDeflateOptions ?? {}
  // As in ws, only a number is a size.
  const bits = typeof serverMaxWindowBits === 'number' ? serverMaxWindowBits : MAX_WINDOW_BITS
  return {
    settings: {
      threshold: threshold === undefined ? DEFAULT_THRESHOLD : Number(threshold),
      windowBits: Math.max(bits, MIN_WINDOW_BITS),
      options: {
        ...(level !== undefined && { level }),
        ...(memLevel !== undefined && { memLevel }),
        ...(strategy !== undefined && { strategy })
      }
    },
    mayDeflate: zlibDeflateOptions?.dictionary === undefined,
    mayInflate: zlibInflateOptions?.dictionary === undefined
  }
}
