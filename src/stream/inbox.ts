/**
 * The messages that arrive on a connection. A message without a reader is not lost: it waits, in
 * order and within a bound, for a `message` listener of the socket or for a reader of the stream.
 * `hold-or-drop.ts` decides whether messages flow, are held back or are dropped. This file carries
 * out the decision.
 *
 * A connection gets an inbox when it first needs one. An idle connection needs none: without an
 * inbox no message waits, the transport is not paused and no asynchronous handler runs.
 */
import { WebSocket } from 'ws'
import { deliver, demandOf, type ReceivingSocket } from './delivery'
import { UnreadOverflowError } from './errors'
import {
  CLOSED, DELIVERING, DISCARDING, DROPPING, HANDLING, HELD, PAUSED_BY_USER, WAITED_ENOUGH, WARNED
} from './inbox-state'
import { MessageQueue } from './message-queue'
import { nextTick } from './next-tick'
import { kAccept, kInbox, kOutbox, kOwner, kSettings, kStream } from './symbols'
import { judge } from './hold-or-drop'

/** The WebSocket of a connection, as its inbox sees it. */
export interface InboxSocket extends ReceivingSocket {
  [kInbox]: Inbox | null
  /** Whether this side has begun to close the connection. */
  readonly [kOutbox]: { readonly isClosedHere: boolean }
}

/** The inbox of a connection, which is made when it is first needed. */
export function inboxOf (socket: InboxSocket): Inbox {
  socket[kInbox] ??= new Inbox(socket)
  return socket[kInbox]
}

/** A message has arrived. */
export function receive (socket: InboxSocket, data: Buffer, isBinary: boolean): void {
  socket[kSettings].traffic.receive(data.byteLength)
  if (socket[kInbox] === null && demandOf(socket) === 'room') deliver(socket, data, isBinary)
  else inboxOf(socket).receive(data, isBinary)
}

/** A reader has come, has room again or is full. */
export function onReaderChange (socket: InboxSocket): void {
  if (socket[kInbox] !== null || demandOf(socket) === 'full') inboxOf(socket).onReaderChange()
}

/** See the header of this file. */
export class Inbox {
  readonly #socket: InboxSocket
  #state = 0
  /** Null while no message waits. */
  #waiting: MessageQueue | null = null
  #pauseTimer: NodeJS.Timeout | null = null

  constructor (socket: InboxSocket) {
    this.#socket = socket
  }

  #is (state: number): boolean {
    return (this.#state & state) !== 0
  }

  #mark (state: number, isOn: boolean): void {
    this.#state = isOn ? this.#state | state : this.#state & ~state
  }

  // --- Readers ---

  #isReady (): boolean {
    return !this.#is(PAUSED_BY_USER) && demandOf(this.#socket) === 'room'
  }

  onReaderChange (): void {
    this.#mark(DROPPING | WAITED_ENOUGH, false)
    if (this.#waiting === null) {
      this.#regulate()
      return
    }
    if (this.#is(DELIVERING)) return
    this.#mark(DELIVERING, true)
    // On the next tick, so that a listener is never called while it is being added.
    nextTick(Inbox.#onDelivery, this)
  }

  static #onDelivery (inbox: Inbox): void {
    inbox.#mark(DELIVERING, false)
    inbox.#deliverWaiting()
  }

  #deliverWaiting (): void {
    while (this.#waiting !== null && (this.#is(CLOSED) ? this.#isAttended() : this.#isReady())) {
      this.#deliverOldest(this.#waiting)
    }
    if (!this.#is(CLOSED)) this.#regulate()
    else if (this.#waiting === null) this.#end()
    else if (this.#is(HANDLING)) this.#startPauseTimer()
  }

  /** Whether a reader takes messages, now or when it has room again. */
  #isAttended (): boolean {
    return demandOf(this.#socket) !== 'none'
  }

  // --- Messages ---

  receive (data: Buffer, isBinary: boolean): void {
    const flows = this.#waiting === null && !this.#is(DISCARDING) && this.#isReady()
    if (flows) deliver(this.#socket, data, isBinary)
    else this.#keep(data, isBinary)
  }

  #keep (data: Buffer, isBinary: boolean): void {
    if (this.#is(DROPPING | DISCARDING)) {
      this.#socket[kSettings].traffic.drop(1)
      return
    }
    if (this.#waiting === null) this.#waiting = new MessageQueue(data, isBinary)
    else this.#waiting.push(data, isBinary)
    // A stream that is paused and resumed becomes a reader again without telling the inbox.
    if (this.#isReady()) this.onReaderChange()
    else this.#regulate()
  }

  #deliverOldest (queue: MessageQueue): void {
    // A delivered message proves that there is a reader: the pause timeout starts again.
    this.#stopPauseTimer()
    const { data, isBinary } = queue.oldest
    if (!queue.advance()) this.#waiting = null
    deliver(this.#socket, data, isBinary)
  }

  // --- Backpressure ---

  /** Carries out what `judge` says. */
  #regulate (): void {
    if (this.#is(CLOSED | DISCARDING)) return
    const demand = demandOf(this.#socket)
    const isPausedByUser = this.#is(PAUSED_BY_USER)
    switch (judge(demand, this.#isOverBound(), isPausedByUser, this.#isWorthWaiting())) {
      case 'flow': this.#setHeld(false); break
      case 'hold': this.#setHeld(true); break
      case 'wait': this.#waitForHandler(); break
      case 'drop': this.#drop()
    }
  }

  #isOverBound (): boolean {
    return this.#waiting !== null && this.#waiting.weight >= this.#socket[kSettings].highWaterMark
  }

  #isWorthWaiting (): boolean {
    if (!this.#is(HANDLING) || this.#is(WAITED_ENOUGH)) return false
    // When the peer has ended its side, ws may still work on messages that came before.
    return this.#isOpen() || !this.#socket[kOutbox].isClosedHere
  }

  #isOpen (): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  #setHeld (isHeld: boolean): void {
    this.#stopPauseTimer()
    if (isHeld === this.#is(HELD)) return
    this.#mark(HELD, isHeld)
    // The methods of ws, because those of the socket would call this inbox again.
    if (isHeld) WebSocket.prototype.pause.call(this.#socket)
    else if (!this.#is(PAUSED_BY_USER)) WebSocket.prototype.resume.call(this.#socket)
  }

  // A paused transport hides pings and the peer's close frame, so the pause has an end.
  #waitForHandler (): void {
    if (this.#pauseTimer !== null) return
    this.#setHeld(true)
    this.#startPauseTimer()
  }

  #startPauseTimer (): void {
    this.#stopPauseTimer()
    const { pauseTimeout } = this.#socket[kSettings]
    this.#pauseTimer = setTimeout(Inbox.#onPauseTimeout, pauseTimeout, this).unref()
  }

  #stopPauseTimer (): void {
    if (this.#pauseTimer === null) return
    clearTimeout(this.#pauseTimer)
    this.#pauseTimer = null
  }

  static #onPauseTimeout (inbox: Inbox): void {
    inbox.#pauseTimer = null
    inbox.#mark(WAITED_ENOUGH, true)
    if (!inbox.#is(CLOSED)) inbox.#regulate()
    else if (!inbox.#isAttended()) inbox.#end()
  }

  #drop (): void {
    this.#mark(DROPPING, true)
    this.#setHeld(false)
    // While the connection closes, waiting messages may still be read. Only new ones are dropped.
    if (!this.#isOpen()) return
    this.#dropWaiting()
    if (this.#is(WARNED)) return
    this.#mark(WARNED, true)
    const warning = new UnreadOverflowError(this.#socket[kSettings].highWaterMark)
    const owner = this.#socket[kOwner]
    if (owner !== null) owner.onWarning(warning)
    else process.emitWarning(warning)
  }

  /** How many messages wait for a reader. */
  get waitingMessages (): number {
    return this.#waiting?.length ?? 0
  }

  #dropWaiting (): void {
    this.#socket[kSettings].traffic.drop(this.waitingMessages)
    this.#waiting = null
  }

  // --- What the application does ---

  /** The handler has returned a promise. Until that settles, the handler may become a reader. */
  startHandling (): void {
    this.#mark(HANDLING, true)
  }

  /** The handler has finished. */
  endHandling (): void {
    this.#mark(HANDLING, false)
    this.#stopPauseTimer()
    if (!this.#is(CLOSED)) this.#regulate()
    else if (!this.#isAttended()) this.#end()
    // Nothing is left to remember, so the inbox is given up.
    if (this.#state === 0 && this.#waiting === null) this.#socket[kInbox] = null
  }

  pause (): void {
    this.#mark(PAUSED_BY_USER, true)
    WebSocket.prototype.pause.call(this.#socket)
  }

  resume (): void {
    this.#mark(PAUSED_BY_USER, false)
    // Before the transport flows: it may bring the close frame, and answers must leave before that.
    this.onReaderChange()
    if (!this.#is(HELD)) WebSocket.prototype.resume.call(this.#socket)
  }

  /** The stream was destroyed: all messages are dropped until the close frame arrives. */
  discard (): void {
    this.#mark(DISCARDING, true)
    this.#dropWaiting()
    this.letEnd()
  }

  /** The connection ends: nothing holds its transport, and a listener gets what waits. */
  letEnd (): void {
    this.#setHeld(false)
    this.resume()
  }

  // --- The end ---

  /** The connection is being closed: without a reader, the transport is no longer held. */
  letCloseArrive (): void {
    // The close frame comes after unread data. If the transport stays paused, ws never sees it.
    if (!this.#isAttended()) this.#setHeld(false)
  }

  /** The connection is closed. Readers get the waiting messages before they learn of the close. */
  close (): void {
    this.#mark(CLOSED, true)
    this.#stopPauseTimer()
    while (this.#waiting !== null && this.#isAttended()) this.#deliverOldest(this.#waiting)
  }

  /** The listeners of `close` have been called. */
  finish (): void {
    // A handler that still runs may read the waiting messages, until `pauseTimeout` has passed.
    if (this.#waiting !== null && this.#is(HANDLING)) this.#startPauseTimer()
    else this.#end()
  }

  #end (): void {
    this.#dropWaiting()
    this.#socket[kStream]?.[kAccept](null, false)
  }
}
