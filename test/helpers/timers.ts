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
  #halfOver = new Set<unknown>()

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

  /** Half of their time passes: that of those that have waited for the other half is over. */
  passHalf (): void {
    const over = [...this.#callbacks].filter(([timer]) => this.#halfOver.has(timer))
    for (const [timer] of over) this.#callbacks.delete(timer)
    this.#halfOver = new Set(this.#callbacks.keys())
    for (const [, callback] of over) callback()
  }

  set (callback: () => void): object {
    const timer = {
      refresh: () => {
        this.refreshes++
        this.#halfOver.delete(timer)
        // One that has fired starts again.
        this.#callbacks.set(timer, callback)
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

/** Intervals that pass only when the test says so. */
export class HeldIntervals {
  readonly #intervals = new Map<unknown, { callback: () => void, delay: number }>()

  /** How long each of them is, in milliseconds; those that keep the process alive are negative. */
  get delays (): number[] {
    return [...this.#intervals.values()].map(({ delay }) => delay)
  }

  /** Each of them has passed once. */
  run (): void {
    for (const { callback } of [...this.#intervals.values()]) callback()
  }

  set (callback: () => void, delay: number): object {
    const interval = { callback, delay: -delay }
    const timer = {
      unref: () => {
        interval.delay = delay
        return timer
      }
    }
    this.#intervals.set(timer, interval)
    return timer
  }

  clear (timer: unknown): void {
    this.#intervals.delete(timer)
  }
}

/** Holds all intervals that are set from now on. */
export function holdIntervals (t: Teardown): HeldIntervals {
  const { setInterval, clearInterval } = globalThis
  const held = new HeldIntervals()
  const set = (callback: (...args: unknown[]) => void, delay = 0, ...args: unknown[]) => {
    return held.set(() => { callback(...args) }, delay)
  }
  Object.assign(globalThis, {
    setInterval: set, clearInterval: (timer: unknown) => { held.clear(timer) }
  })
  t.teardown(() => { Object.assign(globalThis, { setInterval, clearInterval }) })
  return held
}
