/**
 * The state of an outbox, a bit each, behind those of the tick: an idle connection is to be small.
 */
import { TICK_BITS } from './tick'

/** The last frame was a fragment: what follows is part of the same message. */
export const FRAGMENTING = 1 << TICK_BITS

/** This side has closed the connection, or cut it off. */
export const CLOSED_HERE = 1 << TICK_BITS + 1

/**
 * All that was sent has left the process. Set by `close()` if nothing was waiting then, and else
 * when the close frame has left. `onceFinished` clears it, because the stream waits for that frame.
 */
export const LEFT = 1 << TICK_BITS + 2

/** The application has cut the connection off, and what was unsent with it. */
export const TERMINATED = 1 << TICK_BITS + 3

/** The peer was too far behind. */
export const SLOW = 1 << TICK_BITS + 4

/** The peer can read messages that were compressed once for all. Set with the handshake. */
export const SHARES_DEFLATE = 1 << TICK_BITS + 5
