/**
 * The outbox of a connection as a subscriber of topics. The frame of a published message is made
 * once and written to each connection: after the frames packed in this tick, and corked until the
 * end of the tick. If the frame must not be written now, this happens to the message:
 *
 * | when                                                       | the message                    |
 * |------------------------------------------------------------|--------------------------------|
 * | the connection is closing                                  | is dropped, as `send` does     |
 * | it is volatile and more than `highWaterMark` is unsent     | is dropped                     |
 * | the application has sent a fragment, and not the last one  | waits for the last one         |
 * | ws has something to send later, or an agent has wrapped ws | is given to ws                 |
 */
import { WebSocket } from 'ws'
import { toError } from '../observe/thrown'
import type { TopicMessage } from '../topics/message'
import type { Subscriber, Subscriptions } from '../topics/subscriptions'
import { Outbox } from './outbox'
import { DEFLATES_ALONE, FRAGMENTING } from './outbox-state'
import { isSendWrapped } from './send-data'
import { suspect } from './slow-check'
import { kSettings } from './symbols'

/** ws does not compress these messages, because it would do so for each connection again. */
const TEXT = { binary: false, compress: false }
const BINARY = { binary: true, compress: false }

/** See the header of this file. */
export class TopicOutbox extends Outbox implements Subscriber {
  subscriptions: Subscriptions | null = null

  /** The peer can read messages that are compressed each on its own, and so once for many peers. */
  deflateAlone (): void {
    this.state |= DEFLATES_ALONE
  }

  deliver (message: TopicMessage): void {
    const { socket } = this
    if (socket.readyState !== WebSocket.OPEN) return
    try {
      if (message.isVolatile && this.#isBehind()) socket[kSettings].topics.counts.skipped++
      else this.#take(message)
    } catch (error) {
      // A tracing agent or a transport may throw. The other subscribers must still get the message.
      socket.emit('error', toError(error))
    }
  }

  #heldBytes (): number {
    return this.subscriptions?.heldBytes ?? 0
  }

  /** Whether the peer is too far behind for a volatile message. */
  #isBehind (): boolean {
    const { bufferedAmount, [kSettings]: { highWaterMark } } = this.socket
    return bufferedAmount + this.#heldBytes() > highWaterMark
  }

  #take (message: TopicMessage): void {
    this.startTick()
    if (this.isTooFarBehind()) suspect(this)
    if ((this.state & FRAGMENTING) === 0) this.#send(message)
    else this.subscriptions?.hold(message)
  }

  #send (message: TopicMessage): void {
    if (this.hasUnfinished || isSendWrapped()) {
      this.sendInTick(message.payload, message.isText ? TEXT : BINARY)
    } else {
      this.#writeFrame(message)
    }
    this.socket[kSettings].traffic.deliver()
  }

  #writeFrame (message: TopicMessage): void {
    this.cork()
    this.socket[kSettings].traffic.send(message.size)
    const isShared = (this.state & DEFLATES_ALONE) !== 0
    this.transport?.write(isShared ? message.deflatedFrame : message.frame)
  }

  // --- Fragments ---

  protected override endMessage (): void {
    super.endMessage()
    for (const message of this.subscriptions?.release() ?? []) this.#send(message)
  }

  protected override get unsentBytes (): number {
    return super.unsentBytes + this.#heldBytes()
  }
}
