/**
 * The headers of the answer to an upgrade: those that `writeHead` is given, and those of a response
 * that go out with its 101.
 */
import {
  validateHeaderName, validateHeaderValue, type OutgoingHttpHeader, type OutgoingHttpHeaders,
  type ServerResponse
} from 'node:http'
import { RETRY_AFTER } from '../protocol/retry-after'

const SERVICE_UNAVAILABLE = 503

/** Sets the arguments of `writeHead` after the status: a reason or none, and headers or none. */
export function setHead (response: ServerResponse, rest: readonly unknown[]): void {
  setHeaders(response, rest.at(-1))
  const [reason] = rest
  if (typeof reason === 'string') response.statusMessage = reason
}

/**
 * Sets the headers that `writeHead` was given: an object, or a list of names and values in turn.
 * Like Node.js, it sets all of them or none.
 *
 * @throws ERR_INVALID_CHAR, ERR_INVALID_HTTP_TOKEN, ERR_HTTP_INVALID_HEADER_VALUE
 */
export function setHeaders (response: ServerResponse, headers: unknown): void {
  if (typeof headers !== 'object' || headers === null) return
  const entries = headerEntries(headers)
  for (const [name, value] of entries) {
    validateHeaderName(name)
    validateHeaderValue(name, String(value))
  }
  for (const [name, value] of entries) response.setHeader(name, value)
}

function headerEntries (headers: object): Array<[name: string, value: OutgoingHttpHeader]> {
  if (!Array.isArray(headers)) return Object.entries(headers)
  const grouped: Record<string, string[]> = {}
  for (let i = 0; i < headers.length; i += 2) {
    const values = grouped[headers[i]] ??= []
    values.push(headers[i + 1])
  }
  return Object.entries(grouped)
}

/** Sets the headers of every refusal. */
export function setRefusalHeaders (response: ServerResponse, statusCode: number): void {
  response.setHeader('connection', 'close')
  // Fastify answers with 503 while it closes, and does not say when the client may come again.
  if (statusCode === SERVICE_UNAVAILABLE && !response.hasHeader('retry-after')) {
    response.setHeader('retry-after', RETRY_AFTER)
  }
}

/** The headers that ws writes itself, and those that only a response with a body can have. */
const RESERVED = new Set([
  'connection', 'upgrade', 'keep-alive',
  'transfer-encoding', 'trailer', 'content-length', 'content-type',
  'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions'
])

const NO_OPTIONS: string[] = []

/** The header lines of a response, with names in lower case, that go out with its 101. */
export function handshakeLines (headers: OutgoingHttpHeaders): string[] {
  const { connection } = headers
  const options = connection === undefined ? NO_OPTIONS : connectionOptions(connection)
  const lines: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || RESERVED.has(name) || options.includes(name)) continue
    for (const each of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${each}`)
  }
  return lines
}

/** The names in `Connection`: headers for this connection only (RFC 9110 section 7.6.1). */
function connectionOptions (value: OutgoingHttpHeader): string[] {
  return String(value).toLowerCase().split(',').map((option) => option.trim())
}
