/** The messages that wait in an inbox, as a linked list with its weight. */
import { compact } from './compact'

/** Added to the bytes of each waiting message, so that empty messages are not free. */
const MESSAGE_OVERHEAD = 64

/** A message that waits for a reader. */
export interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
}

interface Link extends Message {
  next: Link | null
}

/** One or more messages that wait for a reader. A message that was taken can be freed. */
export class MessageQueue {
  #oldest: Link
  #newest: Link
  #weight: number
  #length = 1

  constructor (data: Buffer, isBinary: boolean) {
    this.#oldest = this.#newest = { data: compact(data), isBinary, next: null }
    this.#weight = weigh(data)
  }

  /** Bytes of the messages, and {@link MESSAGE_OVERHEAD} for each. */
  get weight (): number {
    return this.#weight
  }

  get length (): number {
    return this.#length
  }

  get oldest (): Message {
    return this.#oldest
  }

  push (data: Buffer, isBinary: boolean): void {
    this.#newest = this.#newest.next = { data: compact(data), isBinary, next: null }
    this.#weight += weigh(data)
    this.#length++
  }

  /** Drops the oldest message. False if it is the last one, and the queue is of no more use. */
  advance (): boolean {
    const { data, next } = this.#oldest
    if (next === null) return false
    this.#oldest = next
    this.#weight -= weigh(data)
    this.#length--
    return true
  }
}

function weigh (data: Buffer): number {
  return data.length + MESSAGE_OVERHEAD
}
