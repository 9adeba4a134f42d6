/**
 * Rebuilds the head of a request that asks for another protocol, without the lines that ask.
 * `application-upgrades.ts` puts it back into the socket, and Node.js reads a plain request.
 */
import type { IncomingMessage, Server } from 'node:http'
import { HeadersTooLargeError, InvalidHandshakeError } from '../errors'
import { mayMissHeaders } from '../handshake/request-checks'

const UPGRADE_HEADERS = new Set(['upgrade', 'http2-settings'])

/** A line break inside a header line. The parser of Node.js lets one through in a lenient mode. */
const LINE_BREAK = /[\r\n]/

/** Settings of an HTTP server. For `maxHeadersCount`, null and 0 stand for the default. */
type ServerLimits = Pick<Server, 'maxHeadersCount' | 'maxRequestsPerSocket'>

/**
 * The head of a request without the headers that ask for an upgrade. All other bytes stay as they
 * are. If the server limits the requests of a socket, the head says `Connection: close`, because
 * Node.js counts from the start again when it gets the socket back.
 *
 * @throws FST_WS_HEADERS_TOO_LARGE if header lines may be missing, FST_WS_INVALID_HANDSHAKE
 */
export function createPlainHead (
  { method, url, httpVersion, rawHeaders }: IncomingMessage,
  { maxHeadersCount, maxRequestsPerSocket }: ServerLimits
): Buffer {
  // A missing header could be the one that says where the body ends. Without it, the body would
  // be read as more requests (request smuggling).
  if (mayMissHeaders(rawHeaders, maxHeadersCount)) throw new HeadersTooLargeError()

  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (const [i, name] of rawHeaders.entries()) {
    if (i % 2 === 1) continue
    const isLast = Boolean(maxRequestsPerSocket)
    const value = plainValue(name.toLowerCase(), String(rawHeaders[i + 1]), isLast)
    // No space after the colon: the head must not grow, because its length has a limit too.
    if (value !== null) lines.push(`${name}:${value}`)
  }
  if (lines.some((line) => LINE_BREAK.test(line))) {
    throw new InvalidHandshakeError('a header with a line break')
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** The value of a header without the parts that ask for an upgrade, or null if none are left. */
function plainValue (name: string, value: string, isLast: boolean): string | null {
  if (UPGRADE_HEADERS.has(name)) return null
  if (name !== 'connection') return value
  // `close` is shorter than the `upgrade` that it replaces, so the head does not grow.
  if (isLast) return 'close'
  const options = value.split(',').filter((option) => {
    return !UPGRADE_HEADERS.has(option.trim().toLowerCase())
  })
  return options.length === 0 ? null : options.join(',')
}
