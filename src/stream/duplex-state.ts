// The state of a stream. The bits share one number, so that a connection takes little memory.

/** The stream has been read, or is being read. */
export const HAS_READER = 1 << 0
/** The stream flows without a listener, so it throws away the messages that arrive. */
export const DRAINING = 1 << 1
/** The read buffer of the stream is full. */
export const FULL = 1 << 2
/** The WebSocket is closed and has no more messages for the stream. */
export const ENDED = 1 << 3
