import { connect, type Socket } from 'node:net'
import { turn } from '../helpers/streams'
import { ServerFrames, type Frame } from './frames'

const HEAD_END = '\r\n\r\n'
const NONE = Buffer.alloc(0)

/** A client of raw bytes, which decodes what the server answers. */
export class Peer {
  readonly closed: Promise<unknown>
  readonly #socket: Socket
  readonly #decoder = new ServerFrames()
  #head = ''
  #rest = NONE
  #failure: unknown = null
  #hasEnded = false
  /** Called when something has come. */
  #onChange = (): void => {}

  constructor (port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    this.#socket.on('data', (chunk) => {
      this.#receive(chunk)
      this.#onChange()
    })
    this.#socket.on('end', () => {
      this.#hasEnded = true
      this.#onChange()
    })
    // A server may cut off whoever talks nonsense; `close` follows.
    this.#socket.on('error', () => {})
    this.closed = new Promise((resolve) => { this.#socket.on('close', resolve) })
    this.#socket.on('close', () => { this.#onChange() })
  }

  /** The head of the HTTP response, when it is complete. */
  get head (): string {
    return this.#head
  }

  /** All that came and is no part of a WebSocket conversation. */
  get rest (): Buffer {
    return this.#rest
  }

  /** @throws what was wrong with an answer */
  get frames (): readonly Frame[] {
    if (this.#failure !== null) throw this.#failure
    return this.#decoder.frames
  }

  /** Bytes of a frame that is not complete. */
  get unfinished (): number {
    return this.#decoder.unfinished
  }

  /** The server has ended, or the connection is gone. */
  get hasEnded (): boolean {
    return this.#hasEnded || this.#socket.destroyed
  }

  /** Writes chunk by chunk, and lets the server read each of them before the next. */
  async write (chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      if (this.#socket.destroyed) return
      this.#socket.write(chunk)
      await turn()
    }
  }

  /** Resolves when the answers are as wanted, and when none will come any more. */
  async until (isEnough: (frames: readonly Frame[]) => boolean): Promise<void> {
    while (this.#failure === null && !this.hasEnded && !isEnough(this.frames)) {
      await new Promise<void>((resolve) => { this.#onChange = resolve })
    }
  }

  /** Ends this side, and resolves when the server has ended its own. */
  async end (): Promise<void> {
    this.#socket.end()
    await this.closed
  }

  reset (): void {
    this.#socket.resetAndDestroy()
  }

  destroy (): void {
    this.#socket.destroy()
  }

  #receive (chunk: Buffer): void {
    if (this.#failure !== null) return
    this.#rest = Buffer.concat([this.#rest, chunk])
    if (this.#head === '') this.#receiveHead()
    if (!this.#head.startsWith('HTTP/1.1 101 ')) return
    try {
      this.#decoder.push(this.#rest)
      this.#rest = NONE
    } catch (error) {
      this.#failure = error
    }
  }

  #receiveHead (): void {
    const end = this.#rest.indexOf(HEAD_END)
    if (end === -1) return
    this.#head = this.#rest.toString('latin1', 0, end)
    this.#rest = this.#rest.subarray(end + HEAD_END.length)
  }
}
