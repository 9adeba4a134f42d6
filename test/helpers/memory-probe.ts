// Loaded into a program before it starts: on each SIGUSR2 it prints what memory the program holds.
// Garbage is collected first, so that what is counted is what is kept.
import { exposeGarbageCollector } from './gc'

/** Milliseconds from one look to the next. */
const PAUSE = 250

const collect = exposeGarbageCollector()
let reports = 0
let peak = 0

process.on('SIGUSR2', () => {
  const buffers = measure()
  console.log(`memory ${++reports} ${JSON.stringify({ buffers, peak })}`)
  peak = buffers
})

watch()

function watch (): void {
  measure()
  // Not an interval: on a busy machine there would be no time between two collections.
  setTimeout(watch, PAUSE).unref()
}

/** Bytes of all buffers. */
function measure (): number {
  // The memory of buffers that one collection finds unused is given back by the next.
  collect()
  collect()
  const { arrayBuffers } = process.memoryUsage()
  peak = Math.max(peak, arrayBuffers)
  return arrayBuffers
}
