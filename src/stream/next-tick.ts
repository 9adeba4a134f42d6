/**
 * `process.nextTick` of Node.js, as it is when this module is loaded. Fake timers of a test replace
 * the one of the process, and then frames must still leave at the end of the tick.
 */
export const { nextTick } = process
