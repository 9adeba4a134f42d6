/**
 * The raw socket of an upgrade, from the `upgrade` event until its last owner has it.
 *
 * | owner          | when                                        | reads it   | has time       |
 * |----------------|---------------------------------------------|------------|----------------|
 * | none           | other `upgrade` listeners may still begin   | no owner   | unclaimed.ts   |
 * | earlier answer | responses to earlier, pipelined requests    | this class | response.ts    |
 * | our response   | hooks run, or a refusal is written          | this class | handlerTimeout |
 * | this class     | the refusal is out                          | this class | LINGER_TIMEOUT |
 * | ws             | the handshake is done                       | ws         | heartbeat      |
 * | HTTP server    | the request was given back as plain HTTP    | the server | its timeouts   |
 * | other          | another listener has begun to read or write | it         | its own        |
 *
 * Node.js leaves the socket without an `error` listener, and then a reset by the client would end
 * the process. So this class adds one in its constructor. It goes only when ws or the HTTP server
 * has added its own; a listener that is left is harmless.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Bytes of frames that may arrive before the upgrade is decided: beyond, the socket is paused. */
const MAX_EARLY_BYTES = 64 * 1024

/** Milliseconds that a refused client has to read its answer and hang up. */
const LINGER_TIMEOUT = 2_000

/** A documented channel of Node.js: a response of an HTTP server has been sent. */
const RESPONSE_FINISH = 'http.server.response.finish'

/** What is called while this class reads a socket. */
export interface TransportWatcher {
  /** The system has taken all that was written. */
  onDrain (): void
  /** The socket is closed. */
  onClose (): void
  /** Another listener reads the socket as well, an observer or its next owner. */
  onReader (): void
}

interface Listeners {
  readonly data: (chunk: Buffer) => void
  readonly drain: () => void
  readonly end: () => void
  readonly close: () => void
}

/** See the table in the header of this file. */
export class UpgradeTransport {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** What came behind the head of the request, and what has been read since. */
  #early: Buffer[]
  #earlyBytes: number
  #listeners: Listeners | null = null
  /** What had been written when the last earlier answer was out. */
  #bytesBefore = 0
  #hasEarlierAnswer = false

  /** @param head what came behind the head of the request */
  constructor (request: IncomingMessage, socket: Duplex, head: Buffer) {
    this.request = request
    this.socket = socket
    this.#early = [head]
    this.#earlyBytes = head.length
    socket.on('error', ignore)
  }

  get bytesWritten (): number {
    // The sockets of HTTP servers, and ours in memory, count; the type Duplex does not say so.
    return (this.socket as Partial<Socket>).bytesWritten ?? 0
  }

  // --- Beside other listeners ---

  /** Notes what is written already, before another listener sees the upgrade. */
  beginSharing (): void {
    this.#hasEarlierAnswer = this.isOccupied
    if (this.#hasEarlierAnswer) this.onceVacant(() => { this.beginSharing() })
    else this.#bytesBefore = this.bytesWritten
  }

  /**
   * Whether another listener has begun to read the socket or to answer on it, or has closed it.
   * Until the earlier answers are out, what is written belongs to them and does not count.
   */
  get isTaken (): boolean {
    if (this.socket.readableFlowing !== null || !this.socket.writable) return true
    if (this.#hasEarlierAnswer) return false
    return this.isOccupied || this.bytesWritten !== this.#bytesBefore
  }

  /** Whether some response has the socket. */
  get isOccupied (): boolean {
    const probe = new ServerResponse(this.request)
    if (!this.occupy(probe)) return true
    this.vacate(probe)
    return false
  }

  // --- The response that has the socket ---

  /**
   * Gives a response the socket. False while a response to an earlier, pipelined request has it:
   * responses leave in the order of their requests.
   */
  occupy (response: ServerResponse): boolean {
    try {
      // An exception from public API: Node.js documents the class, not how to make one and to give
      // it a socket, which is what an HTTP server does for every response.
      response.assignSocket(this.socket as Socket)
      return true
    } catch {
      return false
    }
  }

  /** Takes the socket from a response, for what comes next on it. */
  vacate (response: ServerResponse): void {
    // Node.js takes any Duplex; its types say Socket.
    response.detachSocket(this.socket as Socket)
  }

  /** Calls back when the response that has the socket is done with it, unless the socket closes. */
  onceVacant (callback: () => void): void {
    const { socket } = this
    if (waiting.size === 0) subscribe(RESPONSE_FINISH, onResponseFinish)
    const callbacks = waiting.get(socket)
    if (callbacks !== undefined) {
      callbacks.push(callback)
      return
    }
    waiting.set(socket, [callback])
    socket.once('close', onTransportClose)
  }

  // --- Reading before the decision ---

  get isWatched (): boolean {
    return this.#listeners !== null
  }

  /**
   * Reads what arrives and keeps it for the next owner, up to a bound. To read is the only way to
   * learn that the client has left.
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
      // As an HTTP server does: a client that has ended its side asks for nothing any more, but
      // gets what was written.
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
   * Reads no more, and leaves the socket paused unless it is read elsewhere. The `error` listener
   * stays, for the next owner may have none.
   */
  unwatch (): void {
    if (this.#listeners === null) return
    if (!isReadElsewhere(this.socket)) this.socket.pause()
    for (const [event, listener] of Object.entries(this.#listeners)) {
      this.socket.off(event, listener)
    }
    this.#listeners = null
  }

  /** All bytes that came behind the head of the request, for the next owner. */
  takeEarly (): Buffer {
    const [head] = this.#early
    const early = head !== undefined && this.#early.length === 1 ? head : Buffer.concat(this.#early)
    this.#early = []
    this.#earlyBytes = 0
    return early
  }

  // --- Ends ---

  /**
   * Ends the socket, and cuts it off when the client has not hung up after a while.
   *
   * To close a socket that has unread data resets the connection, and the answer could be lost. So
   * what the client still sends is read and thrown away.
   */
  endSoon (): void {
    const { socket } = this
    this.unwatch()
    const timer = setTimeout(() => { socket.destroy() }, LINGER_TIMEOUT).unref()
    socket.once('close', () => { clearTimeout(timer) })
    socket.end()
    socket.resume()
  }

  /** The next owner has added its own `error` listener. */
  release (): void {
    this.socket.off('error', ignore)
  }
}

/** `close` follows an error and is what counts. */
function ignore (): void {}

/** Whether there is a reader beside the one listener of this file. */
function isReadElsewhere (socket: Duplex): boolean {
  return socket.listenerCount('data') > 1 || socket.listenerCount('readable') > 0
}

/** The sockets that wait for the end of a response, and what to call then. */
const waiting = new Map<Duplex, Array<() => void>>()

function onResponseFinish (message: unknown): void {
  // The documented shape of the message.
  const { response, socket } = message as { response: ServerResponse, socket: Duplex }
  const callbacks = waiting.get(socket)
  if (callbacks === undefined) return
  stopWaiting(socket)
  // The response still has the socket; it gives it back before it says `close`.
  for (const callback of callbacks) response.once('close', callback)
}

function onTransportClose (this: Duplex): void {
  stopWaiting(this)
}

function stopWaiting (socket: Duplex): void {
  socket.off('close', onTransportClose)
  waiting.delete(socket)
  if (waiting.size === 0) unsubscribe(RESPONSE_FINISH, onResponseFinish)
}
