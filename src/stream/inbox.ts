import type { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { WebSocket, type EventListenerOptions, type WebSocketEventMap } from 'ws'
import { toError } from '../observe/thrown'
import { UnreadOverflowError } from './errors'
import {
  kAccept, kAttach, kClosedHere, kCutOff, kDiscard, kEnded, kFlushed, kFull, kHandling, kHurry,
  kOwn, kOwner, kReaderChange, kReading, kReport, kSent, kSettings, kStream, kWhenClosed
} from './symbols'
import { Closing, type ClosingSocket } from './closing'
import { isBinaryType, toBinaryType, type BinaryType } from './binary-type'
import { guardHandler, type EventHandler } from './event-handler'
import { MessageQueue } from './message-queue'
import { StreamSettings } from './settings'

const CAPTURE_REJECTIONS = { captureRejections: true }

/** The Duplex, as the socket below it sees it. */
export interface SocketReader {
  readonly [kReading]: boolean
  readonly [kFull]: boolean
  [kAccept] (data: Buffer, isBinary: boolean): void
  [kEnded] (): void
  [kReport] (error: unknown): void
  destroy (error: Error): void
}

/**
 * Who answers for a connection: gets its errors, those of throwing and rejecting listeners too, and
 * runs the listeners in the context that the connection was accepted in.
 */
export interface ConnectionOwner extends Pick<AsyncResource, 'runInAsyncScope'> {
  onError (error: Error): void
  onWarning (warning: Error): void
  onClose (): void
}

/** The events of `connection.socket` and what their listeners get. */
export interface SocketEvents {
  /** A text message is a string, a binary one a Buffer unless `binaryType` says otherwise. */
  message: [data: string | Buffer, isBinary: boolean]
  close: [code: number, reason: Buffer]
  error: [error: Error]
  ping: [data: Buffer]
  pong: [data: Buffer]
}

type Listener = Parameters<EventEmitter['on']>[1]
type SocketListener<E extends keyof SocketEvents> = (...args: SocketEvents[E]) => void

/** How a connection has ended. */
interface Closed {
  readonly code: number
  readonly reason: string
}

/** What is going on with a socket, a bit each: an idle connection is to be small. */
const HANDLING = 1 << 0
const DELIVERING = 1 << 1
const HELD = 1 << 2
const PAUSED_BY_USER = 1 << 3
const DROPPING = 1 << 4
const WARNED = 1 << 5
const DISCARDING = 1 << 6
const CLOSED = 1 << 7
const CLOSED_HERE = 1 << 8
/** The handler has kept the socket paused for too long. */
const IMPATIENT = 1 << 9
/** The server has handed the socket over. */
const ATTACHED = 1 << 10

/**
 * A server-side ws `WebSocket` that loses no message: what arrives while nobody reads waits, in
 * order and within a bound, for a `message` listener or for a reader of the stream.
 */
export abstract class InboundSocket extends WebSocket implements ClosingSocket {
  [kStream]: SocketReader | null = null;
  [kOwner]: ConnectionOwner | null = null;
  [kSettings] = StreamSettings.defaults

  #binaryType: BinaryType = 'nodebuffer'
  #state = 0
  /** Null while nothing waits. */
  #waiting: MessageQueue | null = null
  #pauseTimer: NodeJS.Timeout | null = null
  /** How the connection ends, and then how it has; null while it is open. */
  #ending: Closing | Closed | null = null
  #whenClosed: (() => void) | null = null

  static {
    // ws declares its accessors as plain properties, and those a TypeScript subclass may not
    // override with accessors.
    Object.defineProperty(this.prototype, 'binaryType', {
      enumerable: true,
      get (this: InboundSocket) { return this.#binaryType },
      // The receiver below always yields Buffers, for the stream; listeners get the chosen type.
      set (this: InboundSocket, type: unknown) { if (isBinaryType(type)) this.#binaryType = type }
    })
  }

  /** Close code of a closed connection: the peer's, 1005 for none, 1006 for a lost connection. */
  get closeCode (): number | undefined {
    return this.#closed?.code
  }

  /** Close reason that the peer gave, once the connection is closed. */
  get closeReason (): string | undefined {
    return this.#closed?.reason
  }

  get #closed (): Closed | null {
    return this.#ending instanceof Closing ? null : this.#ending
  }

  /** This side has sent a close frame or cut the connection off: its end is no surprise. */
  get [kClosedHere] (): boolean {
    return this.#is(CLOSED_HERE)
  }

  /** Names who answers for the connection. Without an owner, a listener that throws, throws. */
  [kOwn] (owner: ConnectionOwner): void {
    this[kOwner] = owner
    // ws calls the EventEmitter constructor without options. Calling it again sets them and keeps
    // the listeners that are there already.
    EventEmitter.call(this, CAPTURE_REJECTIONS)
  }

  abstract get [kSent] (): number
  abstract [kFlushed] (callback: () => void): void

  /** Takes over the settings of the server. Called once, before any message can arrive. */
  [kAttach] (_transport: Duplex, settings: StreamSettings): void {
    this[kSettings] = settings
    this.#mark(ATTACHED, true)
  }

  /** Unlike a listener of `close`, the callback cannot be removed by the application. */
  [kWhenClosed] (callback: () => void): void {
    const earlier = this.#whenClosed
    // The one callback that every connection has, of ws, is kept as it is: that saves a closure.
    this.#whenClosed = earlier === null
      ? callback
      : () => {
          earlier()
          callback()
        }
  }

  #is (state: number): boolean {
    return (this.#state & state) !== 0
  }

  #mark (state: number, isOn: boolean): void {
    this.#state = isOn ? this.#state | state : this.#state & ~state
  }

  /** While the handler runs, messages that nobody reads yet pause the socket; later they drop. */
  [kHandling] (isHandling: boolean): void {
    this.#mark(HANDLING, isHandling)
    if (isHandling) return
    this.#stopPauseTimer()
    if (!this.#is(CLOSED)) this.#regulate()
    else if (!this.#isAttended()) this.#end()
  }

  // --- Events ---

  override on<E extends keyof SocketEvents> (event: E, listener: SocketListener<E>): this
  override on (event: string | symbol, listener: Listener): this
  override on (event: string | symbol, listener: Listener): this {
    // The server of ws counts its clients by a listener, which `removeAllListeners` would remove.
    if (event === 'close' && !this.#is(ATTACHED)) {
      this[kWhenClosed](listener)
      return this
    }
    super.on(event, listener)
    if (event === 'message') this[kReaderChange]()
    return this
  }

  override addListener<E extends keyof SocketEvents> (event: E, listener: SocketListener<E>): this
  override addListener (event: string | symbol, listener: Listener): this
  override addListener (event: string | symbol, listener: Listener): this {
    return this.on(event, listener)
  }

  override once<E extends keyof SocketEvents> (event: E, listener: SocketListener<E>): this
  override once (event: string | symbol, listener: Listener): this
  override once (event: string | symbol, listener: Listener): this {
    return super.once(event, listener)
  }

  override prependListener (event: string | symbol, listener: Listener): this {
    super.prependListener(event, listener)
    if (event === 'message') this[kReaderChange]()
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
        if (isReceived(args)) return this.#receive(args[0], args[1])
        return this.#emitInScope(event, args)
      // The casts say what ws emits; the type of `emit` does not.
      case 'close': return this.#close(args[0] as number, args[1] as Buffer)
      case 'error': return this.#fail(args[0])
      default: return this.#emitInScope(event, args)
    }
  }

  override [EventEmitter.captureRejectionSymbol] (error: Error, ..._emission: unknown[]): void {
    this[kReport](error)
  }

  [kReport] (error: unknown): void {
    this[kStream]?.[kReport](error)
  }

  #emitInScope (event: string | symbol, args: unknown[]): boolean {
    const owner = this[kOwner]
    if (owner === null) return super.emit(event, ...args)
    try {
      return owner.runInAsyncScope(super.emit, this, event, ...args)
    } catch (error) {
      this[kReport](error)
      return true
    }
  }

  #fail (thrown: unknown): boolean {
    const error = toError(thrown)
    // ws also ends a connection by itself, when a message cannot be compressed.
    if (this.readyState === this.CLOSING && this.#ending === null) this.#startClosing()
    this[kReport](error)
    this[kStream]?.destroy(error)
    // Without a listener an EventEmitter throws, and no error of a peer may do that.
    return this.listenerCount('error') > 0 && this.#emitInScope('error', [thrown])
  }

  // --- Messages ---

  #receive (data: Buffer, isBinary: boolean): boolean {
    if (this.#is(DISCARDING)) return true
    if (this.#waiting === null && this.#isReady()) this.#deliver(data, isBinary)
    else this.#keep(data, isBinary)
    return true
  }

  /** Whether somebody takes a message now. A stream that is being read sets the pace for all. */
  #isReady (): boolean {
    if (this.#is(PAUSED_BY_USER)) return false
    const reader = this[kStream]
    if (reader !== null && reader[kReading]) return !reader[kFull]
    return this.listenerCount('message') > 0
  }

  /** Whether somebody takes messages, now or when there is room again. */
  #isAttended (): boolean {
    return this[kStream]?.[kReading] === true || this.listenerCount('message') > 0
  }

  #deliver (data: Buffer, isBinary: boolean): void {
    const owner = this[kOwner]
    if (owner === null) {
      this.#give(data, isBinary)
      return
    }
    try {
      owner.runInAsyncScope(this.#give, this, data, isBinary)
    } catch (error) {
      this[kReport](error)
    }
  }

  #give (data: Buffer, isBinary: boolean): void {
    const reader = this[kStream]
    const isReading = reader !== null && reader[kReading]
    try {
      if (this.listenerCount('message') > 0) {
        const message = isBinary ? toBinaryType(data, this.#binaryType) : data.toString()
        super.emit('message', message, isBinary)
      }
    } finally {
      if (isReading) reader[kAccept](data, isBinary)
    }
  }

  #keep (data: Buffer, isBinary: boolean): void {
    if (this.#is(DROPPING)) return
    if (this.#waiting === null) this.#waiting = new MessageQueue(data, isBinary)
    else this.#waiting.push(data, isBinary)
    // What a reader does, like pausing and resuming, can make it one without a word to us.
    if (this.#isReady()) this[kReaderChange]()
    else this.#regulate()
  }

  #deliverOldest (queue: MessageQueue): void {
    // A delivered message proves that there is a reader: the pause timeout starts again.
    this.#stopPauseTimer()
    const { data, isBinary } = queue.oldest
    if (!queue.advance()) this.#waiting = null
    this.#deliver(data, isBinary)
  }

  /** A reader gets what waits on the next tick, never inside its own registration. */
  [kReaderChange] (): void {
    this.#mark(DROPPING | IMPATIENT, false)
    if (this.#waiting === null) {
      this.#regulate()
      return
    }
    if (this.#is(DELIVERING)) return
    this.#mark(DELIVERING, true)
    process.nextTick(InboundSocket.#onDelivery, this)
  }

  static #onDelivery (socket: InboundSocket): void {
    socket.#mark(DELIVERING, false)
    socket.#deliverWaiting()
  }

  #deliverWaiting (): void {
    while (this.#waiting !== null && (this.#is(CLOSED) ? this.#isAttended() : this.#isReady())) {
      this.#deliverOldest(this.#waiting)
    }
    if (!this.#is(CLOSED)) this.#regulate()
    else if (this.#waiting === null) this.#end()
    else if (this.#is(HANDLING)) this.#startPauseTimer()
  }

  // --- Backpressure ---

  /** Pauses or resumes the TCP socket, or drops what nobody reads, as the bound demands. */
  #regulate (): void {
    if (this.#is(CLOSED) || this.#is(DISCARDING)) return
    const reader = this[kStream]
    if (this.#isAttended()) this.#setHeld(reader !== null && reader[kReading] && reader[kFull])
    else if (!this.#isOverfull() || this.#is(PAUSED_BY_USER)) this.#setHeld(false)
    else if (this.#isWorthWaiting()) this.#waitForHandler()
    else this.#overflow()
  }

  #isWorthWaiting (): boolean {
    return this.#is(HANDLING) && !this.#is(IMPATIENT) && this.readyState === this.OPEN
  }

  #isOverfull (): boolean {
    return this.#waiting !== null && this.#waiting.weight >= this[kSettings].highWaterMark
  }

  #setHeld (isHeld: boolean): void {
    this.#stopPauseTimer()
    if (isHeld === this.#is(HELD)) return
    this.#mark(HELD, isHeld)
    if (isHeld) super.pause()
    else if (!this.#is(PAUSED_BY_USER)) super.resume()
  }

  // A paused socket hides pings and the peer's close, so the pause has an end.
  #waitForHandler (): void {
    if (this.#pauseTimer !== null) return
    this.#setHeld(true)
    this.#startPauseTimer()
  }

  #startPauseTimer (): void {
    this.#stopPauseTimer()
    const { pauseTimeout } = this[kSettings]
    this.#pauseTimer = setTimeout(InboundSocket.#onPauseTimeout, pauseTimeout, this).unref()
  }

  #stopPauseTimer (): void {
    if (this.#pauseTimer === null) return
    clearTimeout(this.#pauseTimer)
    this.#pauseTimer = null
  }

  static #onPauseTimeout (socket: InboundSocket): void {
    socket.#pauseTimer = null
    socket.#mark(IMPATIENT, true)
    if (!socket.#is(CLOSED)) socket.#regulate()
    else if (!socket.#isAttended()) socket.#end()
  }

  #overflow (): void {
    this.#mark(DROPPING, true)
    this.#setHeld(false)
    // While the connection ends, what was kept may still be read; what comes now has no room.
    if (this.readyState !== this.OPEN) return
    this.#waiting = null
    if (this.#is(WARNED)) return
    this.#mark(WARNED, true)
    const warning = new UnreadOverflowError(this[kSettings].highWaterMark)
    if (this[kOwner] !== null) this[kOwner].onWarning(warning)
    else process.emitWarning(warning)
  }

  override pause (): void {
    this.#mark(PAUSED_BY_USER, true)
    super.pause()
  }

  override resume (): void {
    this.#mark(PAUSED_BY_USER, false)
    if (!this.#is(HELD)) super.resume()
    this[kReaderChange]()
  }

  override close (code?: number, reason?: string | Buffer): void {
    // The peer that ends without a close frame has closed it before.
    const wasOpen = this.readyState === this.OPEN
    // With a code or a reason that cannot be sent, ws throws, and the connection stays open.
    super.close(code, reason)
    if (wasOpen) {
      this.#mark(CLOSED_HERE, true)
      this.#startClosing()
    }
    // The close frame comes after unread data. If the socket stays paused, ws never sees it.
    if (!this.#isAttended()) this.#setHeld(false)
  }

  override terminate (): void {
    this.#mark(CLOSED_HERE, true)
    super.terminate()
  }

  #startClosing (): void {
    const closing = new Closing(this)
    this.#ending = closing
    this[kFlushed](() => { closing.leave() })
  }

  [kHurry] (): void {
    if (this.#ending instanceof Closing) this.#ending.hurry()
  }

  [kCutOff] (error: Error | null): void {
    this.terminate()
    if (error !== null) this.emit('error', error)
  }

  /** The stream was destroyed: what arrives from now on is thrown away, up to the close frame. */
  [kDiscard] (): void {
    this.#mark(DISCARDING, true)
    this.#waiting = null
    this.#setHeld(false)
    this.resume()
  }

  // --- End ---

  #close (code: number, reason: Buffer): boolean {
    this.#mark(CLOSED, true)
    if (this.#ending instanceof Closing) this.#ending.stop()
    this.#ending = { code, reason: reason.toString() }
    this.#stopPauseTimer()
    // Listeners get their messages before `close`.
    while (this.#waiting !== null && this.#isAttended()) this.#deliverOldest(this.#waiting)
    this.#whenClosed?.()
    const hasListener = this.#emitInScope('close', [code, reason])
    this[kOwner]?.onClose()
    // A handler that is still running may read what was kept, but not for ever.
    if (this.#waiting !== null && this.#is(HANDLING)) this.#startPauseTimer()
    else this.#end()
    return hasListener
  }

  #end (): void {
    this.#waiting = null
    this[kStream]?.[kEnded]()
  }
}

/**
 * Whether a message is as ws emits it. Any other comes from the application, a library that replays
 * one for example, and is passed on as it is.
 */
function isReceived (args: unknown[]): args is [data: Buffer, isBinary: boolean] {
  return typeof args[1] === 'boolean' && ArrayBuffer.isView(args[0])
}

function onRejection (this: InboundSocket, error: unknown): void {
  if (this[kOwner] === null) throw error
  this[kReport](error)
}
