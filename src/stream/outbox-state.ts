/**
 * The bits in the state of an outbox, above those of the tick. They share one number, so that a
 * connection takes little memory.
 */
import { TICK_BITS } from './tick'

/** The last frame was a fragment: the next data frame is part of the same message. */
export const FRAGMENTING = 1 << TICK_BITS

/** This side has closed the connection, or cut it off. */
export const CLOSED_HERE = 1 << TICK_BITS + 1

/**
 * All that was sent has left the process. Set by `close()` if nothing was waiting then, and else
 * when the close frame has left. `onceFinished` clears it, because the stream waits for that frame.
 */
export const LEFT = 1 << TICK_BITS + 2

/** `terminate` has ended the connection: unsent data is lost on purpose. */
export const TERMINATED = 1 << TICK_BITS + 3

/** The connection was closed because its peer was too far behind. */
export const SLOW = 1 << TICK_BITS + 4

/** The peer can read messages that are compressed each on its own. Set at the handshake. */
export const DEFLATES_ALONE = 1 << TICK_BITS + 5

/** No extension was negotiated, so messages are sent as they are. Set at the handshake. */
export const PLAIN = 1 << TICK_BITS + 6
