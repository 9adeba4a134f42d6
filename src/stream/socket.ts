/**
 * The WebSocket of a connection: ws's class, with an inbox for what arrives and an outbox for what
 * is sent. This file has its methods, events and errors for the application, and how it ends.
 */
import { EventEmitter } from 'node:events'
import { WebSocket, type EventListenerOptions, type WebSocketEventMap } from 'ws'
import { toError } from '../observe/thrown'
import { isBinaryType, type BinaryType } from './binary-type'
import { Closing, type ClosingSocket } from './closing'
import type { StreamReader } from './delivery'
import { isRefusedFrame } from './errors'
import { guardHandler, HANDLER_PROPERTIES, type EventHandler } from './event-handler'
import { stopReading } from './frame-reader'
import { inboxOf, onReaderChange, receive, type Inbox } from './inbox'
import type { Listener, ListenerMethod, ListenerOf } from './listeners'
import type { SendCallback } from './outbox'
import { callFor, type ConnectionOwner } from './owner'
import { detachReader } from './read-socket'
import type { Data, SendOptions } from './send-data'
import { StreamSettings } from './settings'
import { onShown } from './shown'
import { kAccept, kInbox, kOutbox, kOwner, kReadState, kSettings, kStream } from './symbols'
import { TopicOutbox } from './topic-outbox'
import { TopicSocket } from './topic-socket'
import type { ReadState } from './unfinished'

/** The events of `connection.socket` and what their listeners get. */
export interface SocketEvents {
  /** A text message is a string, a binary one a Buffer unless `binaryType` says otherwise. */
  message: [data: string | Buffer, isBinary: boolean]
  close: [code: number, reason: Buffer]
  error: [error: Error]
  ping: [data: Buffer]
  pong: [data: Buffer]
}

type SocketEvent = keyof SocketEvents
type SocketListener<E extends SocketEvent, Socket> = ListenerOf<SocketEvents, E, Socket>
type ControlArguments = Parameters<WebSocket['ping']>

const NO_OPTIONS: SendOptions = {}

/** How a connection has ended. */
interface Closed {
  readonly code: number
  readonly reason: string
}

/** The `bufferedAmount` getter of ws. The getter of StreamSocket adds the packed bytes. */
const bufferedAmountOf = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get

/** Types these methods, which are those of EventEmitter, for the messages of this class. */
export interface StreamSocket {
  once: ListenerMethod<SocketEvents, this>
  off: ListenerMethod<SocketEvents, this>
  removeListener: ListenerMethod<SocketEvents, this>
  prependOnceListener: ListenerMethod<SocketEvents, this>
}

/**
 * A server-side ws `WebSocket` that loses no message: without a reader, a message waits, in
 * order and within a bound, for a `message` listener or for a reader of the stream.
 */
export class StreamSocket extends TopicSocket implements ClosingSocket {
  [kStream]: StreamReader | null = null;
  [kOwner]: ConnectionOwner | null = null;
  [kSettings] = StreamSettings.defaults;
  [kInbox]: Inbox | null = null;
  [kReadState]: ReadState = null
  readonly [kOutbox] = new TopicOutbox(this)
  #binaryType: BinaryType = 'nodebuffer'
  /** Null while the connection is open, then its closing, and then how it has ended. */
  #ending: Closing | Closed | null = null
  #whenClosed: (() => void) | null = null

  static {
    // The types of ws declare accessors as plain properties. TypeScript does not let a subclass
    // override such a property with an accessor.
    Object.defineProperties(this.prototype, {
      ...HANDLER_PROPERTIES,
      binaryType: {
        enumerable: true,
        get (this: StreamSocket) { return this.#binaryType },
        // ws itself always yields Buffers, which the stream needs. Listeners get the chosen type.
        set (this: StreamSocket, type: unknown) {
          if (isBinaryType(type)) this.#binaryType = type
        }
      },
      bufferedAmount: {
        enumerable: true,
        get (this: StreamSocket) {
          return Number(bufferedAmountOf?.call(this)) + this[kOutbox].packedBytes
        }
      }
    })
  }

  // --- Events ---

  override on<E extends SocketEvent> (event: E, listener: SocketListener<E, this>): this
  override on (event: string | symbol, listener: Listener): this
  override on (event: string | symbol, listener: Listener): this {
    // The server of ws adds this listener before it hands the socket over, and counts its clients
    // with it. It is kept apart, because `removeAllListeners` of an application would remove it.
    if (event === 'close' && this[kOutbox].transport === null) {
      StreamSocket.whenClosed(this, listener)
      return this
    }
    super.on(event, listener)
    if (event === 'message') onReaderChange(this)
    return this
  }

  override addListener<E extends SocketEvent> (event: E, listener: SocketListener<E, this>): this
  override addListener (event: string | symbol, listener: Listener): this
  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override prependListener<E extends SocketEvent> (
    event: E, listener: SocketListener<E, this>
  ): this
  override prependListener (event: string | symbol, listener: Listener): this
  override prependListener (event: string | symbol, listener: Listener): this {
    super.prependListener(event, listener)
    if (event === 'message') onReaderChange(this)
    return this
  }

  override addEventListener<E extends keyof WebSocketEventMap> (
    event: E, handler: EventHandler<WebSocketEventMap[E]>, options?: EventListenerOptions
  ): void {
    super.addEventListener(event, guardHandler(handler, onRejection), options)
  }

  override removeEventListener<E extends keyof WebSocketEventMap> (
    event: E, handler: EventHandler<WebSocketEventMap[E]>
  ): void {
    super.removeEventListener(event, guardHandler(handler, onRejection))
  }

  override emit (event: string | symbol, ...args: unknown[]): boolean {
    switch (event) {
      case 'message':
        if (!isReceived(args)) return this.#emitForOwner(event, args)
        onShown(this)
        receive(this, args[0], args[1])
        return true
      // The casts are safe: ws emits `close` with a code and a reason.
      case 'close': return this.#close(args[0] as number, args[1] as Buffer)
      case 'error': return this.#fail(args[0])
      case 'ping':
      case 'pong': onShown(this)
    }
    return this.#emitForOwner(event, args)
  }

  /** Returns true also if a listener has thrown. Then the owner has got the error. */
  #emitForOwner (event: string | symbol, args: unknown[]): boolean {
    return callFor(this[kOwner], super.emit, this, event, ...args) ?? true
  }

  // --- Errors ---

  override [EventEmitter.captureRejectionSymbol] (error: Error, ..._emission: unknown[]): void {
    this[kOwner]?.report(error)
  }

  #fail (thrown: unknown): boolean {
    const error = toError(thrown)
    if (isRefusedFrame(error)) stopReading(this)
    // ws also ends a connection by itself, when a message cannot be compressed.
    if (this.readyState === this.CLOSING && this.#ending === null) this.#startClosing()
    this[kOwner]?.report(error)
    this[kStream]?.destroy(error)
    // Without a listener, an EventEmitter throws the error. An error of a peer must not be thrown.
    return this.listenerCount('error') > 0 && this.#emitForOwner('error', [thrown])
  }

  // --- Reading ---

  override pause (): void {
    inboxOf(this).pause()
  }

  override resume (): void {
    inboxOf(this).resume()
  }

  // --- Sending ---

  override send (data: Data, callback?: SendCallback): void
  override send (data: Data, options: SendOptions, callback?: SendCallback): void
  override send (
    data: Data, optionsOrCallback?: SendOptions | SendCallback, lastCallback?: SendCallback
  ): void {
    if (typeof optionsOrCallback === 'function') {
      this[kOutbox].send(data, NO_OPTIONS, optionsOrCallback)
    } else this[kOutbox].send(data, optionsOrCallback ?? NO_OPTIONS, lastCallback)
  }

  override ping (...args: ControlArguments): void {
    this[kOutbox].sendControl('ping', args)
  }

  override pong (...args: ControlArguments): void {
    this[kOutbox].sendControl('pong', args)
  }

  // --- The end ---

  /** Close code of the peer, once the connection is closed: 1005 for none, 1006 if it was lost. */
  get closeCode (): number | undefined {
    return this.#closed()?.code
  }

  /** Close reason that the peer gave, once the connection is closed. */
  get closeReason (): string | undefined {
    return this.#closed()?.reason
  }

  #closed (): Closed | null {
    return this.#ending instanceof Closing ? null : this.#ending
  }

  override close (code?: number, reason?: string | Buffer): void {
    // When the peer has ended without a close frame, ws is closing already.
    const wasOpen = this.readyState === this.OPEN
    this[kOutbox].close(code, reason)
    if (wasOpen) this.#startClosing()
    this[kInbox]?.letCloseArrive()
  }

  /**
   * Closes the connection without a closing handshake. All data that was sent before, also in this
   * tick, is handed to the system.
   */
  override terminate (): void {
    this[kOutbox].terminate()
  }

  #startClosing (): void {
    const closing = new Closing(this)
    this.#ending = closing
    this[kOutbox].onceFlushed(() => { closing.leave() })
  }

  /** Calls back at the close. Unlike a listener, the callback cannot be removed by applications. */
  static whenClosed (socket: StreamSocket, callback: () => void): void {
    const earlier = socket.#whenClosed
    socket.#whenClosed = earlier === null
      ? callback
      : () => {
          earlier()
          callback()
        }
  }

  /** ws has closed the connection. */
  #close (code: number, reason: Buffer): boolean {
    const { counts, clients } = this[kSettings]
    if (this.#closed() === null) counts.close(code)
    clients?.delete(this)
    if (this.#ending instanceof Closing) this.#ending.stop()
    this.#ending = { code, reason: reason.toString() }
    const { transport } = this[kOutbox]
    if (transport !== null) detachReader(transport)
    this[kInbox]?.close()
    this.leaveTopics()
    const whenClosed = this.#whenClosed
    this.#whenClosed = null
    whenClosed?.()
    const hasListener = this.#emitForOwner('close', [code, reason])
    this[kOwner]?.onClose()
    if (this[kInbox] === null) this[kStream]?.[kAccept](null, false)
    else this[kInbox].finish()
    return hasListener
  }
}

/**
 * Whether a message is as ws emits it. Any other comes from the application, for example from a
 * library that replays messages, and is passed on as it is.
 */
function isReceived (args: unknown[]): args is [data: Buffer, isBinary: boolean] {
  return typeof args[1] === 'boolean' && ArrayBuffer.isView(args[0])
}

/** `this` is undefined if the application has called a listener itself: then it has no owner. */
function onRejection (this: StreamSocket | undefined, error: unknown): void {
  const owner = this?.[kOwner] ?? null
  if (owner === null) throw error
  owner.report(error)
}
