/** As they are when this module is loaded: the fake timers of a test replace the global ones. */
const { setInterval, clearInterval } = globalThis

const A_DAY = 24 * 60 * 60 * 1000

let count = 0
let timer: NodeJS.Timeout | undefined

/**
 * Keeps the process alive until {@link release} has been called as often, as a handle of the system
 * does: what exists only in memory would let Node.js end in the middle of a test.
 */
export function hold (): void {
  if (count++ === 0) timer = setInterval(() => {}, A_DAY)
}

/** Undoes one {@link hold}. */
export function release (): void {
  if (--count === 0) clearInterval(timer)
}
