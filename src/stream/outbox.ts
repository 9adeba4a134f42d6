/**
 * What is sent on a connection. What is short and common is packed into the frames of the tick, see
 * `tick.ts`; the rest is sent by ws, in order, behind what is packed.
 */
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { CLOSE_TRY_AGAIN_LATER } from '../protocol/close-codes'
import { MAX_PACKED_PAYLOAD, packBinary, packedBytes, packText } from '../protocol/pack'
import { guardCallback } from './callback'
import { BackpressureError, UnsentError } from './errors'
import { CLOSED_HERE, FRAGMENTING, LEFT, SLOW, TERMINATED } from './outbox-state'
import type { ConnectionOwner } from './owner'
import {
  isFinal, isLong, isReadLate, isSendWrapped, keep, sizeOf, type Data, type SendOptions
} from './send-data'
import { onceWritten, progressOf, sentBytes } from './sent-bytes'
import type { StreamSettings } from './settings'
import { suspect, type Suspect } from './suspects'
import { kOwner, kSettings } from './symbols'
import { TickBatcher } from './tick'

/** Called when something has been sent, or with the reason why not. */
export type SendCallback = (error?: Error) => void

/** The WebSocket of a connection, as its outbox sees it. */
export interface OutboxSocket extends WebSocket {
  readonly [kOwner]: ConnectionOwner | null
  readonly [kSettings]: StreamSettings
}

/** See the header of this file. */
export class Outbox extends TickBatcher implements Suspect {
  readonly #socket: OutboxSocket
  /** Sends that ws carries out later, compressed messages and Blobs; what follows waits in ws. */
  #unfinishedSends = 0
  #whenIdle: Array<() => void> | null = null

  constructor (socket: OutboxSocket) {
    super()
    this.#socket = socket
  }

  protected get socket (): OutboxSocket {
    return this.#socket
  }

  get isAttached (): boolean {
    return this.transport !== null
  }

  /** Takes over the transport of the handshake. Called once, before any message can arrive. */
  attach (transport: Duplex): void {
    this.transport = transport
  }

  #is (state: number): boolean {
    return (this.state & state) !== 0
  }

  get #isOpen (): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  // --- Messages ---

  /** Sends for the application, and closes the connection later if the peer is too far behind. */
  send (data: Data, options: SendOptions, callback: SendCallback | undefined): void {
    this.startTick()
    if (this.isTooFarBehind()) suspect(this)
    this.sendInTick(data, options, callback)
  }

  /** Sends what has been written to the stream, which controls its own flow. */
  write (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.startTick()
    this.sendInTick(data, options, callback)
  }

  protected sendInTick (data: Data, options: SendOptions, callback?: SendCallback): void {
    if (typeof callback === 'function') this.#sendUnpacked(data, options, callback)
    else if (!this.#pack(data, options)) this.#sendUnpacked(data, options)
  }

  /** Packs a whole message that is short and of a common type. */
  #pack (data: Data, options: SendOptions): boolean {
    // A fragment before it, or a message that ws sends later, is to leave first.
    if (!this.isPacking || this.#is(FRAGMENTING) || this.hasUnfinished) return false
    if (!this.#isOpen || !isFinal(options) || options.mask === true) return false
    // For ws, `binary: undefined` means text, not "by the type of the data".
    if (options.binary === undefined && 'binary' in options) return false
    if (typeof data === 'string' && options.binary !== true) return this.#packText(data)
    if (!(data instanceof Uint8Array) || options.binary === false) return false
    if (data.length > MAX_PACKED_PAYLOAD) return false
    packBinary(this, data)
    this.#socket[kSettings].traffic.send(data.length)
    return true
  }

  #packText (text: string): boolean {
    if (text.length > MAX_PACKED_PAYLOAD) return false
    const byteLength = Buffer.byteLength(text)
    if (byteLength > MAX_PACKED_PAYLOAD) return false
    packText(this, text, byteLength)
    this.#socket[kSettings].traffic.send(byteLength)
    return true
  }

  #sendUnpacked (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.cork()
    this.#hand((answer) => {
      WebSocket.prototype.send.call(this.#socket, keep(data), options, answer)
    }, !this.#isPlain || isReadLate(data), callback)
    if (this.#isOpen) this.#socket[kSettings].traffic.send(sizeOf(data), isFinal(options))
    // After the call: when ws throws, it still waits for the rest of a message.
    if (isFinal(options)) this.endMessage()
    else this.state |= FRAGMENTING
    // The application may change the bytes next. They are too many to copy, so they leave now.
    if (isLong(data)) this.uncork()
  }

  /** The last frame of a message has been given to ws. */
  protected endMessage (): void {
    this.state &= ~FRAGMENTING
  }

  /** Whether ws sends something later, which what follows may not overtake. */
  protected get hasUnfinished (): boolean {
    return this.#unfinishedSends > 0
  }

  /** Sends a ping or a pong; `args` are those of ws. */
  sendControl (frame: 'ping' | 'pong', args: readonly unknown[]): void {
    this.startTick()
    this.cork()
    // As in ws, the callback may be in the place of any of the three.
    const position = args.findIndex((argument) => typeof argument === 'function')
    const [data, mask] = position < 0 ? args : args.slice(0, position)
    // The casts say what was found, and what ws takes for a mask.
    const callback = args[position] as SendCallback | undefined
    this.#hand((answer) => {
      WebSocket.prototype[frame].call(this.#socket, keep(data), mask as boolean | undefined, answer)
    }, isReadLate(data), callback)
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
    for (const callback of callbacks) this.onceFlushed(callback)
  }

  /** A callback that says what has happened, and whose own failures are the owner's. */
  #toAnswer (callback: SendCallback): SendCallback {
    const owner = this.#socket[kOwner]
    const guarded = owner === null ? callback : guardCallback(callback, owner)
    return (error) => { guarded(error == null && this.#hasBroken() ? new UnsentError() : error) }
  }

  /**
   * The connection has broken before all messages had left. Node.js 20 gives no error to the
   * callback of a write that was under way when the transport was destroyed.
   */
  #hasBroken (): boolean {
    return this.transport?.destroyed === true && !this.#is(LEFT)
  }

  /** Whether messages are sent uncompressed: no extension was negotiated. */
  get #isPlain (): boolean {
    return this.#socket.extensions === ''
  }

  protected get mayPack (): boolean {
    return this.#isPlain && !isSendWrapped()
  }

  // --- Slow peers ---

  // Messages that wait in ws for their compression do not count: the peer is not to blame for them.
  protected isTooFarBehind (): boolean {
    const { maxBackpressure } = this.#socket[kSettings]
    if (maxBackpressure === Infinity || !this.#isOpen) return false
    return this.unsentBytes > maxBackpressure
  }

  /** Bytes that wait for the peer; NaN, which is more than no limit, without a transport. */
  protected get unsentBytes (): number {
    return Number(this.transport?.writableLength)
  }

  closeIfTooSlow (): void {
    if (!this.isTooFarBehind()) return
    this.state |= SLOW
    this.#socket.close(CLOSE_TRY_AGAIN_LATER)
    this.#socket.emit('error', new BackpressureError(this.#socket[kSettings].maxBackpressure))
  }

  /** Whether the connection was closed because its peer was too far behind. */
  get isSlow (): boolean {
    return this.#is(SLOW)
  }

  // --- Counters ---

  /** Bytes that are packed and not handed to ws or the transport yet. */
  get packedBytes (): number {
    return packedBytes(this)
  }

  /** How many bytes have left the process. */
  get sentBytes (): number {
    return this.transport === null ? 0 : sentBytes(this.transport)
  }

  /** Grows while the peer lives: see {@link progressOf}. */
  get progress (): number {
    return progressOf(this.transport)
  }

  // --- The end ---

  /** Sends the close frame, behind all that was sent before. */
  close (code?: number, reason?: string | Buffer): void {
    const isFirst = this.#isOpen
    this.startTick()
    this.cork()
    const isIdle = this.#isIdle()
    // With a code or a reason that cannot be sent, ws throws, and the connection stays open.
    WebSocket.prototype.close.call(this.#socket, code, reason)
    if (isFirst) this.state |= isIdle ? CLOSED_HERE | LEFT : CLOSED_HERE
  }

  /** Ends the connection without a close frame. What was sent before is handed to the system. */
  terminate (): void {
    this.endTick()
    this.state |= CLOSED_HERE
    if (this.#socket.readyState !== WebSocket.CLOSED) {
      this.state |= this.#isIdle() ? TERMINATED | LEFT : TERMINATED
    }
    WebSocket.prototype.terminate.call(this.#socket)
  }

  /** This side has sent a close frame or cut the connection off: its end is no surprise. */
  get isClosedHere (): boolean {
    return this.#is(CLOSED_HERE)
  }

  /** Of a connection that this side has ended, not by `terminate`: something has not left. */
  get hasUnsent (): boolean {
    return this.isClosedHere && !this.#is(LEFT | TERMINATED)
  }

  /** Nothing is unsent, in the transport or in ws. */
  #isIdle (): boolean {
    return this.#unfinishedSends === 0 && this.transport?.writableLength === 0
  }

  /** As {@link onceFlushed}; and until then the close frame counts as unsent. */
  onceFinished (callback: () => void): void {
    this.state &= ~LEFT
    this.onceFlushed(callback)
  }

  /** Calls back when all that was sent, a close frame too, has left the process, if it does. */
  onceFlushed (callback: () => void): void {
    if (this.#unfinishedSends > 0) {
      this.#whenIdle ??= []
      this.#whenIdle.push(callback)
      return
    }
    onceWritten(this.transport, () => {
      this.state |= LEFT
      callback()
    })
  }
}
