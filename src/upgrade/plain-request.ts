import type { IncomingMessage, Server } from 'node:http'
import { HeadersTooLargeError, InvalidHandshakeError } from '../errors'
import { mayMissHeaders } from '../handshake/request-checks'

const UPGRADE_HEADERS = new Set(['upgrade', 'http2-settings'])

/** A line break in what should be one line, which a lenient parser may let through. */
const LINE_BREAK = /[\r\n]/

/** Settings of an HTTP server. For `maxHeadersCount`, null and 0 are the default. */
type ServerLimits = Pick<Server, 'maxHeadersCount' | 'maxRequestsPerSocket'>

/**
 * The head of a request without what asks for an upgrade, byte for byte otherwise. Where the server
 * limits the requests of a socket, it is the last one, because Node.js begins to count again.
 *
 * @throws FST_WS_HEADERS_TOO_LARGE if header lines may be missing, FST_WS_INVALID_HANDSHAKE
 */
export function createPlainHead (
  { method, url, httpVersion, rawHeaders }: IncomingMessage,
  { maxHeadersCount, maxRequestsPerSocket }: ServerLimits
): Buffer {
  // Among the missing could be those that say where the body ends, and a head without them would
  // make requests of the body.
  if (mayMissHeaders(rawHeaders, maxHeadersCount)) throw new HeadersTooLargeError()

  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (const [i, name] of rawHeaders.entries()) {
    if (i % 2 === 1) continue
    const isLast = Boolean(maxRequestsPerSocket)
    const value = plainValue(name.toLowerCase(), String(rawHeaders[i + 1]), isLast)
    // Without a space, so that the head is not longer than it came: there is a limit to that, too.
    if (value !== null) lines.push(`${name}:${value}`)
  }
  if (lines.some((line) => LINE_BREAK.test(line))) {
    throw new InvalidHandshakeError('a header with a line break')
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** The value of a header without what asks for the upgrade, or null if nothing else is in it. */
function plainValue (name: string, value: string, isLast: boolean): string | null {
  if (UPGRADE_HEADERS.has(name)) return null
  if (name !== 'connection') return value
  // `close` is not longer than the `upgrade` that the client sent here, so the head does not grow.
  if (isLast) return 'close'
  const options = value.split(',').filter((option) => {
    return !UPGRADE_HEADERS.has(option.trim().toLowerCase())
  })
  return options.length === 0 ? null : options.join(',')
}
