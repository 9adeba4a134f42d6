/** The state of an inbox. The bits share one number, so that a connection takes little memory. */

// Why the transport is paused.
export const HELD = 1 << 0
export const PAUSED_BY_USER = 1 << 1

// What happens to messages that no reader takes.
/** The handler still runs, and may become a reader. */
export const HANDLING = 1 << 2
/** `pauseTimeout` has passed without a reader, so that waiting has ended. */
export const WAITED_ENOUGH = 1 << 3
/** Messages are dropped until there is a reader. */
export const DROPPING = 1 << 4
/** All messages are dropped, because the stream was destroyed. */
export const DISCARDING = 1 << 5

// Bookkeeping.
/** Waiting messages are delivered on the next tick. */
export const DELIVERING = 1 << 6
/** The warning of dropped messages was given. */
export const WARNED = 1 << 7
/** The connection is closed. */
export const CLOSED = 1 << 8
