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

/** Timers that run only when the test says so. */
export class HeldTimers {
  /** How often one of them was started anew. */
  refreshes = 0
  readonly #callbacks = new Map<unknown, () => void>()

  /** How many wait. */
  get size (): number {
    return this.#callbacks.size
  }

  /** Their time is over. */
  run (): void {
    const callbacks = [...this.#callbacks.values()]
    this.#callbacks.clear()
    for (const callback of callbacks) callback()
  }

  set (callback: () => void): object {
    const timer = {
      refresh: () => {
        this.refreshes++
        return timer
      },
      unref: () => timer
    }
    this.#callbacks.set(timer, callback)
    return timer
  }

  /** False if it is none of them. */
  clear (timer: unknown): boolean {
    return this.#callbacks.delete(timer)
  }
}

/** Holds the timers that are set with `delay` milliseconds from now on, and no others. */
export function holdTimers (t: Teardown, delay: number): HeldTimers {
  const { setTimeout, clearTimeout } = globalThis
  const held = new HeldTimers()
  const set = (callback: (...args: unknown[]) => void, each?: number, ...args: unknown[]) => {
    return each === delay
      ? held.set(() => { callback(...args) })
      : setTimeout(callback, each, ...args)
  }
  const clear = (timer?: NodeJS.Timeout): void => {
    if (!held.clear(timer)) clearTimeout(timer)
  }
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear })
  t.teardown(() => { Object.assign(globalThis, { setTimeout, clearTimeout }) })
  return held
}
