import type { Teardown } from './servers'

/** The timers that were set since, by their delay, and have neither fired nor been cleared. */
export function recordTimers (t: Teardown): Map<unknown, number> {
  const { setTimeout, clearTimeout } = globalThis
  const timers = new Map<unknown, number>()
  const set = (callback: (...args: unknown[]) => void, delay = 0, ...args: unknown[]) => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      callback(...args)
    }, delay)
    timers.set(timer, delay)
    return timer
  }
  const clear = (timer?: NodeJS.Timeout): void => {
    timers.delete(timer)
    clearTimeout(timer)
  }
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear })
  t.teardown(() => { Object.assign(globalThis, { setTimeout, clearTimeout }) })
  return timers
}
