import type { Socket } from 'node:net'
import { finished, type Duplex } from 'node:stream'
import { types } from 'node:util'
import { WebSocket } from 'ws'
import { BackpressureError, UnsentError } from './errors'
import {
  kAttach, kClosedHere, kFlushed, kHurry, kJudge, kOwner, kProgress, kSend, kSent, kSettings,
  kUnsent
} from './symbols'
import { guardCallback } from './callback'
import { CLOSE_TRY_AGAIN_LATER } from '../protocol/close-codes'
import { InboundSocket } from './inbox'
import {
  MAX_PACKED_PAYLOAD, packBinary, packedBytes, packText, unpack, type FrameSink
} from '../protocol/pack'
import { sentBytes } from './sent-bytes'
import type { StreamSettings } from './settings'

const EMPTY = Buffer.alloc(0)
const NO_OPTIONS: SendOptions = {}

type Data = Parameters<WebSocket['send']>[0]
type SendOptions = Parameters<WebSocket['send']>[1]
type SendCallback = (error?: Error) => void
type ControlArguments = Parameters<WebSocket['ping']>

/** What a `net.Socket` counts. */
type Counters = Pick<Socket, 'bytesRead' | 'writableLength'>

/** The `bufferedAmount` getter of ws, which the one of StreamSocket adds to. */
const bufferedAmountOf = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get

// What is going on with a socket is a bit each, so that an idle connection is small.

/** The socket has sent something in this tick. */
const BUSY = 1 << 0

/** Short messages of this tick are packed. */
const PACKING = 1 << 1

/** The transport is corked, until the tick ends. */
const CORKED = 1 << 2

/** The last frame was a fragment: what follows is part of the same message. */
const FRAGMENTING = 1 << 3

/**
 * All that was sent has left the process. Known only once the connection ends. The close frame
 * counts where the stream waits for it, or where messages were unsent before it.
 */
const LEFT = 1 << 4

/** The application has cut the connection off, and what was unsent with it. */
const TERMINATED = 1 << 5

/** Sockets that have sent something in this tick. */
let busy: StreamSocket[] = []

/**
 * The WebSocket of a connection. Its frames of one tick leave in one system call at the end of the
 * tick, the short ones in one chunk; only binary messages over {@link MAX_PACKED_PAYLOAD} bytes
 * leave at once.
 */
export class StreamSocket extends InboundSocket implements FrameSink {
  #transport: Duplex | null = null
  #state = 0
  /** Sends that ws carries out later, compressed messages and Blobs; what follows waits in ws. */
  #unfinishedSends = 0
  #whenIdle: Array<(() => void) | undefined> | null = null

  static {
    // ws declares its accessors as plain properties, and those a TypeScript subclass may not
    // override with accessors.
    Object.defineProperty(this.prototype, 'bufferedAmount', {
      enumerable: true,
      get (this: StreamSocket) { return Number(bufferedAmountOf?.call(this)) + packedBytes(this) }
    })
  }

  /** Takes over the transport of the handshake, too. */
  override [kAttach] (transport: Duplex, settings: StreamSettings): void {
    this.#transport = transport
    super[kAttach](transport, settings)
  }

  #is (state: number): boolean {
    return (this.#state & state) !== 0
  }

  // --- Sending ---

  override send (data: Data, callback?: SendCallback): void
  override send (data: Data, options: SendOptions, callback?: SendCallback): void
  override send (
    data: Data, optionsOrCallback?: SendOptions | SendCallback, lastCallback?: SendCallback
  ): void {
    const isOptions = typeof optionsOrCallback !== 'function'
    const options = isOptions ? optionsOrCallback ?? NO_OPTIONS : NO_OPTIONS
    const callback = isOptions ? lastCallback : optionsOrCallback
    this.#startTick()
    if (this.#isTooFarBehind()) suspect(this)
    this.#sendInTick(data, options, callback)
  }

  [kSend] (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.#startTick()
    this.#sendInTick(data, options, callback)
  }

  #sendInTick (data: Data, options: SendOptions, callback: SendCallback | undefined): void {
    if (typeof callback !== 'function') {
      if (!this.#pack(data, options)) this.#sendUnpacked(data, options)
    } else this.#sendUnpacked(data, options, callback)
  }

  /** Packs a whole message that is short and of a common type. */
  #pack (data: Data, options: SendOptions): boolean {
    // A fragment before it, or a message that ws sends later, is to leave first.
    if ((this.#state & (PACKING | FRAGMENTING)) !== PACKING) return false
    if (this.#unfinishedSends > 0 || this.readyState !== WebSocket.OPEN) return false
    if (!isFinal(options) || options.mask === true) return false
    // For ws, `binary: undefined` means text, not "by the type of the data".
    if (options.binary === undefined && 'binary' in options) return false
    if (typeof data === 'string' && options.binary !== true) return this.#packText(data)
    if (!(data instanceof Uint8Array) || options.binary === false) return false
    if (data.length > MAX_PACKED_PAYLOAD) return false
    packBinary(this, data)
    return true
  }

  #packText (text: string): boolean {
    if (text.length > MAX_PACKED_PAYLOAD) return false
    const byteLength = Buffer.byteLength(text)
    if (byteLength > MAX_PACKED_PAYLOAD) return false
    packText(this, text, byteLength)
    return true
  }

  #sendUnpacked (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.#cork()
    const isLate = !this.#isPlain() || isReadLate(data)
    this.#hand((answer) => { super.send(keep(data), options, answer) }, isLate, callback)
    // After the call: when ws throws, it still waits for the rest of a message in fragments.
    if (isFinal(options)) this.#state &= ~FRAGMENTING
    else this.#state |= FRAGMENTING
    // The application may change or transfer the bytes next, and to copy so many is slow.
    if (isLong(data)) this.#uncork()
  }

  /**
   * Gives something to ws, whose callback is needed where it is carried out later, or where the
   * application has one of its own.
   */
  #hand (
    send: (answer?: SendCallback) => void, isLate: boolean, callback?: SendCallback
  ): void {
    const answer = callback === undefined ? undefined : this.#toAnswer(callback)
    if (!isLate) {
      send(answer)
      return
    }
    this.#unfinishedSends++
    try {
      send((error) => {
        this.#finishSend()
        answer?.(error)
      })
    } catch (error) {
      this.#unfinishedSends--
      throw error
    }
  }

  #finishSend (): void {
    this.#unfinishedSends--
    if (this.#unfinishedSends > 0 || this.#whenIdle === null) return
    const callbacks = this.#whenIdle
    this.#whenIdle = null
    for (const callback of callbacks) this[kFlushed](callback)
  }

  /** A callback that says what has happened, and whose own failures are the owner's. */
  #toAnswer (callback: SendCallback): SendCallback {
    const guarded = this[kOwner] === null ? callback : guardCallback(callback, this)
    return (error) => { guarded(error == null && this.#isCutOff() ? new UnsentError() : error) }
  }

  /**
   * The connection has broken before all messages had left. Node.js 20 gives no error to the
   * callback of a write that was under way when the transport was destroyed.
   */
  #isCutOff (): boolean {
    return this.#transport?.destroyed === true && !this.#is(LEFT)
  }

  // --- Slow peers ---

  // Messages in ws, which wait for their compression, wait for this process and not for the peer.
  #isTooFarBehind (): boolean {
    const { maxBackpressure } = this[kSettings]
    if (maxBackpressure === Infinity || this.readyState !== WebSocket.OPEN) return false
    return this.#transport !== null && this.#transport.writableLength > maxBackpressure
  }

  // The close frame is behind all that is unsent, so it may never leave: then the peer is cut off
  // after `closeTimeout`.
  [kJudge] (): void {
    if (!this.#isTooFarBehind()) return
    this.close(CLOSE_TRY_AGAIN_LATER)
    this[kHurry]()
    this.emit('error', new BackpressureError(this[kSettings].maxBackpressure))
  }

  /** NaN is not equal to itself, so a transport without counters always counts as alive. */
  get [kProgress] (): number {
    // A Duplex that is no socket has no counter.
    const transport: Partial<Counters> = this.#transport ?? {}
    const { bytesRead = NaN, writableLength = 0 } = transport
    // A ping leaves for the system whether the peer lives or not; what had to wait for the peer
    // before it left tells.
    return writableLength === 0 ? bytesRead : bytesRead + this[kSent]
  }

  get [kSent] (): number {
    return this.#transport === null ? 0 : sentBytes(this.#transport)
  }

  // --- Control frames ---

  override ping (...args: ControlArguments): void {
    this.#sendControl((...args) => { super.ping(...args) }, args)
  }

  override pong (...args: ControlArguments): void {
    this.#sendControl((...args) => { super.pong(...args) }, args)
  }

  #sendControl (send: (...args: ControlArguments) => void, args: unknown[]): void {
    this.#startTick()
    this.#cork()
    // As in ws, the callback may be in the place of any of the three.
    const position = args.findIndex((argument) => typeof argument === 'function')
    const [data, mask] = position < 0 ? args : args.slice(0, position)
    // The casts say what was found, and what ws takes for a mask.
    const callback = args[position] as SendCallback | undefined
    this.#hand((answer) => {
      send(keep(data), mask as boolean | undefined, answer)
    }, isReadLate(data), callback)
  }

  override close (code?: number, reason?: string | Buffer): void {
    const isFirst = this.readyState === WebSocket.OPEN
    this.#startTick()
    this.#cork()
    const isIdle = this.#isIdle()
    super.close(code, reason)
    if (!isFirst) return
    if (isIdle) this.#state |= LEFT
    else this[kFlushed]()
  }

  /**
   * Closes the connection without a handshake. What was sent before, in this tick too, is handed
   * to the system.
   */
  override terminate (): void {
    this.#endTick()
    if (this.readyState !== WebSocket.CLOSED) {
      this.#state |= this.#isIdle() ? TERMINATED | LEFT : TERMINATED
    }
    super.terminate()
  }

  /** Nothing is unsent, in the transport or in ws. */
  #isIdle (): boolean {
    return this.#unfinishedSends === 0 && this.#transport?.writableLength === 0
  }

  /** Whether a connection that has ended, and not by `terminate`, has left something unsent. */
  get [kUnsent] (): boolean {
    return this[kClosedHere] && !this.#is(LEFT | TERMINATED)
  }

  /** Whether messages are sent uncompressed: no extension was negotiated. */
  #isPlain (): boolean {
    return this.extensions === ''
  }

  // --- The tick ---

  #startTick (): void {
    if (this.#is(BUSY) || this.#transport === null) return
    this.#state |= this.#isPlain() && !isSendWrapped() ? BUSY | PACKING : BUSY
    if (busy.length === 0) process.nextTick(StreamSocket.#endTicks)
    busy.push(this)
  }

  /** Ends the tick for all sockets at once. */
  static #endTicks (): void {
    const sockets = busy
    busy = []
    for (const socket of sockets) socket.#endTick()
  }

  #endTick (): void {
    const isCorked = this.#is(CORKED)
    this.#state &= ~(BUSY | PACKING | CORKED)
    unpack(this)
    if (isCorked) this.#transport?.uncork()
  }

  /** Keeps what follows back until the end of the tick, behind the frames packed so far. */
  #cork (): void {
    unpack(this)
    if (!this.#is(BUSY) || this.#is(CORKED)) return
    this.#state |= CORKED
    this.#transport?.cork()
  }

  /** Lets what was kept back leave in the middle of the tick. */
  #uncork (): void {
    this.#state &= ~CORKED
    this.#transport?.uncork()
  }

  writeFrames (frames: string): void {
    // In the middle of a tick there is more to come.
    this.#cork()
    this.#transport?.write(frames, 'latin1')
  }

  /** Calls back when all that was sent, a close frame too, has left the process, if it does. */
  [kFlushed] (callback?: () => void): void {
    this.#state &= ~LEFT
    if (this.#unfinishedSends > 0) {
      this.#whenIdle ??= []
      this.#whenIdle.push(callback)
      return
    }
    const onFlushed = (): void => {
      this.#state |= LEFT
      callback?.()
    }
    const transport = this.#transport
    if (transport?.writableEnded === true) {
      // After the end, which ws has sent when the peer ended first, nothing may be written.
      finished(transport, { readable: false }, (error) => { if (error == null) onFlushed() })
      return
    }
    // An empty chunk is written in order, so its callback comes when all before it is out, or when
    // the transport is destroyed: see above.
    transport?.write(EMPTY, (error) => {
      if (error == null && !transport.destroyed) onFlushed()
    })
  }
}

/** Sockets with more unsent than they may have. */
let suspects = new Set<StreamSocket>()

/**
 * Checks the socket after the current turn of the event loop. Until then, data may be unsent only
 * because the tick has kept it back or TLS has not encrypted it yet, which is not the peer's fault.
 */
function suspect (socket: StreamSocket): void {
  if (suspects.size === 0) setImmediate(judgeSuspects)
  suspects.add(socket)
}

function judgeSuspects (): void {
  const sockets = suspects
  suspects = new Set()
  for (const socket of sockets) socket[kJudge]()
}

/** Whether a frame ends its message. As in ws, an option that is there and undefined says no. */
function isFinal (options: SendOptions): boolean {
  return !('fin' in options) || options.fin === true
}

/** Whether ws sends the data as it is. */
function isBytes (data: unknown): data is NodeJS.ArrayBufferView | ArrayBufferLike {
  return ArrayBuffer.isView(data) || types.isAnyArrayBuffer(data)
}

/** Too long to be copied. */
function isLong (data: unknown): boolean {
  return isBytes(data) && data.byteLength > MAX_PACKED_PAYLOAD
}

/**
 * What to give to ws: a copy of short bytes. They wait for the end of the tick or for a slow peer,
 * and the application may use its buffer again at once.
 */
function keep<T> (data: T): T | Buffer {
  if (!isBytes(data) || isLong(data)) return data
  if (!ArrayBuffer.isView(data)) return Buffer.from(new Uint8Array(data))
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

/**
 * Whether ws may have to read the data first, as it does with a Blob. It knows Blobs of all classes
 * by their shape, so any object that is not bytes counts.
 */
function isReadLate (data: unknown): boolean {
  return typeof data === 'object' && data !== null && !isBytes(data)
}

/** The `send` that was looked at last. */
let knownSend: unknown = null

/** Whether that is not the one of ws. */
let isWrapped = false

/**
 * Whether the `send` of ws has been replaced, by a tracing agent for example. Then each message has
 * to go through the replacement, and none is packed. The agent may have come before this module, so
 * the method is recognized by its source: the one of ws calls the sender. A source that is not
 * recognized counts as replaced, which costs speed and nothing else.
 */
function isSendWrapped (): boolean {
  const { send } = WebSocket.prototype
  if (send !== knownSend) {
    knownSend = send
    isWrapped = !Function.prototype.toString.call(send).includes('_sender.send(')
  }
  return isWrapped
}
