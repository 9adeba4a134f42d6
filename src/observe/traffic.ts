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

// Where each number stands in the array of a Traffic.
const MESSAGES_RECEIVED = 0
const BYTES_RECEIVED = 1
const MESSAGES_SENT = 2
const BYTES_SENT = 3
const MESSAGES_DROPPED = 4
const DELIVERED = 5

const COUNT = 6

/** See the header of this file. */
export class Traffic {
  /**
   * A number in a typed array is changed in place. For a property of an object, V8 may allocate
   * memory at each change once the number is above 2 ** 31.
   */
  readonly #numbers = new Float64Array(COUNT)
  readonly #sum: Traffic | null

  /** @param sum the numbers of the server, if these are those of one connection */
  constructor (sum: Traffic | null = null) {
    this.#sum = sum
  }

  #add (index: number, count: number): void {
    this.#numbers[index] = this.#get(index) + count
  }

  #get (index: number): number {
    // The type of an element does not know that the index is below the length.
    return this.#numbers[index] as number
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
    return {
      messagesReceived: this.#get(MESSAGES_RECEIVED),
      bytesReceived: this.#get(BYTES_RECEIVED),
      messagesSent: this.#get(MESSAGES_SENT),
      bytesSent: this.#get(BYTES_SENT),
      messagesDropped: this.#get(MESSAGES_DROPPED),
      delivered: this.#get(DELIVERED)
    }
  }
}
