/**
 * The frames of each tick of a connection. They leave together when the tick ends: short ones are
 * packed into one chunk, and the transport is corked for long frames and frames of ws.
 *
 * | bit       | meaning                                | ends                                     |
 * |-----------|----------------------------------------|------------------------------------------|
 * | `BUSY`    | something was sent in this tick        | with the tick                            |
 * | `NO_WS`   | messages of this tick need not go      | with the tick                            |
 * |           | through ws                             |                                          |
 * | `CORKED`  | the transport is corked, after the     | with the tick, or when a long message    |
 * |           | packed frames were written             | has to leave                             |
 */
import type { Duplex } from 'node:stream'
import { flushPacked } from '../protocol/pack'
import { nextTick } from './next-tick'
import type { MessageSink } from './send-message'

const BUSY = 1 << 0
const NO_WS = 1 << 1
const CORKED = 1 << 2

/** How many bits of `state` this class uses. */
export const TICK_BITS = 3

/** The connections that have sent something in this tick. */
let busy: TickBatcher[] = []

/** See the header of this file. */
export abstract class TickBatcher implements MessageSink {
  /** Null until the handshake is done. */
  transport: Duplex | null = null
  /** The lowest `TICK_BITS` bits belong to this class, the higher bits to its subclass. */
  protected state = 0

  /** Whether messages need not go through ws. Read once in a tick. */
  protected abstract get maySkipWs (): boolean

  protected get skipsWs (): boolean {
    return (this.state & NO_WS) !== 0
  }

  /** Something is about to be sent. */
  protected startTick (): void {
    if ((this.state & BUSY) !== 0 || this.transport === null) return
    this.state |= this.maySkipWs ? BUSY | NO_WS : BUSY
    if (busy.length === 0) nextTick(TickBatcher.#endTicks)
    busy.push(this)
  }

  /** Ends the tick for all connections at once. */
  static #endTicks (): void {
    const ticks = busy
    busy = []
    for (const tick of ticks) tick.endTick()
  }

  protected endTick (): void {
    const isCorked = (this.state & CORKED) !== 0
    this.state &= ~(BUSY | NO_WS | CORKED)
    flushPacked(this)
    if (isCorked) this.transport?.uncork()
  }

  /** Writes the packed frames, and keeps back all later writes until the end of the tick. */
  protected cork (): void {
    flushPacked(this)
    if ((this.state & (BUSY | CORKED)) !== BUSY) return
    this.state |= CORKED
    this.transport?.cork()
  }

  /** Lets the writes that were kept back leave before the end of the tick. */
  protected uncork (): void {
    this.state &= ~CORKED
    this.transport?.uncork()
  }

  writeFrames (frames: string): void {
    // More frames may follow in this tick.
    this.cork()
    this.transport?.write(frames, 'latin1')
  }

  writeLong (header: Buffer, payload: string | Uint8Array): void {
    this.cork()
    this.transport?.write(header)
    this.transport?.write(payload)
  }
}
