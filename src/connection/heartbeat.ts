import { UnresponsiveError } from '../stream/errors'
import type { StreamSocket } from '../stream/socket'
import { kOutbox } from '../stream/symbols'
import { onNextTurn } from './next-turn'

/** A connection, as its heartbeat sees it. */
export interface Pulse {
  readonly socket: StreamSocket
  /** The progress of the socket at the last beat. */
  progress: number
  /** Beats since then without any; those of a socket that is paused count downwards. */
  silence: number
}

/**
 * Turns of the event loop between a beat and its checks. When timers are late, because the process
 * was stopped or busy, Node.js runs them before it reads what has arrived meanwhile; and the fake
 * timers of a test run an hour of beats at once. With one turn, what has arrived is read. With some
 * more, a client in memory has also answered the ping of the beat before.
 */
const TURNS = 8

type PulseSource = (heartbeat: Heartbeat) => Iterable<Pulse>

/** Beats in one interval: after the first without progress, the peer is pinged. */
const BEATS = 2

/** Then it has a whole interval to answer. */
const DEAD = 1 + BEATS

/**
 * Nothing arrives on a connection that the application keeps paused, so its peer is given this many
 * intervals, and a dead one does not stay for ever.
 */
const DEAD_PAUSED = -20 * BEATS

/**
 * Pings silent peers and cuts off those that do not answer. Whatever arrives is a sign of life, and
 * so is what leaves after it had to wait in the process. What the system has taken tells nothing: a
 * ping waits behind it, so the interval is to be longer than that takes.
 */
export class Heartbeat {
  readonly #interval: number
  readonly #pulses: PulseSource
  #count = 0
  #timer: NodeJS.Timeout | null = null
  /** How many are left until the checks of the last beat, or 0. */
  #turns = 0

  /**
   * @param interval milliseconds of silence until a ping, and then until the end
   * @param pulses all that have this heartbeat, and are found so that none needs a place in a list
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

  /** Beats that see no turn of the event loop count as one. */
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
    socket.terminate()
    socket.emit('error', new UnresponsiveError(this.#interval))
  }
}
