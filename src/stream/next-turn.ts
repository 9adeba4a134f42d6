/**
 * `setImmediate` of Node.js, as it is when this module is loaded. The fake timers of a test replace
 * the global one, and then turns of the event loop must still be seen.
 */
export const onNextTurn = setImmediate
