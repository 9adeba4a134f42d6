// What clients of the siege send: requests, and frames of which many are wrong.
import { deflateRawSync } from 'node:zlib'
import { frame, upgradeHead } from '../helpers/raw'

const TEXT = 0x81
const PART = 0x01
const REST = 0x80
const PING = 0x89
const CLOSE = 0x88
const COMPRESSED = 0x41 | REST

const text = frame(TEXT, 'hello')
const ping = frame(PING, '?')
const close = frame(CLOSE, Buffer.of(0x03, 0xe8))

/** Bytes behind a handshake, by the names that plans have for them. */
export const FRAMES = {
  text,
  'text text text': Buffer.concat([text, text, text]),
  'part ping rest': Buffer.concat([frame(PART, 'hel'), ping, frame(REST, 'lo')]),
  ping,
  pings: Buffer.concat(Array.from({ length: 300 }, () => ping)),
  close,
  'text close text': Buffer.concat([text, close, text]),
  'bad opcode': frame(0x83, 'x'),
  unmasked: Buffer.of(TEXT, 1, 0x61),
  'bad utf8': frame(TEXT, Buffer.of(0xff)),
  'promised size': Buffer.of(TEXT, 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0),
  part: frame(PART, 'to be continued'),
  'half a frame': text.subarray(0, 8),
  big: longFrame(1_500_000),
  many: Buffer.concat(Array.from({ length: 3000 }, () => text)),
  compressed: frame(COMPRESSED, deflateRawSync('hello')),
  http: Buffer.from('GET /sync HTTP/1.1\r\nHost: localhost\r\n\r\n')
} as const

/** A binary message, masked with zeros, which leave it as it is. */
function longFrame (length: number): Buffer {
  const header = Buffer.alloc(14)
  header.writeUInt16BE(0x82ff)
  header.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([header, Buffer.alloc(length, 'l')])
}

const UPLOAD = 'x'.repeat(1000)

/** Complete plain requests, by the names that plans have for them. */
const PLAIN: Record<string, string> = {
  '/upload': post('', UPLOAD.length) + UPLOAD
}

function get (path: string, lines = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`
}

function post (lines: string, length: number): string {
  return 'POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/chaos\r\n' +
    `Content-Length: ${length}\r\n${lines}\r\n`
}

/** Pipelined plain requests, from their paths. */
export function plainRequests (paths: string): string {
  return paths.split(' ').map((path) => PLAIN[path] ?? get(path)).join('')
}

const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'

/** What a client may send instead of a WebSocket handshake; none of it is one. */
export const INSTEAD = {
  h2c: (path: string) => get(path, H2C),
  'h2c with a body': () => post(H2C, UPLOAD.length) + UPLOAD,
  'h2c with half a body': () => post(H2C, 2 * UPLOAD.length) + UPLOAD,
  upload: () => post('', 1_000_000) + UPLOAD,
  get: (path: string) => get(path),
  garbage: () => 'GARBAGE\r\n\r\n\0\xff',
  'half a head': (path: string) => upgradeHead(path).slice(0, -10)
} as const
