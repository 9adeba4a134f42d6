/**
 * Finds peers that are gone without a close, by pings, with one timer for all connections that have
 * the same interval. The default interval is in `options/defaults.ts`.
 */
import { UnresponsiveError } from '../stream/errors'
import { onNextTurn } from '../stream/next-turn'
import type { StreamSocket } from '../stream/socket'
import { kOutbox, kSettings } from '../stream/symbols'

/** A connection, as its heartbeat sees it. */
export interface Pulse {
  readonly socket: StreamSocket
  /** The progress of the socket at the last beat. */
  progress: number
  /** Beats since the last progress; for a socket that is paused, the number is negative. */
  silence: number
}

/**
 * Turns of the event loop between a beat and its checks. After the process was stopped or busy,
 * Node.js runs late timers before it reads what has arrived meanwhile. And the fake timers of a
 * test run an hour of beats at once. After one turn, what has arrived is read. After some more, a
 * client in memory has also answered the ping of the beat before.
 */
const TURNS = 8

type PulseSource = (heartbeat: Heartbeat) => Iterable<Pulse>

/** Beats in one interval: after the first without progress, the peer is pinged. */
const BEATS = 2

/** Beats without progress until a peer is cut off: one until the ping, one interval to answer. */
const DEAD = 1 + BEATS

/**
 * The same for a connection that the application keeps paused, counted downwards. Nothing arrives
 * on it, so its peer has 20 intervals. Without this limit, a dead peer would stay for ever.
 */
const DEAD_PAUSED = -20 * BEATS

/**
 * Pings silent peers and cuts off those that do not answer. All bytes that arrive are a sign of
 * life, and so are bytes that leave after they had to wait in the process. Bytes that the system
 * has taken at once tell nothing. A ping waits behind them, so the interval has to be longer than
 * the peer takes to read them.
 */
export class Heartbeat {
  readonly #interval: number
  readonly #pulses: PulseSource
  #count = 0
  #timer: NodeJS.Timeout | null = null
  /** How many turns are left until the checks of the last beat, or 0. */
  #turns = 0

  /**
   * @param interval a ping comes after this many milliseconds of silence at most, and the peer then
   * has the same time to answer
   * @param pulses finds the connections that have this heartbeat, so it needs no list of its own
   */
  constructor (interval: number, pulses: PulseSource) {
    this.#interval = interval
    this.#pulses = pulses
  }

  /** A connection has begun. */
  add (): void {
    this.#count++
    this.#timer ??= setInterval(this.#beat, this.#interval / BEATS).unref()
  }

  /** A connection has ended. */
  remove (): void {
    this.#count--
    if (this.#count > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  /** Beats between which the event loop has not turned count as one. */
  #beat = (): void => {
    if (this.#turns > 0) return
    this.#turns = TURNS
    onNextTurn(this.#onTurn)
  }

  #onTurn = (): void => {
    this.#turns--
    if (this.#turns > 0) {
      onNextTurn(this.#onTurn)
      return
    }
    for (const pulse of this.#pulses(this)) this.#check(pulse)
  }

  #check (pulse: Pulse): void {
    const { socket } = pulse
    // A connection that is being closed here has a deadline already: see stream/closing.ts.
    if (socket[kOutbox].isClosedHere) return
    const progress = socket[kOutbox].progress
    if (progress !== pulse.progress) {
      pulse.progress = progress
      pulse.silence = 0
      return
    }
    const { silence } = pulse
    pulse.silence = socket.isPaused ? Math.min(silence, 0) - 1 : Math.max(silence, 0) + 1
    const isDead = pulse.silence === DEAD || pulse.silence === DEAD_PAUSED
    if (isDead) this.#cutOff(socket)
    else if (pulse.silence % BEATS !== 0) socket.ping()
  }

  #cutOff (socket: StreamSocket): void {
    socket[kSettings].counts.unresponsive++
    socket.terminate()
    socket.emit('error', new UnresponsiveError(this.#interval))
  }
}
