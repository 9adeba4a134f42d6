/**
 * A WebSocket on a stream of HTTP/2, with frames in bytes. It shares no code with the server,
 * neither ours nor that of ws, so a fault in what both sides have in common shows.
 */
import { once } from 'node:events'
import type { ClientHttp2Stream } from 'node:http2'

/** In the first byte of a frame. */
export const FIN = 0x80
export const COMPRESSED = 0x40
export const CONTINUATION = 0x00
export const TEXT = 0x01
export const BINARY = 0x02
export const CLOSE = 0x08
export const PING = 0x09
export const PONG = 0x0a

const MASKED = 0x80

/** What ends a compressed message, and is left out of it (RFC 7692 section 7.2.1). */
export const DEFLATE_TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff])

/** The payload of a close frame. */
export function closeWith (code: number, reason = ''): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)])
}

/** A client frame of any length. Its mask changes the payload. */
export function maskedFrame (first: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(14)
  head.writeUInt8(first, 0)
  head.writeUInt8(MASKED | 127, 1)
  head.writeBigUInt64BE(BigInt(payload.length), 2)
  head.set([1, 2, 3, 4], 10)
  return Buffer.concat([head, payload.map((byte, index) => byte ^ (index % 4 + 1))])
}

/** See the header of this file. */
export class StreamClient {
  readonly stream: ClientHttp2Stream
  #unread = Buffer.alloc(0)

  /** @param stream whose answer has come */
  constructor (stream: ClientHttp2Stream) {
    this.stream = stream
  }

  write (...frames: Buffer[]): void {
    this.stream.write(Buffer.concat(frames))
  }

  /** The next frame: its first byte and its payload, which a server does not mask. */
  async next (): Promise<readonly [first: number, payload: Buffer]> {
    const head = await this.#take(2)
    const short = head.readUInt8(1)
    if (short < 126) return [head.readUInt8(0), await this.#take(short)]
    const length = short === 126
      ? (await this.#take(2)).readUInt16BE()
      : Number((await this.#take(8)).readBigUInt64BE())
    return [head.readUInt8(0), await this.#take(length)]
  }

  async #take (bytes: number): Promise<Buffer> {
    while (this.#unread.length < bytes) {
      const [chunk] = await once(this.stream, 'data')
      this.#unread = Buffer.concat([this.#unread, chunk])
    }
    const taken = this.#unread.subarray(0, bytes)
    this.#unread = this.#unread.subarray(bytes)
    return taken
  }

  /** Waits for the end of the stream. The code that it was closed with. */
  async end (): Promise<number | undefined> {
    this.stream.resume()
    if (!this.stream.closed) await once(this.stream, 'close')
    return this.stream.rstCode
  }
}
