/** The real timers: a test may later replace the global ones by fake timers. */
const { setInterval, clearInterval } = globalThis

const A_DAY = 24 * 60 * 60 * 1000

let count = 0
let timer: NodeJS.Timeout | undefined

/**
 * Keeps the process alive until {@link release} has been called as often as this. Otherwise Node.js
 * would end in the middle of a test, because a socket in memory is no handle of the system.
 */
export function hold (): void {
  if (count++ === 0) timer = setInterval(() => {}, A_DAY)
}

/** Undoes one {@link hold}. */
export function release (): void {
  if (--count === 0) clearInterval(timer)
}
