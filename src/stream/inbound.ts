import type { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { WebSocket, type EventListenerOptions, type WebSocketEventMap } from 'ws'
import { UnreadOverflowError } from '../errors'
import {
  kAccept, kDiscard, kEnded, kFull, kHandling, kOwn, kOwner, kReaderChange, kReading, kReport,
  kStream
} from '../symbols'
import { isBinaryType, toBinaryType, type BinaryType } from './binary-type'
import { guardHandler, type EventHandler } from './event-handler'
import { StreamSettings } from './settings'

/** What a waiting message weighs beside its bytes, so that empty messages are not free. */
const MESSAGE_OVERHEAD = 64

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

/** Who answers for a connection: gets its errors, those of throwing and rejecting listeners too. */
export interface ConnectionOwner {
  /** The context that the connection was accepted in; its listeners run in it. */
  readonly scope: AsyncResource
  onError (error: unknown): void
  onWarning (warning: Error): void
  onClose (): void
}

/** The events of `connection.socket` and what their listeners get. */
export interface SocketEvents {
  /** A text message is a string, a binary one is of the socket's `binaryType`. */
  message: [data: string | Buffer, isBinary: boolean]
  close: [code: number, reason: Buffer]
  error: [error: Error]
  ping: [data: Buffer]
  pong: [data: Buffer]
}

type Listener = Parameters<EventEmitter['on']>[1]
type SocketListener<E extends keyof SocketEvents> = (...args: SocketEvents[E]) => void

/** A message that waits, and the one behind it. */
interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
  next: Message | null
}

/**
 * A server-side ws `WebSocket` that loses no message: what arrives while nobody reads waits, in
 * order and within a bound, for a `message` listener or for a reader of the stream.
 */
export class InboundSocket extends WebSocket {
  [kStream]: SocketReader | null = null;
  [kOwner]: ConnectionOwner | null = null

  /**
   * Close code of the connection, once it is closed: the peer's, 1005 for none, 1006 for
   * a lost connection.
   */
  closeCode: number | undefined
  /** Close reason that the peer gave, once the connection is closed. */
  closeReason: string | undefined

  #settings = StreamSettings.defaults
  #binaryType: BinaryType = 'nodebuffer'

  #oldest: Message | null = null
  #newest: Message | null = null
  #weight = 0
  #pauseTimer: NodeJS.Timeout | undefined

  /** The handler may still be about to read: what arrives is worth a pause. */
  #isHandling = false
  #isDelivering = false
  #isHeld = false
  #isPausedByUser = false
  #isDropping = false
  #hasWarned = false
  #isDiscarding = false
  #isClosed = false

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

  protected useSettings (settings: StreamSettings): void {
    this.#settings = settings
  }

  /** Names who answers for the connection. Without an owner, a listener that throws, throws. */
  [kOwn] (owner: ConnectionOwner): void {
    this[kOwner] = owner
    // ws calls the EventEmitter constructor without options. Calling it again sets them and keeps
    // the listeners that are there already.
    EventEmitter.call(this, CAPTURE_REJECTIONS)
  }

  /** While the handler runs, messages that nobody reads yet pause the socket; later they drop. */
  [kHandling] (isHandling: boolean): void {
    this.#isHandling = isHandling
    if (isHandling) return
    this.#stopPauseTimer()
    if (!this.#isClosed) this.#regulate()
    else if (!this.#isAttended()) this.#end()
  }

  // --- Events ---

  override on<E extends keyof SocketEvents> (event: E, listener: SocketListener<E>): this
  override on (event: string | symbol, listener: Listener): this
  override on (event: string | symbol, listener: Listener): this {
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
      // The casts say what ws emits; the type of `emit` does not.
      case 'message': return this.#receive(args[0] as Buffer, args[1] as boolean)
      case 'close': return this.#close(args[0] as number, args[1] as Buffer)
      case 'error': return this.#fail(args[0] as Error)
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
      return owner.scope.runInAsyncScope(super.emit, this, event, ...args)
    } catch (error) {
      this[kReport](error)
      return true
    }
  }

  #fail (error: Error): boolean {
    this[kReport](error)
    this[kStream]?.destroy(error)
    // Without a listener an EventEmitter throws, and no error of a peer may do that.
    return this.listenerCount('error') > 0 && this.#emitInScope('error', [error])
  }

  // --- Messages ---

  #receive (data: Buffer, isBinary: boolean): boolean {
    if (this.#isDiscarding) return true
    if (this.#oldest === null && this.#isReady()) this.#deliver(data, isBinary)
    else this.#keep(data, isBinary)
    return true
  }

  /** Whether somebody takes a message now. A stream that is being read sets the pace for all. */
  #isReady (): boolean {
    if (this.#isPausedByUser) return false
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
      owner.scope.runInAsyncScope(this.#give, this, data, isBinary)
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
    if (this.#isDropping) return
    const message = { data, isBinary, next: null }
    if (this.#newest === null) this.#oldest = message
    else this.#newest.next = message
    this.#newest = message
    this.#weight += data.length + MESSAGE_OVERHEAD
    this.#regulate()
  }

  #deliverOldest (oldest: Message): void {
    this.#oldest = oldest.next
    if (oldest.next === null) this.#newest = null
    this.#weight -= oldest.data.length + MESSAGE_OVERHEAD
    this.#deliver(oldest.data, oldest.isBinary)
  }

  #drop (): void {
    this.#oldest = null
    this.#newest = null
    this.#weight = 0
  }

  /** A reader gets what waits on the next tick, never inside its own registration. */
  [kReaderChange] (): void {
    this.#isDropping = false
    if (this.#oldest === null) {
      this.#regulate()
      return
    }
    if (this.#isDelivering) return
    this.#isDelivering = true
    process.nextTick(InboundSocket.#onDelivery, this)
  }

  static #onDelivery (socket: InboundSocket): void {
    socket.#isDelivering = false
    socket.#deliverWaiting()
  }

  #deliverWaiting (): void {
    while (this.#oldest !== null && (this.#isClosed ? this.#isAttended() : this.#isReady())) {
      this.#deliverOldest(this.#oldest)
    }
    if (!this.#isClosed) this.#regulate()
    else if (this.#oldest === null) this.#end()
  }

  // --- Backpressure ---

  /** Pauses or resumes the TCP socket, or drops what nobody reads, as the bound demands. */
  #regulate (): void {
    if (this.#isClosed || this.#isDiscarding) return
    const reader = this[kStream]
    if (this.#isAttended()) this.#setHeld(reader !== null && reader[kReading] && reader[kFull])
    else if (!this.#isOverfull()) this.#setHeld(false)
    else if (this.#isHandling && this.readyState === this.OPEN) this.#waitForHandler()
    else this.#overflow()
  }

  #isOverfull (): boolean {
    return this.#oldest !== null && this.#weight >= this.#settings.highWaterMark
  }

  #setHeld (isHeld: boolean): void {
    this.#stopPauseTimer()
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) super.pause()
    else if (!this.#isPausedByUser) super.resume()
  }

  // A paused socket hides pings and the peer's close, so the pause has an end.
  #waitForHandler (): void {
    if (this.#pauseTimer !== undefined) return
    this.#setHeld(true)
    this.#startPauseTimer()
  }

  #startPauseTimer (): void {
    const { pauseTimeout } = this.#settings
    this.#pauseTimer = setTimeout(InboundSocket.#onPauseTimeout, pauseTimeout, this).unref()
  }

  #stopPauseTimer (): void {
    if (this.#pauseTimer === undefined) return
    clearTimeout(this.#pauseTimer)
    this.#pauseTimer = undefined
  }

  static #onPauseTimeout (socket: InboundSocket): void {
    socket[kHandling](false)
  }

  #overflow (): void {
    this.#drop()
    this.#isDropping = true
    this.#setHeld(false)
    if (this.#hasWarned || this.readyState !== this.OPEN) return
    this.#hasWarned = true
    const warning = new UnreadOverflowError(this.#settings.highWaterMark)
    if (this[kOwner] !== null) this[kOwner].onWarning(warning)
    else process.emitWarning(warning)
  }

  override pause (): void {
    this.#isPausedByUser = true
    super.pause()
  }

  override resume (): void {
    this.#isPausedByUser = false
    if (!this.#isHeld) super.resume()
    this[kReaderChange]()
  }

  override close (code?: number, reason?: string | Buffer): void {
    super.close(code, reason)
    // The peer's close frame is behind what nobody reads.
    if (!this.#isAttended()) this.#setHeld(false)
  }

  /** The stream was destroyed: what arrives from now on is thrown away, up to the close frame. */
  [kDiscard] (): void {
    this.#isDiscarding = true
    this.#drop()
    this.#setHeld(false)
    this.resume()
  }

  // --- End ---

  #close (code: number, reason: Buffer): boolean {
    this.#isClosed = true
    this.closeCode = code
    this.closeReason = reason.toString()
    this.#stopPauseTimer()
    // Listeners get their messages before `close`.
    while (this.#oldest !== null && this.#isAttended()) this.#deliverOldest(this.#oldest)
    const hasListener = this.#emitInScope('close', [code, reason])
    this[kOwner]?.onClose()
    // A handler that is still running may read what was kept, but not for ever.
    if (this.#oldest !== null && this.#isHandling) this.#startPauseTimer()
    else this.#end()
    return hasListener
  }

  #end (): void {
    this.#drop()
    this[kStream]?.[kEnded]()
  }
}

function onRejection (this: InboundSocket, error: unknown): void {
  if (this[kOwner] === null) throw error
  this[kReport](error)
}
