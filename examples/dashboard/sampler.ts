// Once a second, what the page shows: the numbers of the application, and what its charts need of
// them, for the last five minutes.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { WebsocketStats } from 'fastify-websocket'

const INTERVAL = 1000
/** Points that are kept, for pages that are opened later. */
const KEPT = 300
/** Milliseconds between two looks at the event loop, which Node.js counts as delay. */
const RESOLUTION = 10
const NANOSECONDS = 1e6

/** A second in the charts. */
export interface Point {
  /** Milliseconds since 1970. */
  time: number
  open: number
  /** Messages and refusals, a second. */
  received: number
  sent: number
  refused: number
  /** Milliseconds that the event loop was late: the 99th percentile, and the longest. */
  delay: number
  longestDelay: number
}

/** What a page gets: points that it does not have yet, and the numbers of now. */
export interface Update {
  points: Point[]
  stats: WebsocketStats
  /** Bytes of memory that the process holds. */
  memory: number
  /** Seconds since the process has started. */
  uptime: number
}

/** See the header of this file. */
export class Sampler {
  readonly #stats: () => WebsocketStats
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  readonly #points: Point[] = []
  #last = { received: 0, sent: 0, refused: 0 }
  #lastTime = 0
  #timer: NodeJS.Timeout | undefined

  constructor (stats: () => WebsocketStats) {
    this.#stats = stats
  }

  /** Begins, and calls back each second with what is new. */
  start (onUpdate: (update: Update) => void): void {
    this.#last = totalsOf(this.#stats())
    this.#lastTime = performance.now()
    this.#delays.enable()
    this.#timer = setInterval(() => {
      const stats = this.#stats()
      onUpdate(toUpdate([this.#addPoint(stats)], stats))
    }, INTERVAL)
  }

  stop (): void {
    clearInterval(this.#timer)
    this.#delays.disable()
  }

  /** All that is kept. */
  get all (): Update {
    return toUpdate(this.#points, this.#stats())
  }

  #addPoint (stats: WebsocketStats): Point {
    const totals = totalsOf(stats)
    const time = performance.now()
    const rate = (key: keyof typeof totals): number => {
      return (totals[key] - this.#last[key]) / (time - this.#lastTime) * 1000
    }
    const point = {
      time: Date.now(),
      open: stats.open,
      received: rate('received'),
      sent: rate('sent'),
      refused: rate('refused'),
      delay: toDelay(this.#delays.percentile(99)),
      longestDelay: toDelay(this.#delays.max)
    }
    this.#delays.reset()
    this.#last = totals
    this.#lastTime = time
    this.#points.push(point)
    if (this.#points.length > KEPT) this.#points.shift()
    return point
  }
}

function totalsOf ({ messagesReceived, messagesSent, refused }: WebsocketStats) {
  return {
    received: messagesReceived,
    sent: messagesSent,
    refused: refused.reduce((sum, { count }) => sum + count, 0)
  }
}

function toUpdate (points: Point[], stats: WebsocketStats): Update {
  return { points, stats, memory: process.memoryUsage.rss(), uptime: process.uptime() }
}

function toDelay (nanoseconds: number): number {
  return Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION)
}
