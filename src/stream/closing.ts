/**
 * The end of a connection, from its close frame on.
 *
 * The close frame leaves after all data that was sent before it. ws starts its `closeTimeout` when
 * the frame is queued, and so cuts off a peer that is still reading that data. Therefore the timer
 * of ws is set so long that it never matters, and this one replaces it.
 *
 * | state   | from                                   | what the peer has to do in `closeTimeout` |
 * |---------|----------------------------------------|-------------------------------------------|
 * | leaving | `close()`: the close frame is queued   | take data at `MIN_RATE` or faster         |
 * | left    | the close frame has left the process   | hang up                                   |
 * | hurried | `close()` of a peer that is too slow   | take everything and hang up               |
 *
 * A peer that does not do so is cut off. In the state `leaving`, `closeTimeout` begins again after
 * each such time in which the peer was fast enough. A cut loses data in that state, so the error
 * FST_WS_CLOSE_TIMEOUT is reported. In the other states no error is reported: all data was sent, or
 * FST_WS_BACKPRESSURE has been reported before.
 *
 * In every state, the end of the connection stops the timer. `fastify.close()` has a deadline of
 * its own, which is not longer than one `closeTimeout`, whatever the state is.
 */
import { CloseTimeoutError } from './errors'
import { nextTick } from './next-tick'
import { kOutbox, kSettings } from './symbols'
import type { StreamSettings } from './settings'

/**
 * Bytes per second that a peer has to take. Real links are faster: a slower peer only pretends to
 * read, to make this process keep the unsent data in memory.
 */
const MIN_RATE = 1024

type State = 'leaving' | 'left' | 'hurried'

/** A socket that is being closed. */
export interface ClosingSocket {
  readonly [kSettings]: StreamSettings
  readonly [kOutbox]: {
    /** Bytes that have left the process. */
    readonly sentBytes: number
    /** The connection is closed because the peer was too far behind. */
    readonly isSlow: boolean
  }
  terminate (): void
  emit (event: 'error', error: Error): boolean
}

/** The clock of a connection that is being closed. */
export class Closing {
  readonly #socket: ClosingSocket
  readonly #timer: NodeJS.Timeout
  #state: State
  #sent = 0

  constructor (socket: ClosingSocket) {
    this.#socket = socket
    this.#state = socket[kOutbox].isSlow ? 'hurried' : 'leaving'
    this.#timer = setTimeout(Closing.#onTimeout, this.#timeout(), this).unref()
    // At the end of the tick the system takes data into its own buffer. That is no progress of the
    // peer, so counting starts after it.
    nextTick(Closing.#onTickEnd, this)
  }

  #timeout (): number {
    return this.#socket[kSettings].closeTimeout
  }

  /** The close frame has left the process. */
  leave (): void {
    if (this.#state !== 'leaving') return
    this.#state = 'left'
    this.#timer.refresh()
  }

  /** The connection has ended. */
  stop (): void {
    clearTimeout(this.#timer)
  }

  static #onTickEnd (closing: Closing): void {
    closing.#sent = closing.#sentBytes()
  }

  static #onTimeout (closing: Closing): void {
    if (closing.#state !== 'leaving') closing.#cutOff(null)
    else if (closing.#hasProgressed()) closing.#timer.refresh()
    else closing.#cutOff(new CloseTimeoutError(closing.#timeout()))
  }

  #hasProgressed (): boolean {
    const earlier = this.#sent
    this.#sent = this.#sentBytes()
    return this.#sent - earlier >= Math.max(1, MIN_RATE * this.#timeout() / 1000)
  }

  #sentBytes (): number {
    return this.#socket[kOutbox].sentBytes
  }

  #cutOff (error: Error | null): void {
    this.#socket.terminate()
    if (error !== null) this.#socket.emit('error', error)
  }
}
