/**
 * The checks of the raw upgrade request: which protocol it asks for, whether the head may go to the
 * router, and whether it is a WebSocket handshake.
 */
import type { IncomingMessage } from 'node:http'
import {
  HeadersTooLargeError, InvalidHandshakeError, MethodNotAllowedError, UnsupportedVersionError
} from '../errors'

/** Base64 of 16 bytes (RFC 6455 section 4.1). */
const KEY = /^[+/0-9A-Za-z]{22}==$/

/** The versions of the protocol that ws speaks, as `Sec-WebSocket-Version` names them. */
const SUPPORTED_VERSIONS: readonly string[] = ['13', '8']

/** The name of a header, in lower case. */
const HOST = 'host'

/** Names of HTTP itself. No other `upgrade` listener switches to these protocols. */
const HTTP = /^(h2c|HTTP\/.*|TLS\/.*)$/i

/**
 * The number of headers that Node.js keeps of a request by default. It drops all further headers
 * without saying so.
 */
const DEFAULT_MAX_HEADERS = 1000

/** The protocols that a request asks to switch to, in lower case. */
function askedProtocols ({ headers: { upgrade = '' } }: IncomingMessage): string[] {
  return upgrade.split(',').map((protocol) => protocol.trim().toLowerCase())
}

/** The protocol that a request asks to switch to. `http` means only other forms of HTTP. */
export type AskedProtocol = 'websocket' | 'http' | 'other'

/** The protocol that a request of HTTP/1 asks for: WebSocket, if it is in the list. */
export function protocolOf (request: IncomingMessage): AskedProtocol {
  if (request.headers.upgrade?.toLowerCase() === 'websocket') return 'websocket'
  const protocols = askedProtocols(request)
  if (protocols.includes('websocket')) return 'websocket'
  return protocols.every((protocol) => HTTP.test(protocol)) ? 'http' : 'other'
}

/** The error of a head of HTTP/1 that must not reach the router, or null. */
export function findHeadProblem (
  { headers, httpVersion, method, rawHeaders }: IncomingMessage, maxHeadersCount: number | null
): Error | null {
  if (httpVersion !== '1.1') return new InvalidHandshakeError('HTTP/1.1 is required')
  // Node.js may have dropped a header that a hook checks. Without that header, the hook might let
  // the client in.
  if (mayMissHeaders(rawHeaders, maxHeadersCount)) return new HeadersTooLargeError()
  // Node.js checks this for plain requests only (RFC 9112 section 3.2).
  if (countHosts(rawHeaders) !== 1) return new InvalidHandshakeError('one Host header is required')
  // The bytes behind the head are read as frames. As a body they might hide another request.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return new InvalidHandshakeError('a body is not allowed')
  }
  if (method !== 'GET') return new MethodNotAllowedError()
  return null
}

/** Whether a request has so many headers that Node.js may have dropped some of them. */
export function mayMissHeaders (
  rawHeaders: readonly string[], maxHeadersCount: number | null
): boolean {
  // For `localhost`, Fastify opens further servers. These have the default limit.
  const limit = Math.min(maxHeadersCount || DEFAULT_MAX_HEADERS, DEFAULT_MAX_HEADERS)
  return rawHeaders.length >= 2 * limit
}

/** @param rawHeaders names and values in turn */
function countHosts (rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    // The length spares most names the second comparison.
    if (name?.length === HOST.length && name.toLowerCase() === HOST) count++
  }
  return count
}

/** @throws FST_WS_UNSUPPORTED_VERSION */
export function checkVersion ({ headers }: IncomingMessage): void {
  const version = headers['sec-websocket-version']
  if (version === undefined || !SUPPORTED_VERSIONS.includes(version)) {
    throw new UnsupportedVersionError()
  }
}

/** @throws FST_WS_INVALID_HANDSHAKE */
export function checkKey ({ headers }: IncomingMessage): void {
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    throw new InvalidHandshakeError('missing or malformed Sec-WebSocket-Key')
  }
}
