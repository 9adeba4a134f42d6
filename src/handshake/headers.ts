import type { OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'

/** What the handshake itself says, and what a response without a body cannot say. */
const RESERVED = new Set([
  'connection', 'upgrade', 'keep-alive',
  'transfer-encoding', 'trailer', 'content-length', 'content-type',
  'sec-websocket-accept', 'sec-websocket-protocol', 'sec-websocket-extensions'
])

const NO_OPTIONS: string[] = []

/** Lines of the headers of a response, with names in lower case, that go out with its 101. */
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

/** The headers that are for this connection alone, because `Connection` names them (RFC 9110). */
function connectionOptions (value: OutgoingHttpHeader): string[] {
  return String(value).toLowerCase().split(',').map((option) => option.trim())
}
