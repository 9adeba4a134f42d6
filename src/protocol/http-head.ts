/**
 * The head of an HTTP/1 message as text. ws writes and reads only such heads, so over HTTP/2 they
 * are translated: see `handshake/http2-duplex.ts`.
 */

/** A head: the words of its first line, and its header lines in their order. */
export interface HttpHead {
  readonly start: readonly string[]
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

const HEAD_END = '\r\n\r\n'

/** The head at the beginning of `bytes` and the bytes behind it, or null if it is not complete. */
export function splitHead (bytes: Buffer): { head: HttpHead, rest: Buffer } | null {
  const end = bytes.indexOf(HEAD_END)
  if (end === -1) return null
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  return {
    head: { start: first.split(' '), headers: lines.map(parseLine) },
    rest: bytes.subarray(end + HEAD_END.length)
  }
}

/** A header line, as its name in lower case and its value. */
function parseLine (line: string): [name: string, value: string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}

/** The bytes of a head with this first line. A header may have a list of values. */
export function formatHead (
  start: string, headers: Readonly<NodeJS.Dict<string | string[]>>
): Buffer {
  const lines = Object.entries(headers).flatMap(([name, value]) => {
    return [value].flat().map((each) => `${name}: ${each}\r\n`)
  })
  return Buffer.from(`${start}\r\n${lines.join('')}\r\n`, 'latin1')
}

/** Headers of a connection of HTTP/1, which HTTP/2 forbids (RFC 9113 section 8.2.2). */
const CONNECTION_HEADERS = new Set([
  'connection', 'upgrade', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'http2-settings'
])

/** Whether HTTP/2 forbids a header. */
export function isConnectionHeader (name: string): boolean {
  return CONNECTION_HEADERS.has(name.toLowerCase())
}
