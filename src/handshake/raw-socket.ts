/**
 * The raw socket of an upgrade over HTTP/1, from the `upgrade` event until its last owner has it.
 * At any time the socket has one owner:
 *
 * | owner            | when                                        | reads      | time limit     |
 * |------------------|---------------------------------------------|------------|----------------|
 * | none             | another `upgrade` listener may still begin  | none       | unclaimed.ts   |
 * | earlier response | it answers an earlier, pipelined request    | this class | progress.ts    |
 * | UpgradeAnswer    | hooks run, or a refusal is written          | this class | handlerTimeout |
 * | this class       | the refusal is written                      | this class | LINGER_TIMEOUT |
 * | ws               | the handshake is done                       | ws         | heartbeat      |
 * | HTTP server      | the request was given back as plain HTTP    | the server | its timeouts   |
 * | another listener | that listener has begun to read or to write | it         | its own        |
 *
 * Node.js leaves the socket of an upgrade without an `error` listener, and then a reset by the
 * client would end the process. So the constructor adds a listener. It is removed when ws or the
 * HTTP server has added its own. For any other owner it stays, which does no harm.
 */
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SWITCHING } from './answer-state'
import { onceVacant } from './earlier-response'
import {
  checkKey, checkVersion, findHeadProblem, protocolOf, type AskedProtocol
} from './request-checks'
import {
  closeSoon, createResponse, endOf, markFinished, writeHeadOf, type ResponseOwner
} from './response'
import type { TransportWatcher, UpgradeTransport } from './upgrade-transport'

/** Bytes that are kept before the upgrade is decided. When more arrive, the socket is paused. */
const MAX_EARLY_BYTES = 64 * 1024

/** Milliseconds that a refused client has to read the refusal and to close the connection. */
const LINGER_TIMEOUT = 2_000

interface Listeners {
  readonly data: (chunk: Buffer) => void
  readonly drain: () => void
  readonly end: () => void
  readonly close: () => void
}

/** The raw socket of an upgrade: see the header of this file. */
export class RawSocket implements UpgradeTransport {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** The bytes behind the head of the request, and those that were read since. */
  #early: Buffer[]
  #earlyBytes: number
  #listeners: Listeners | null = null
  /** The value of `bytesWritten` when the last earlier response was out. */
  #bytesBefore = 0
  #hasEarlierResponse = false

  /** @param head the bytes that arrived behind the head of the request */
  constructor (request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.request = request
    this.socket = socket
    this.#early = [head]
    this.#earlyBytes = head.length
    socket.on('error', noop)
  }

  get bytesWritten (): number {
    // The type Duplex lacks this counter of a `net.Socket`, which sockets of `injectWS` also have.
    return (this.socket as Partial<Socket>).bytesWritten ?? 0
  }

  get session (): undefined {
    return undefined
  }

  // --- Shared with other `upgrade` listeners ---

  get asksFor (): AskedProtocol {
    return protocolOf(this.request)
  }

  /** Notes how much is written already, before another listener sees the upgrade. */
  beginSharing (): void {
    this.#hasEarlierResponse = this.isOccupied
    if (this.#hasEarlierResponse) this.onceVacant(() => { this.beginSharing() })
    else this.#bytesBefore = this.bytesWritten
  }

  /**
   * Whether another listener has begun to read the socket or to answer on it, or has closed it.
   * Until the earlier responses are out, written bytes are theirs and do not count.
   */
  get isTaken (): boolean {
    if (this.socket.readableFlowing !== null || !this.socket.writable) return true
    if (this.#hasEarlierResponse) return false
    return this.isOccupied || this.bytesWritten !== this.#bytesBefore
  }

  /** Whether some response has the socket. */
  get isOccupied (): boolean {
    const probe = new ServerResponse(this.request)
    if (!this.occupy(probe)) return true
    this.vacate(probe)
    return false
  }

  // --- The request ---

  admit (maxHeadersCount: number | null): Error | null {
    const problem = findHeadProblem(this.request, maxHeadersCount)
    // RFC 6455 section 4.2.1 asks for an `Upgrade` that contains "websocket", and RFC 9110
    // section 7.8 lets the server choose from the list. ws accepts nothing beside the choice.
    if (problem === null) this.request.headers.upgrade = 'websocket'
    return problem
  }

  checkHandshake (): void {
    checkVersion(this.request)
    checkKey(this.request)
  }

  // --- The response that has the socket ---

  createResponse (owner: ResponseOwner): ServerResponse {
    return createResponse(this.request, owner)
  }

  /**
   * Gives the socket to a response. False while the response to an earlier, pipelined request has
   * it, because responses leave in the order of their requests.
   */
  occupy (response: ServerResponse): boolean {
    try {
      // An exception from public API: Node.js documents the class ServerResponse, but not how to
      // create one and give it a socket. An HTTP server does so for every response.
      response.assignSocket(this.socket as Socket)
      return true
    } catch {
      return false
    }
  }

  /** Takes the socket from a response, for the next owner. */
  vacate (response: ServerResponse): void {
    // Node.js takes any Duplex. Its types say Socket.
    response.detachSocket(this.socket as Socket)
  }

  /** Calls back when the response that has the socket is done with it, unless the socket closes. */
  onceVacant (callback: () => void): void {
    onceVacant(this.socket, callback)
  }

  isAcceptance (statusCode: number): boolean {
    return statusCode === SWITCHING
  }

  writeHead (response: ServerResponse, statusCode: number): boolean {
    writeHeadOf(response, statusCode)
    return !this.socket.destroyed
  }

  end (response: ServerResponse, args: unknown[]): void {
    endOf(response, args)
  }

  // --- Reading before the decision ---

  get isWatched (): boolean {
    return this.#listeners !== null
  }

  /**
   * Reads what arrives and keeps it for the next owner, up to MAX_EARLY_BYTES. Node.js tells that
   * the client has left only while the socket is read.
   */
  watch (watcher: TransportWatcher): void {
    if (this.#listeners !== null) return
    const listeners = this.#createListeners(watcher)
    this.#listeners = listeners
    for (const [event, listener] of Object.entries(listeners)) this.socket.on(event, listener)
  }

  #createListeners ({ onDrain, onClose, onReader }: TransportWatcher): Listeners {
    return {
      data: (chunk) => {
        this.#keep(chunk)
        if (isReadElsewhere(this.socket)) onReader()
      },
      drain: onDrain,
      // As an HTTP server does: a client that has ended its side gets no more answers, but it gets
      // what was written before.
      end: () => { this.socket.end() },
      close: () => {
        this.unwatch()
        onClose()
      }
    }
  }

  #keep (chunk: Buffer): void {
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.socket.pause()
  }

  /**
   * Stops reading, and leaves the socket paused unless another listener reads it. The `error`
   * listener stays, because the next owner may have none.
   */
  unwatch (): void {
    if (this.#listeners === null) return
    if (!isReadElsewhere(this.socket)) this.socket.pause()
    for (const [event, listener] of Object.entries(this.#listeners)) {
      this.socket.off(event, listener)
    }
    this.#listeners = null
  }

  /** All bytes that have arrived behind the head of the request, for the next owner. */
  takeEarly (): Buffer {
    const [head] = this.#early
    const early = head !== undefined && this.#early.length === 1 ? head : Buffer.concat(this.#early)
    this.#early = []
    this.#earlyBytes = 0
    return early
  }

  // --- Ends ---

  shakeHands<Result> (perform: (socket: Duplex, head: Buffer) => Result): Result {
    const { socket, isWatched } = this
    this.unwatch()
    // A hook may have corked the response, and a corked socket would hold the handshake back.
    while (socket.writableCorked > 0) socket.uncork()
    const result = perform(socket, this.takeEarly())
    // Before the handler runs, which may pause the socket. Nothing is read before the next tick.
    if (isWatched && result !== null) socket.resume()
    return result
  }

  handOver (response: ServerResponse): void {
    this.vacate(response)
    this.release()
    markFinished(response)
  }

  finishRefusal (response: ServerResponse): void {
    this.vacate(response)
    closeSoon(response)
  }

  /**
   * Ends the socket, and destroys it if the client has not closed the connection after
   * LINGER_TIMEOUT. Bytes that the client still sends are read and dropped: closing a socket with
   * unread data resets the connection, and then the client may lose the answer.
   */
  endSoon (): void {
    const { socket } = this
    this.unwatch()
    const timer = setTimeout(() => { socket.destroy() }, LINGER_TIMEOUT).unref()
    socket.once('close', () => { clearTimeout(timer) })
    socket.end()
    socket.resume()
  }

  endRequest (): void {
    // Fastify runs its `onRequestAbort` hooks when the request is destroyed.
    this.request.destroy()
  }

  abort (): void {
    this.socket.destroy()
  }

  /** The next owner has added its own `error` listener. */
  release (): void {
    this.socket.off('error', noop)
  }
}

/** An `error` needs no answer here, because `close` follows. */
function noop (): void {}

/** Whether the socket has a reader besides the one `data` listener of this file. */
function isReadElsewhere (socket: Duplex): boolean {
  return socket.listenerCount('data') > 1 || socket.listenerCount('readable') > 0
}
