/**
 * How many messages went over the connections of a server, and how many bytes they had. Each
 * message adds to the numbers of its server. A connection whose end is reported also has numbers of
 * its own.
 */

/** Numbers that only grow. Bytes are those of the payloads, uncompressed and without headers. */
export interface TrafficNumbers {
  messagesReceived: number
  bytesReceived: number
  messagesSent: number
  bytesSent: number
  /** Messages that were received and that no reader has got. */
  messagesDropped: number
  /** Messages of topics that were sent to a subscriber. They are part of `messagesSent`. */
  delivered: number
}

const NUMBERS: ReadonlyArray<keyof TrafficNumbers> = [
  'messagesReceived', 'bytesReceived', 'messagesSent', 'bytesSent', 'messagesDropped', 'delivered'
]
const [
  MESSAGES_RECEIVED, BYTES_RECEIVED, MESSAGES_SENT, BYTES_SENT, MESSAGES_DROPPED, DELIVERED
] = [0, 1, 2, 3, 4, 5] as const

/** See the header of this file. */
export class Traffic {
  /** In the order of NUMBERS. A typed array, because V8 allocates large numbers of an object. */
  readonly #numbers = new Float64Array(NUMBERS.length)
  readonly #sum: Traffic | null

  /** @param sum the numbers of the server, if these are those of one connection */
  constructor (sum: Traffic | null = null) {
    this.#sum = sum
  }

  #add (index: number, count: number): void {
    // The type of an element does not know that the index is below the length.
    this.#numbers[index] = this.#numbers[index] as number + count
  }

  /** A message of `bytes` bytes has arrived. */
  receive (bytes: number): void {
    this.#add(MESSAGES_RECEIVED, 1)
    this.#add(BYTES_RECEIVED, bytes)
    this.#sum?.receive(bytes)
  }

  /** The application has sent `bytes` bytes: a message, or a part that does not end one. */
  send (bytes: number, isEnd = true): void {
    if (isEnd) this.#add(MESSAGES_SENT, 1)
    this.#add(BYTES_SENT, bytes)
    this.#sum?.send(bytes, isEnd)
  }

  drop (messages: number): void {
    this.#add(MESSAGES_DROPPED, messages)
    this.#sum?.drop(messages)
  }

  /** A message of a topic was sent. It is counted by `send` as well. */
  deliver (): void {
    this.#add(DELIVERED, 1)
    this.#sum?.deliver()
  }

  /** The numbers of now: a new object. */
  get numbers (): TrafficNumbers {
    const entries = NUMBERS.map((name, index) => [name, this.#numbers[index]])
    // The type of the entries does not know that all names are there.
    return Object.fromEntries(entries) as TrafficNumbers
  }
}
