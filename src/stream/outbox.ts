/**
 * The messages that are sent on a connection. Short messages of the common types are packed, and
 * leave together when the tick ends, see `tick.ts`. Long ones that are not compressed are written
 * behind their header. ws sends all other messages, in order, after the packed ones.
 */
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { CLOSE_TRY_AGAIN_LATER } from '../protocol/close-codes'
import { MAX_PACKED_PAYLOAD, packedBytes } from '../protocol/pack'
import { guardCallback } from './callback'
import { BackpressureError, UnsentError } from './errors'
import {
  CLOSED_HERE, DEFLATES_ALONE, FRAGMENTING, LEFT, PLAIN, SLOW, TERMINATED
} from './outbox-state'
import type { ConnectionOwner } from './owner'
import { LEFT_TO_WS, sendMessage } from './send-message'
import {
  isFinal, isLong, isReadLate, isSendWrapped, keep, sizeOf, type Data, type SendOptions
} from './send-data'
import { onceWritten, progressOf, sentBytes } from './sent-bytes'
import type { StreamSettings } from './settings'
import { suspect, type Suspect } from './slow-check'
import { kOwner, kSettings } from './symbols'
import { TickBatcher } from './tick'

/** Called when a message, ping or pong has been sent, or with the error if that failed. */
export type SendCallback = (error?: Error) => void

/** The WebSocket of a connection, as its outbox sees it. */
export interface OutboxSocket extends WebSocket {
  readonly [kOwner]: ConnectionOwner | null
  readonly [kSettings]: StreamSettings
}

/** See the header of this file. */
export class Outbox extends TickBatcher implements Suspect {
  readonly #socket: OutboxSocket
  /** Compressed messages and Blobs that ws has still to send. All later frames wait behind them. */
  #unfinishedSends = 0
  #whenIdle: Array<() => void> | null = null

  constructor (socket: OutboxSocket) {
    super()
    this.#socket = socket
  }

  protected get socket (): OutboxSocket {
    return this.#socket
  }

  /** Takes over the transport of the handshake. Called once, before any message can arrive. */
  attach (transport: Duplex): void {
    this.transport = transport
    // The extensions stay as they are now, and ws puts their names together at each call.
    if (this.#socket.extensions === '') this.state |= PLAIN
  }

  #is (state: number): boolean {
    return (this.state & state) !== 0
  }

  #isOpen (): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  // --- Messages ---

  /** Sends for the application, and closes the connection later if the peer is too far behind. */
  send (data: Data, options: SendOptions, callback: SendCallback | undefined): void {
    this.startTick()
    if (this.isTooFarBehind()) suspect(this)
    this.sendInTick(data, options, callback)
  }

  /** Sends a chunk of the stream. The stream limits by itself how much is unsent. */
  write (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.startTick()
    this.sendInTick(data, options, callback)
  }

  protected sendInTick (data: Data, options: SendOptions, callback?: SendCallback): void {
    if (typeof callback === 'function') this.#sendByWs(data, options, callback)
    else if (!this.#send(data, options)) this.#sendByWs(data, options)
  }

  /** Sends a message without ws if that is possible. False if it has to go through ws. */
  #send (data: Data, options: SendOptions): boolean {
    // Earlier fragments of a message, and messages that ws sends later, have to leave first.
    if (!this.skipsWs || this.#is(FRAGMENTING) || this.hasUnfinished) return false
    if (!this.#isOpen()) return false
    const { traffic, deflate } = this.#socket[kSettings]
    const size = sendMessage(this, data, options, this.#is(DEFLATES_ALONE) ? deflate : null)
    if (size === LEFT_TO_WS) return false
    traffic.send(size)
    if (size > MAX_PACKED_PAYLOAD) this.#letLeave(data)
    return true
  }

  #sendByWs (data: Data, options: SendOptions, callback?: SendCallback): void {
    this.cork()
    const kept = keep(data)
    const isLate = !this.#is(PLAIN) || isReadLate(kept)
    this.#hand((answer) => {
      WebSocket.prototype.send.call(this.#socket, kept, options, answer)
    }, isLate, callback)
    if (this.#isOpen()) this.#socket[kSettings].traffic.send(sizeOf(kept), isFinal(options))
    // After the call: a frame for which ws throws is not sent, so it does not end its message.
    if (isFinal(options)) this.endMessage()
    else this.state |= FRAGMENTING
    this.#letLeave(data)
  }

  /** Long bytes are not copied. They leave now: the application may change them afterwards. */
  #letLeave (data: Data): void {
    if (isLong(data)) this.uncork()
  }

  /** The last frame of a message has been given to ws. */
  protected endMessage (): void {
    this.state &= ~FRAGMENTING
  }

  /** Whether ws has messages to send later. Frames that follow must not overtake these. */
  protected get hasUnfinished (): boolean {
    return this.#unfinishedSends > 0
  }

  /** Sends a ping or a pong; `args` are the arguments of the method of ws. */
  sendControl (frame: 'ping' | 'pong', args: readonly unknown[]): void {
    this.startTick()
    this.cork()
    // As in ws, the callback may stand in the place of any of the three arguments.
    const position = args.findIndex((argument) => typeof argument === 'function')
    const [data, mask] = position < 0 ? args : args.slice(0, position)
    // The casts are safe: a callback was found by its type, and ws takes any value for a mask.
    const callback = args[position] as SendCallback | undefined
    this.#hand((answer) => {
      WebSocket.prototype[frame].call(this.#socket, keep(data), mask as boolean | undefined, answer)
    }, isReadLate(data), callback)
  }

  /**
   * Gives a message, ping or pong to ws. ws gets a callback only if it sends later, which must be
   * counted, or if the application has a callback.
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

  /** Wraps `callback` for ws. Adds the error of a broken connection, and reports a thrown error. */
  #toAnswer (callback: SendCallback): SendCallback {
    const owner = this.#socket[kOwner]
    const guarded = owner === null ? callback : guardCallback(callback, owner)
    return (error) => { guarded(error == null && this.#hasBroken() ? new UnsentError() : error) }
  }

  /**
   * Whether the connection has broken before all messages had left. Node.js 20 gives no error to
   * the callback of a write that was under way when the transport was destroyed.
   */
  #hasBroken (): boolean {
    return this.transport?.destroyed === true && !this.#is(LEFT)
  }

  protected get maySkipWs (): boolean {
    return this.#is(PLAIN | DEFLATES_ALONE) && !isSendWrapped()
  }

  // --- Slow peers ---

  // Messages that wait in ws for their compression do not count: the peer is not to blame for them.
  protected isTooFarBehind (): boolean {
    const { maxBackpressure } = this.#socket[kSettings]
    if (maxBackpressure === Infinity || !this.#isOpen()) return false
    return this.unsentBytes > maxBackpressure
  }

  /** Bytes that wait for the peer. NaN without a transport: NaN is not greater than any limit. */
  protected get unsentBytes (): number {
    return Number(this.transport?.writableLength)
  }

  closeIfTooSlow (): void {
    if (!this.isTooFarBehind()) return
    this.state |= SLOW
    this.#socket[kSettings].counts.tooSlow++
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
    const isFirst = this.#isOpen()
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

  /** Whether this side has sent a close frame or cut the connection off, so its end is no error. */
  get isClosedHere (): boolean {
    return this.#is(CLOSED_HERE)
  }

  /** Whether this side has ended the connection, not by `terminate`, and data has not left. */
  get hasUnsent (): boolean {
    return this.isClosedHere && !this.#is(LEFT | TERMINATED)
  }

  /** Whether nothing is unsent, in the transport or in ws. */
  #isIdle (): boolean {
    return this.#unfinishedSends === 0 && this.transport?.writableLength === 0
  }

  /** Like {@link onceFlushed}. Until then the close frame counts as unsent. */
  onceFinished (callback: () => void): void {
    this.state &= ~LEFT
    this.onceFlushed(callback)
  }

  /** Calls back when all that was sent, also a close frame, has left the process, if it does. */
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
