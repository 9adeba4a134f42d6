/** Counts of the connections of a server. The numbers only grow. */
export class ConnectionCounts {
  accepted = 0
  /** Connections that were cut off because the peer did not answer a ping. */
  unresponsive = 0
  /** Connections that were closed because the peer read too slowly. */
  tooSlow = 0
  /** Connections that have ended, by close code. ws accepts only some 2000 different codes. */
  readonly #closed = new Map<number, number>()

  /** A connection has ended. */
  close (code: number): void {
    this.#closed.set(code, (this.#closed.get(code) ?? 0) + 1)
  }

  /** How many connections have ended, by the close code. */
  get closed (): Record<number, number> {
    return Object.fromEntries(this.#closed)
  }
}
