/** HTTP/2 in bytes (RFC 9113), for clients that do what no library of HTTP/2 would do. */

const TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, GOAWAY: 7, WINDOW_UPDATE: 8 }

// The names of an object are known to be these.
const NAMES = Object.keys(TYPES) as Array<keyof typeof TYPES>

export const END_STREAM = 0x01
export const END_HEADERS = 0x04
export const PADDED = 0x08
/** Of SETTINGS. */
export const ACK = 0x01

/** What a client begins with: the preface, and settings that change nothing. */
export const OPENING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), http2Frame('SETTINGS', 0)
])

export function http2Frame (
  type: keyof typeof TYPES, stream: number, payload: Buffer = Buffer.alloc(0), flags = 0
): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(TYPES[type], 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A HEADERS frame that asks for a WebSocket. Headers of the same names replace the usual ones. */
export function askFrame (
  stream: number, path: string, headers: Record<string, string> = {}, flags = END_HEADERS
): Buffer {
  const all = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'sec-websocket-version': '13',
    ...headers
  }
  const lines = Object.entries(all).map(([name, value]) => headerLine(name, value))
  return http2Frame('HEADERS', stream, Buffer.concat(lines), flags)
}

export function resetFrame (stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(code)
  return http2Frame('RST_STREAM', stream, payload)
}

/** A header that is put into no table, without a code of Huffman (RFC 7541 section 6.2.2). */
function headerLine (name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)])
}

function text (value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  // A length of 7 bits, which goes on in groups of 7 bits (RFC 7541 section 5.1).
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

/** A frame that a server has sent. */
export interface Http2Frame {
  /** Undefined for a type that no test needs. */
  readonly type: keyof typeof TYPES | undefined
  readonly stream: number
  readonly flags: number
  readonly payload: Buffer
}

const HEAD_LENGTH = 9

/** Finds the frames in what a server sends. */
export class Http2Frames {
  #rest: Buffer = Buffer.alloc(0)

  /** The frames that are complete with this chunk. */
  push (chunk: Buffer): Http2Frame[] {
    const frames: Http2Frame[] = []
    let rest = Buffer.concat([this.#rest, chunk])
    while (rest.length >= HEAD_LENGTH) {
      const end = HEAD_LENGTH + rest.readUIntBE(0, 3)
      if (rest.length < end) break
      frames.push(readFrame(rest.subarray(0, end)))
      rest = rest.subarray(end)
    }
    this.#rest = rest
    return frames
  }
}

function readFrame (bytes: Buffer): Http2Frame {
  const code = bytes.readUInt8(3)
  return {
    type: NAMES.find((name) => TYPES[name] === code),
    flags: bytes.readUInt8(4),
    stream: bytes.readUInt32BE(5),
    payload: bytes.subarray(HEAD_LENGTH)
  }
}

/** All complete frames that a server has sent. */
export function http2FramesOf (bytes: Buffer): Http2Frame[] {
  return new Http2Frames().push(bytes)
}

/** Codes of errors (RFC 9113 section 7), by which a server ends a stream or the session. */
const ERRORS = {
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  CANCEL: 8,
  ENHANCE_YOUR_CALM: 11
}

export type ErrorName = keyof typeof ERRORS

/**
 * The first error that a server has told, of a stream or of the session, or null. Versions of
 * Node.js end the one or the other for the same fault.
 */
export function errorIn (frames: ReturnType<typeof http2FramesOf>): string | null {
  for (const { type, payload } of frames) {
    if (type !== 'RST_STREAM' && type !== 'GOAWAY') continue
    // The code of a GOAWAY is behind the number of a stream.
    const code = payload.readUInt32BE(type === 'GOAWAY' ? 4 : 0)
    if (code === 0) continue
    return Object.entries(ERRORS).find(([, value]) => value === code)?.[0] ?? String(code)
  }
  return null
}
