/**
 * How many messages went over the connections of a server, and how many bytes they had. Each
 * message adds to the numbers of its server. A connection that is to be told apart has numbers of
 * its own, which are added to those of the server at its end.
 */

/** Numbers that only grow. Bytes are those of the payloads, uncompressed and without headers. */
export interface TrafficNumbers {
  messagesReceived: number
  bytesReceived: number
  messagesSent: number
  bytesSent: number
  /** Messages that were dropped because no reader took them. */
  messagesDropped: number
}

const NUMBERS: ReadonlyArray<keyof TrafficNumbers> =
  ['messagesReceived', 'bytesReceived', 'messagesSent', 'bytesSent', 'messagesDropped']
const [MESSAGES_RECEIVED, BYTES_RECEIVED, MESSAGES_SENT, BYTES_SENT, MESSAGES_DROPPED] =
  [0, 1, 2, 3, 4] as const

/** See the header of this file. */
export class Traffic {
  /** In the order of NUMBERS. A typed array, because V8 allocates large numbers of an object. */
  readonly #numbers = new Float64Array(NUMBERS.length)
  /** The connections that have numbers of their own; null until there is one. */
  #apart: Set<Traffic> | null = null

  #add (index: number, count: number): void {
    // The type of an element does not know that the index is below the length.
    this.#numbers[index] = this.#numbers[index] as number + count
  }

  /** A message of `bytes` bytes has arrived. */
  receive (bytes: number): void {
    this.#add(MESSAGES_RECEIVED, 1)
    this.#add(BYTES_RECEIVED, bytes)
  }

  /** The application has sent `bytes` bytes: a message, or a part that does not end one. */
  send (bytes: number, isEnd = true): void {
    if (isEnd) this.#add(MESSAGES_SENT, 1)
    this.#add(BYTES_SENT, bytes)
  }

  drop (messages: number): void {
    this.#add(MESSAGES_DROPPED, messages)
  }

  /** Numbers for one connection. */
  setApart (): Traffic {
    const traffic = new Traffic()
    this.#apart ??= new Set()
    this.#apart.add(traffic)
    return traffic
  }

  /** The connection has ended: its numbers are added to these. */
  join (traffic: Traffic): void {
    this.#apart?.delete(traffic)
    traffic.#numbers.forEach((count, index) => { this.#add(index, count) })
  }

  /** The numbers of all connections, open or closed. */
  get total (): TrafficNumbers {
    const all = [this, ...this.#apart ?? []]
    const entries = NUMBERS.map((name, index) => {
      return [name, all.reduce((sum, traffic) => sum + Number(traffic.#numbers[index]), 0)]
    })
    // The type of the entries does not know that all names are there.
    return Object.fromEntries(entries) as TrafficNumbers
  }
}
