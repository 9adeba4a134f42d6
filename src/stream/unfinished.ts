/**
 * The rest of a chunk of a connection, kept until the next chunk arrives. Most connections never
 * have one: their chunks end where a frame ends.
 */
import type { Duplex } from 'node:stream'

/** See the header of this file. */
export class Unfinished {
  readonly transport: Duplex
  /** Bytes from the beginning of a frame on: a part of its header, or bytes that wait for ws. */
  kept: Buffer | null = null
  /** How many of these bytes ws has got: it can refuse a frame before the header is whole. */
  given = 0
  /** How many bytes are missing of the payload of a frame that ws gets. */
  missing = 0
  /** The mask key for the missing bytes. */
  key = 0
  /** The first byte of the header of this frame. */
  first = 0
  /** How many frames ws has got of a message whose last frame has not arrived. */
  fragments = 0
  /** ws has got a final frame, and has not shown it yet. */
  isWaiting = false

  constructor (transport: Duplex) {
    this.transport = transport
  }

  /** Returns the kept bytes and forgets them. */
  takeKept (): Buffer | null {
    const { kept } = this
    this.kept = null
    return kept
  }

  /** Returns a chunk with the kept bytes in front of it. */
  join (chunk: Buffer): Buffer {
    const kept = this.takeKept()
    return kept === null ? chunk : Buffer.concat([kept, chunk])
  }
}

/** Null while nothing is left; `over` when nothing more is read. */
export type ReadState = Unfinished | 'over' | null

/** Returns, and resets, how many bytes of a header ws has got before the header was whole. */
export function takeGiven (state: ReadState): number {
  if (!(state instanceof Unfinished)) return 0
  const { given } = state
  state.given = 0
  return given
}

/** Whether ws has got a final frame, and has not shown it yet. */
export function isWaiting (state: ReadState): boolean {
  return state instanceof Unfinished && state.isWaiting
}

/** Whether ws has got a part of the frame that comes next, or of its message. */
export function isOfWs (state: ReadState): boolean {
  return state instanceof Unfinished && state.fragments + state.given > 0
}
