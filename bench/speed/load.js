import { once } from 'node:events'
import { connect } from 'node:net'
import { createExchange, headLength } from './exchanges.js'

const NONE = Buffer.alloc(0)

/** Connections that are opened at the same time. */
const CONCURRENT_OPENINGS = 16

/** All connections read into it: what a read brings is used up before the next one. */
const READ_BUFFER = Buffer.alloc(256 * 1024)

/** Raw connections that keep a server busy: each has some messages in flight, no more, no less. */
export class Load {
  #exchange
  #links = []
  #unsent = 0
  #unanswered = 0
  #finish = null

  constructor (work) {
    this.#exchange = createExchange(work)
  }

  async open (port, connections) {
    const open = async () => {
      while (this.#links.length < connections) {
        const link = new Link(this.#exchange, (answers) => this.#onAnswers(link, answers))
        this.#links.push(link)
        await link.open(port)
      }
    }
    await Promise.all(Array.from({ length: CONCURRENT_OPENINGS }, open))
  }

  /** Checks, once for each connection, that answers have the right content. */
  async verify () {
    for (const link of this.#links) await link.verify()
  }

  /** Resolves, with the seconds it took, when `count` messages are sent and answered. */
  run (count, inFlight) {
    const start = performance.now()
    this.#unsent = count
    this.#unanswered = count
    return new Promise((resolve) => {
      this.#finish = () => resolve((performance.now() - start) / 1000)
      for (const link of this.#links) {
        link.prepare(inFlight)
        this.#send(link, inFlight)
      }
    }).finally(() => { this.#links.forEach((link) => link.checkIdle()) })
  }

  #send (link, messages) {
    const sent = Math.min(messages, this.#unsent)
    this.#unsent -= sent
    if (sent > 0) link.send(sent)
  }

  #onAnswers (link, answers) {
    this.#send(link, answers)
    this.#unanswered -= answers
    if (this.#unanswered === 0) this.#finish()
  }

  close () {
    this.#links.forEach((link) => link.close())
    this.#links = []
  }
}

/** One connection. */
class Link {
  #exchange
  #onAnswers
  #socket = null
  #onData = unexpected
  #counter
  #answerSize = 0
  #counted = 0
  #inFlight = 0
  #batch = NONE

  constructor (exchange, onAnswers) {
    this.#exchange = exchange
    this.#onAnswers = onAnswers
    this.#counter = exchange.createCounter()
  }

  async open (port) {
    const callback = (length, buffer) => this.#onData(buffer.subarray(0, length))
    const onread = { buffer: READ_BUFFER, callback }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('close', () => { throw new Error('the server has closed a connection') })
    await once(this.#socket, 'connect')
    const { opening } = this.#exchange
    if (opening === null) return
    const head = await this.#exchangeOnce(opening, (data) => headLength(data) > 0)
    if (!head.includes('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${head}`)
    if (/sec-websocket-extensions/i.test(head.toString())) throw new Error('compression is on')
    if (headLength(head) !== head.length) unexpected()
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
        this.#onData = unexpected
        resolve(received)
      }
      this.#socket.write(data)
    })
  }

  /** Gets ready to have up to `inFlight` messages on the way. */
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
    if (this.#inFlight < 0) throw new Error('more answers than messages')
    this.#onAnswers(answers)
  }

  /** From now on nothing may come. */
  checkIdle () {
    this.#onData = unexpected
    if (this.#inFlight !== 0 || this.#counted !== 0) unexpected()
  }

  close () {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }
}

function unexpected () {
  throw new Error('the server has sent more than was asked for')
}
