/**
 * Two clients of raw bytes that send the same chunks of a WebSocket, over HTTP/1 and over HTTP/2.
 * The one over HTTP/2 decides about each DATA frame, which no library of HTTP/2 lets a program do.
 */
import { connect, type Socket } from 'node:net'
import { upgradeHead } from '../helpers/raw'
import {
  ACK, askFrame, END_STREAM, http2Frame, Http2Frames, OPENING, PADDED, resetFrame,
  type Http2Frame
} from '../helpers/raw-http2'
import { soonTrue } from './fuzz'

/** How a chunk is sent over HTTP/2; HTTP/1 has none of it. */
export interface Wrapping {
  /** Bytes behind the data in each frame, or null for frames without that field. */
  readonly padding: number | null
  /** Empty DATA frames in front of it. */
  readonly empties: number
}

/** A client that sends one WebSocket. */
export interface Carrier {
  /** Bytes in front of the first chunk that the transport of the server counts. */
  readonly headLength: number
  /** What the server has sent behind its acceptance. */
  readonly received: Buffer
  /** The server has ended its side. */
  readonly isEnded: boolean
  /** Sends the request. */
  open (): void
  /**
   * Resolves when the chunk is on its way, or the server has ended.
   *
   * @param isLast whether this side ends with the chunk, which may be empty
   */
  send (chunk: Buffer, wrapping: Wrapping, isLast: boolean): Promise<void>
  reset (code: number): void
  destroy (): void
}

const NONE = Buffer.alloc(0)
const HEAD = Buffer.from(upgradeHead('/'))
const HEAD_END = '\r\n\r\n'
const HOST = '127.0.0.1'

/** Over HTTP/1: the chunks are written as they are. */
export class Http1Carrier implements Carrier {
  readonly headLength = HEAD.length
  isEnded = false
  readonly #socket: Socket
  #all = NONE

  constructor (port: number) {
    this.#socket = connect({ port, host: HOST, noDelay: true, allowHalfOpen: true })
    this.#socket.on('data', (chunk) => { this.#all = Buffer.concat([this.#all, chunk]) })
    this.#socket.on('error', () => {})
    this.#socket.on('end', () => { this.isEnded = true })
    this.#socket.on('close', () => { this.isEnded = true })
  }

  get received (): Buffer {
    const end = this.#all.indexOf(HEAD_END)
    return end === -1 ? NONE : this.#all.subarray(end + HEAD_END.length)
  }

  open (): void {
    this.#socket.write(HEAD)
  }

  async send (chunk: Buffer, _wrapping: Wrapping, isLast: boolean): Promise<void> {
    if (isLast) this.#socket.end(chunk)
    else this.#socket.write(chunk)
  }

  reset (): void {
    this.#socket.resetAndDestroy()
  }

  destroy (): void {
    this.#socket.destroy()
  }
}

/** The stream of the WebSocket, and that of the session. */
const STREAM = 1
const SESSION = 0

/** Bytes that may be sent before the server allows more (RFC 9113 section 6.9.2). */
const WINDOW = 65_535

/** Bytes of data in a frame, with which any padding stays below the largest frame. */
const MAX_DATA = 16_000

/** The server may send any number of bytes. */
const UNLIMITED = Buffer.concat([
  http2Frame('SETTINGS', SESSION, Buffer.of(0, 4, 0x7f, 0xff, 0xff, 0xff)),
  http2Frame('WINDOW_UPDATE', SESSION, Buffer.of(0x7f, 0, 0, 0))
])

/** Over HTTP/2: each chunk is a DATA frame, or some if it is too long for one. */
export class Http2Carrier implements Carrier {
  readonly headLength = 0
  received = NONE
  isEnded = false
  readonly #socket: Socket
  readonly #frames = new Http2Frames()
  readonly #windows = new Map([[STREAM, WINDOW], [SESSION, WINDOW]])

  constructor (port: number) {
    this.#socket = connect({ port, host: HOST, noDelay: true })
    this.#socket.on('data', (chunk) => {
      for (const frame of this.#frames.push(chunk)) this.#receive(frame)
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => { this.isEnded = true })
  }

  open (): void {
    this.#socket.write(Buffer.concat([OPENING, UNLIMITED, askFrame(STREAM, '/')]))
  }

  async send (chunk: Buffer, { padding, empties }: Wrapping, isLast: boolean): Promise<void> {
    for (let i = 0; i < empties; i++) await this.#sendData(NONE, padding, 0)
    let rest = chunk
    for (; rest.length > MAX_DATA; rest = rest.subarray(MAX_DATA)) {
      await this.#sendData(rest.subarray(0, MAX_DATA), padding, 0)
    }
    await this.#sendData(rest, padding, isLast ? END_STREAM : 0)
  }

  reset (code: number): void {
    if (!this.isEnded) this.#socket.write(resetFrame(STREAM, code))
  }

  destroy (): void {
    this.#socket.destroy()
  }

  async #sendData (data: Buffer, padding: number | null, flags: number): Promise<void> {
    const payload = padding === null
      ? data
      : Buffer.concat([Buffer.of(padding), data, Buffer.alloc(padding)])
    const ids = [STREAM, SESSION]
    const window = (): number => Math.min(...ids.map((id) => Number(this.#windows.get(id))))
    await soonTrue(() => this.isEnded || window() >= payload.length, 'room in the window')
    if (this.isEnded) return
    for (const id of ids) this.#windows.set(id, Number(this.#windows.get(id)) - payload.length)
    this.#socket.write(http2Frame('DATA', STREAM, payload, flags | (padding === null ? 0 : PADDED)))
  }

  #receive ({ type, stream, flags, payload }: Http2Frame): void {
    const has = (flag: number): boolean => (flags & flag) !== 0
    if (type === 'GOAWAY') throw new Error('the server gives the session up', { cause: payload })
    if (type === 'SETTINGS' && !has(ACK)) this.#socket.write(http2Frame(type, SESSION, NONE, ACK))
    if (type === 'WINDOW_UPDATE') {
      this.#windows.set(stream, Number(this.#windows.get(stream)) + payload.readUInt32BE())
    }
    if (stream !== STREAM) return
    if (type === 'DATA') this.received = Buffer.concat([this.received, payload])
    if (type === 'RST_STREAM' || has(END_STREAM)) this.isEnded = true
  }
}
