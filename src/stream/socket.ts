import type { Socket } from 'node:net'
import { finished, type Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { BackpressureError } from '../errors'
import { kAttach, kFlushed, kHurry, kJudge, kProgress, kSend, kSent, kSettings } from '../symbols'
import { CLOSE_TRY_AGAIN_LATER } from './close-codes'
import { compact } from './compact'
import { InboundSocket } from './inbound'
import {
  MAX_PACKED_PAYLOAD, packBinary, packedBytes, packText, unpack, type FrameSink
} from './pack'
import type { StreamSettings } from './settings'

const EMPTY = Buffer.alloc(0)
const NO_OPTIONS: SendOptions = {}

type Data = Parameters<WebSocket['send']>[0]
type SendOptions = Parameters<WebSocket['send']>[1]
type SendCallback = (error?: Error) => void

/**
 * An exception from public API, done without where it is missing: only here Node.js tells how much
 * is left of a write under way, and a large message to a slow peer is one write for minutes.
 */
interface Handle {
  /** What the system has got and what waits for it, together. */
  readonly bytesWritten?: number
  readonly writeQueueSize?: number
  /** Below TLS, which has encrypted it all at once. */
  readonly _parent?: Handle | null
}

/** What a `net.Socket` counts. */
interface Counters extends Pick<Socket, 'bytesRead' | 'bytesWritten' | 'writableLength'> {
  readonly _handle?: Handle | null
}

/** The getter that ws has for it. */
const bufferedAmountOf = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get

/** What a socket has done in this tick: nothing, ... */
const IDLE = 0
/** ... sent frames that are packed, ... */
const PACKING = 1
/** ... others too, so that the transport is corked, ... */
const PACKING_CORKED = 2
/** ... or only others. */
const CORKED = 3

type TickState = typeof IDLE | typeof PACKING | typeof PACKING_CORKED | typeof CORKED

/** Sockets that have sent something in this tick. */
let busy: StreamSocket[] = []

/**
 * The WebSocket of a connection. All its frames of one tick leave in one system call at the end of
 * the tick, and the small ones in one buffer.
 */
export class StreamSocket extends InboundSocket implements FrameSink {
  #transport: Duplex | null = null
  #tick: TickState = IDLE
  /** The last frame was a fragment: what follows is part of the same message. */
  #isFragmenting = false
  /** Sends that ws carries out later, compressed messages and Blobs; what follows waits in ws. */
  #unfinishedSends = 0
  #whenIdle: (() => void) | null = null

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
    // While frames are only packed, the system had room for all that came before.
    if (this.#tick !== PACKING && this.#isTooFarBehind()) suspect(this)
    this.#sendInTick(data, options, callback)
  }

  [kSend] (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.#startTick()
    this.#sendInTick(data, options, callback)
  }

  #sendInTick (data: Data, options: SendOptions, callback: SendCallback | undefined): void {
    if (callback === undefined && this.#pack(data, options)) return
    // It may wait for a slow peer.
    this.#sendUnpacked(Buffer.isBuffer(data) ? compact(data) : data, options, callback)
  }

  /** Packs a whole message that is short and of a common type. */
  #pack (data: Data, options: SendOptions): boolean {
    if (this.#tick !== PACKING && this.#tick !== PACKING_CORKED) return false
    if (this.#isFragmenting || this.#unfinishedSends > 0 || this.readyState !== WebSocket.OPEN) {
      return false
    }
    if (!isFinal(options) || options.mask === true) return false
    // To ws that is no choice, but text.
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

  #sendUnpacked (data: Data, options: SendOptions, callback: SendCallback | undefined): void {
    this.#cork()
    this.#isFragmenting = !isFinal(options)
    if (this.#isPlain() && !(data instanceof Blob)) {
      super.send(data, options, callback)
      return
    }
    this.#unfinishedSends++
    try {
      super.send(data, options, (error) => {
        this.#finishSend()
        callback?.(error)
      })
    } catch (error) {
      this.#unfinishedSends--
      throw error
    }
  }

  #finishSend (): void {
    this.#unfinishedSends--
    if (this.#unfinishedSends > 0 || this.#whenIdle === null) return
    const callback = this.#whenIdle
    this.#whenIdle = null
    this[kFlushed](callback)
  }

  // --- Slow peers ---

  #isTooFarBehind (): boolean {
    const { maxBackpressure } = this[kSettings]
    if (maxBackpressure === Infinity || this.readyState !== WebSocket.OPEN) return false
    return this.bufferedAmount > maxBackpressure
  }

  // The close frame is behind all that is unsent, so it may never leave: then the peer is cut off
  // after `closeTimeout`.
  [kJudge] (): void {
    if (!this.#isTooFarBehind()) return
    this.close(CLOSE_TRY_AGAIN_LATER)
    this[kHurry]()
    this.emit('error', new BackpressureError(this[kSettings].maxBackpressure))
  }

  /** NaN, which is never the same, for a transport that does not count. */
  get [kProgress] (): number {
    const { bytesRead = NaN, writableLength = 0 } = this.#counters
    // A ping leaves for the system whether the peer lives or not; what had to wait for the peer
    // before it left tells.
    return writableLength === 0 ? bytesRead : bytesRead + this[kSent]
  }

  get [kSent] (): number {
    const { bytesWritten = 0, writableLength = 0, _handle } = this.#counters
    const handle = _handle?._parent ?? _handle
    if (handle?.bytesWritten !== undefined && handle.writeQueueSize !== undefined) {
      return handle.bytesWritten - handle.writeQueueSize
    }
    // Of a transport that does not count, its buffer shrinks as bytes leave.
    return bytesWritten - writableLength
  }

  get #counters (): Partial<Counters> {
    return this.#transport ?? {}
  }

  // --- Control frames ---

  override ping (...args: Parameters<WebSocket['ping']>): void {
    this.#startTick()
    this.#cork()
    super.ping(...args)
  }

  override pong (...args: Parameters<WebSocket['pong']>): void {
    this.#startTick()
    this.#cork()
    super.pong(...args)
  }

  override close (code?: number, reason?: string | Buffer): void {
    this.#startTick()
    this.#cork()
    super.close(code, reason)
  }

  /**
   * Closes the connection without a handshake. What was sent before, in this tick too, is handed
   * to the system.
   */
  override terminate (): void {
    this.#endTick()
    super.terminate()
  }

  /** Without permessage-deflate. */
  #isPlain (): boolean {
    return this.extensions === ''
  }

  // --- The tick ---

  #startTick (): void {
    if (this.#tick !== IDLE || this.#transport === null) return
    // While a peer is slow, each of its frames would hold on to the memory it shares with others.
    this.#tick = this.#transport.writableLength === 0 && this.#isPlain() ? PACKING : CORKED
    if (this.#tick === CORKED) this.#transport.cork()
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
    const isCorked = this.#tick === CORKED || this.#tick === PACKING_CORKED
    this.#tick = IDLE
    unpack(this)
    if (isCorked) this.#transport?.uncork()
  }

  /** Keeps what follows back until the end of the tick, behind the frames packed so far. */
  #cork (): void {
    unpack(this)
    if (this.#tick !== PACKING) return
    this.#tick = PACKING_CORKED
    this.#transport?.cork()
  }

  writeFrames (frames: Buffer): void {
    // In the middle of a tick there is more to come.
    this.#cork()
    this.#transport?.write(frames)
  }

  /** Calls back when all that was sent, a close frame too, has left the process, if it does. */
  [kFlushed] (callback: () => void): void {
    if (this.#unfinishedSends > 0) {
      const earlier = this.#whenIdle
      this.#whenIdle = () => {
        earlier?.()
        callback()
      }
      return
    }
    const onFlushed = (error?: Error | null): void => { if (error == null) callback() }
    const transport = this.#transport
    // After the end, which ws has sent when the peer ended first, nothing may be written.
    if (transport?.writableEnded === true) finished(transport, { readable: false }, onFlushed)
    // An empty chunk is written in order, so its callback comes when all before it is out.
    else transport?.write(EMPTY, onFlushed)
  }
}

/** Sockets with more unsent than they may have. */
let suspects = new Set<StreamSocket>()

/**
 * What a tick has kept back, or TLS has not encrypted yet, is not the peer's fault, so it is judged
 * when the event loop has turned.
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
