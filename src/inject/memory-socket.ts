/**
 * A connection inside the process: two sockets, each of which reads what the other one writes.
 * `inject.ts` gives one to ws's client and the other to the HTTP server.
 */
import { Duplex } from 'node:stream'
import { hold, release } from './keep-alive'
import { onNextTurn } from '../stream/next-turn'

type Callback = (error?: Error | null) => void

/** Bytes that may wait for the reader before writes wait, about as many as in a system's buffer. */
const SYSTEM_BUFFER = 64 * 1024

/** In the place of a chunk: the other side has ended. */
const END = null

/** The properties of a TLS socket that HTTP servers read. */
const TLS_PROPERTIES = { encrypted: true, authorized: false, alpnProtocol: 'http/1.1' }

/**
 * One end of a connection in memory. It behaves like a `net.Socket`: written bytes arrive in
 * a later turn of the event loop and wait until they are read, each side ends on its own, and
 * after `destroy()` the other side reads the bytes that were sent, then the end. While bytes can
 * arrive, the process stays alive.
 */
export class MemorySocket extends Duplex {
  readonly remoteFamily: string
  readonly remotePort = 0
  readonly localAddress = '127.0.0.1'
  readonly localPort = 0
  bytesRead = 0
  /** Milliseconds of silence until `timeout` is emitted, or 0. */
  timeout = 0

  #peer: MemorySocket = this
  #sent = 0
  #timer: NodeJS.Timeout | undefined
  /** Chunks that the peer has sent and that have not been pushed to the reader yet. */
  #arrived: Array<Buffer | typeof END> = []
  #arrivedBytes = 0
  #isAsked = false
  #isDelivering = false
  #isHolding = false
  /** The callback of the peer's write that waits for room, with an error if its bytes are lost. */
  #onRoom: Callback | null = null

  private constructor (readonly remoteAddress: string) {
    // The same as for the sockets of an HTTP server: each side ends only when told to.
    super({ allowHalfOpen: true })
    this.remoteFamily = remoteAddress.includes(':') ? 'IPv6' : 'IPv4'
    this.ref()
  }

  /**
   * Two ends that are connected.
   *
   * @param remoteAddress of the client, as the server sees it
   */
  static pair (
    remoteAddress: string, isSecure: boolean
  ): [client: MemorySocket, server: MemorySocket] {
    const client = new MemorySocket('127.0.0.1')
    const server = new MemorySocket(remoteAddress)
    client.#peer = server
    server.#peer = client
    if (isSecure) Object.assign(server, TLS_PROPERTIES)
    return [client, server]
  }

  get bytesWritten (): number {
    return this.#sent + this.writableLength
  }

  setTimeout (timeout: number, callback?: () => void): this {
    if (this.destroyed) return this
    this.timeout = timeout
    clearTimeout(this.#timer)
    if (timeout > 0) this.#timer = setTimeout(() => { this.emit('timeout') }, timeout)
    if (callback === undefined) return this
    return timeout > 0 ? this.once('timeout', callback) : this.off('timeout', callback)
  }

  setNoDelay (): this {
    return this
  }

  setKeepAlive (): this {
    return this
  }

  ref (): this {
    if (!this.#isHolding && !this.destroyed) {
      this.#isHolding = true
      hold()
    }
    return this
  }

  unref (): this {
    if (this.#isHolding) {
      this.#isHolding = false
      release()
    }
    return this
  }

  /** Ends, and destroys the socket after the last written byte has been sent. */
  destroySoon (): void {
    this.end(() => { this.destroy() })
  }

  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    const peer = this.#peer
    if (peer.destroyed) {
      callback(createWriteError('EPIPE'))
      return
    }
    this.#timer?.refresh()
    peer.#arrivedBytes += chunk.length
    peer.#arrive(chunk)
    const onSent: Callback = (error) => {
      if (error == null) this.#sent += chunk.length
      callback(error)
    }
    if (peer.#arrivedBytes <= SYSTEM_BUFFER) onSent()
    else peer.#onRoom = onSent
  }

  override _writev (chunks: Array<{ chunk: Buffer }>, callback: Callback): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'latin1', callback)
  }

  override _final (callback: Callback): void {
    this.#peer.#arrive(END)
    callback()
  }

  override _read (): void {
    this.#isAsked = true
    if (this.#arrived.length > 0) this.#schedule()
  }

  override _destroy (error: Error | null, callback: Callback): void {
    clearTimeout(this.#timer)
    this.unref()
    this.#arrived = []
    this.#letWrite(createWriteError('ECONNRESET'))
    this.#peer.#letWrite(createWriteError('ECANCELED'))
    this.#peer.#arrive(END)
    callback(error)
  }

  #arrive (chunk: Buffer | typeof END): void {
    this.#arrived.push(chunk)
    this.#schedule()
  }

  #schedule (): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    onNextTurn(() => { this.#deliver() })
  }

  /** Delivers one chunk. The next one comes in a later turn, after the effects of this one. */
  #deliver (): void {
    this.#isDelivering = false
    const chunk = this.#isAsked && !this.destroyed ? this.#arrived.shift() : undefined
    if (chunk === undefined) return
    if (chunk !== END) this.#count(chunk)
    // Nothing more can arrive, so the socket need not keep the process alive.
    else this.unref()
    this.#isAsked = false
    this.push(chunk)
    if (this.#arrivedBytes <= SYSTEM_BUFFER) this.#letWrite()
  }

  #count (chunk: Buffer): void {
    this.#timer?.refresh()
    this.bytesRead += chunk.length
    this.#arrivedBytes -= chunk.length
  }

  #letWrite (error: Error | null = null): void {
    const onRoom = this.#onRoom
    this.#onRoom = null
    onRoom?.(error)
  }
}

/** An error like that of a failed write to a socket of the system. */
function createWriteError (code: string): Error {
  return Object.assign(new Error(`write ${code}`), { code, syscall: 'write' })
}
