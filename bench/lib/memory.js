/**
 * The memory of a server process: collecting garbage, reading the size, and its peak. All sizes are
 * in bytes.
 */

import { setTimeout as delay } from 'node:timers/promises'

/**
 * Collects garbage `times` times; the process needs --expose-gc. Finalizers run after a collection
 * and release more memory, so there is a pause of `pause` milliseconds and then another collection.
 */
export async function collectGarbage (times = 2, pause = 100) {
  for (let i = 1; i < times; i++) {
    globalThis.gc()
    await delay(pause)
  }
  globalThis.gc()
}

/** Memory of this process. `used` is the heap and the external memory together. */
export function readMemory () {
  const { rss, heapUsed: heap, external } = process.memoryUsage()
  return { rss, heap, external, used: heap + external }
}

/** The highest of several looks at the memory of this process. */
export class MemoryPeak {
  #rss = 0
  #used = 0

  /** Forgets the peak so far, looks at the memory and returns it. */
  restart () {
    this.#rss = 0
    this.#used = 0
    return this.sample()
  }

  /** Looks at the memory and returns it. */
  sample () {
    const memory = readMemory()
    this.#rss = Math.max(this.#rss, memory.rss)
    this.#used = Math.max(this.#used, memory.used)
    return memory
  }

  read () {
    return { rss: this.#rss, used: this.#used }
  }
}

/** By how much memory grew, at its peak and at the end, above its size before. */
export function memoryGrowth (before, peak, after) {
  return {
    peakRss: peak.rss - before.rss,
    peakUsed: peak.used - before.used,
    rss: after.rss - before.rss,
    used: after.used - before.used
  }
}
