/**
 * The load of a work: connections that keep the server busy. Each connection has a fixed number of
 * messages in flight, and sends a message for each answer, until the messages of the run are sent.
 */

import { openMany } from '../lib/open-many.js'
import { createExchange } from './exchanges.js'
import { Link } from './link.js'

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
    await openMany(connections, () => {
      const link = new Link(this.#exchange, (answers) => this.#onAnswers(link, answers))
      this.#links.push(link)
      return link.open(port)
    })
  }

  /** Compares the content of one answer on each connection with the expected content. */
  async verify () {
    for (const link of this.#links) await link.verify()
  }

  /** Sends `count` messages. Resolves with the seconds until the last answer has come. */
  async run (count, inFlight) {
    const start = performance.now()
    this.#unsent = count
    this.#unanswered = count
    await new Promise((resolve) => {
      this.#finish = resolve
      for (const link of this.#links) {
        link.prepare(inFlight)
        this.#send(link, inFlight)
      }
    })
    const seconds = (performance.now() - start) / 1000
    this.#links.forEach((link) => link.checkIdle())
    return seconds
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
