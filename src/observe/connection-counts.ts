/** What has happened to the connections of a server. The numbers only grow. */
export class ConnectionCounts {
  accepted = 0
  /** Cut off because the peer did not answer a ping. */
  unresponsive = 0
  /** Closed because the peer took too little of what was sent. */
  tooSlow = 0
  /** By close code. ws takes some 2000 codes from peers, so the map stays small. */
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
