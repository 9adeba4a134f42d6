/**
 * One connection of a load. Its methods are called in this order:
 *
 *   open       connects, and makes the handshake if the exchange has one
 *   verify     sends one message and compares the answer byte by byte
 *   prepare    begins a run, in which the bytes of the answers are only counted
 *   send       sends some messages, at first and whenever answers have come
 *   checkIdle  ends the run
 *
 * A byte that comes when no answer is due is an error. It ends the client and the benchmark.
 */

import { once } from 'node:events'
import { checkUpgrade, headLength } from '../lib/handshake.js'
import { connectTo } from '../lib/loopback.js'

const NONE = Buffer.alloc(0)

/** One buffer for all connections: each chunk is used up before the next read. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

export class Link {
  #exchange
  #onAnswers
  #socket = null
  #onData = failOnSurplus
  #counter
  /** What the counter counts for one answer. */
  #answerSize = 0
  /** Counted bytes of an answer that is not complete. */
  #counted = 0
  #inFlight = 0
  /** Copies of the message, so that several of them leave in one write. */
  #batch = NONE

  /** @param onAnswers is called with the number of answers that a chunk has completed */
  constructor (exchange, onAnswers) {
    this.#exchange = exchange
    this.#onAnswers = onAnswers
    this.#counter = exchange.createCounter()
  }

  async open (port) {
    const callback = (length, buffer) => this.#onData(buffer.subarray(0, length))
    this.#socket = connectTo(port, { onread: { buffer: READ_BUFFER, callback } })
    this.#socket.on('close', () => { throw new Error('the server has closed a connection') })
    await once(this.#socket, 'connect')
    const { opening, extension } = this.#exchange
    if (opening === null) return
    const answer = await this.#exchangeOnce(opening, (data) => headLength(data) > 0)
    checkUpgrade(answer, extension)
  }

  async verify () {
    const { message, isComplete, check } = this.#exchange
    this.#answerSize = check(await this.#exchangeOnce(message, isComplete))
  }

  #exchangeOnce (data, isComplete) {
    return new Promise((resolve) => {
      let received = NONE
      this.#onData = (chunk) => {
        received = Buffer.concat([received, chunk])
        if (!isComplete(received)) return
        this.#onData = failOnSurplus
        resolve(received)
      }
      this.#socket.write(data)
    })
  }

  /** @param inFlight the most messages that will be unanswered at any time of the run */
  prepare (inFlight) {
    this.#batch = Buffer.concat(Array(inFlight).fill(this.#exchange.message))
    this.#onData = this.#countAnswers
  }

  send (messages) {
    this.#inFlight += messages
    this.#socket.write(this.#batch.subarray(0, messages * this.#exchange.message.length))
  }

  #countAnswers (chunk) {
    this.#counted += this.#counter.count(chunk)
    const answers = Math.floor(this.#counted / this.#answerSize)
    if (answers === 0) return
    this.#counted -= answers * this.#answerSize
    this.#inFlight -= answers
    if (this.#inFlight < 0) failOnSurplus()
    this.#onAnswers(answers)
  }

  /** Throws if an answer is missing. */
  checkIdle () {
    this.#onData = failOnSurplus
    if (this.#inFlight > 0) throw new Error('an answer is missing')
    if (this.#counted > 0) failOnSurplus()
  }

  close () {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }
}

function failOnSurplus () {
  throw new Error('the server has sent more than the answers to the messages')
}
