/**
 * The server of the broadcast. A message goes to all clients when the readers have received the
 * message before, so the only unsent messages that pile up are those for the stalled clients.
 */

import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import fastifyWebsocket from '../../dist/index.js'
import { answerQuestions } from '../lib/ipc.js'
import { listenFastify } from '../lib/loopback.js'
import { collectGarbage, MemoryPeak } from '../lib/memory.js'

/** Messages between two looks at the memory. */
const SAMPLE_EVERY = 32

/** The sockets of the clients that read. */
const readers = []

const peak = new MemoryPeak()

let fastify

answerQuestions({
  /** @param options `maxBackpressure` of the plugin, and `websocket` of the routes */
  async start ({ maxBackpressure, websocket = true }) {
    fastify = Fastify()
    await fastify.register(fastifyWebsocket, { maxBackpressure })
    fastify.get('/reader', { websocket }, ({ socket }) => { readers.push(socket) })
    fastify.get('/stalled', { websocket }, () => {})
    const server = await listenFastify(fastify)
    return server.address().port
  },

  /** Memory after a collection. The peak starts again from here. */
  async settle () {
    await collectGarbage()
    return peak.restart()
  },

  /** Sends messages of `length` characters to every client; resolves with the seconds. */
  async broadcast (messages, length) {
    const { clients } = fastify.websocketServer
    const start = performance.now()
    for (let i = 0; i < messages; i++) {
      const message = String(i).padEnd(length, ' and so on')
      for (const client of clients) client.send(message)
      await untilRead()
      if (i % SAMPLE_EVERY === 0) sampleCollected()
    }
    sampleCollected()
    return (performance.now() - start) / 1000
  },

  peak: () => peak.read(),

  /** How many clients are not closed or being closed. A close lasts as long as closeTimeout. */
  countOpen () {
    const clients = [...fastify.websocketServer.clients]
    return clients.filter(({ readyState, OPEN }) => readyState === OPEN).length
  }
})

/** Resolves when every reader has taken all that was sent to it. */
async function untilRead () {
  while (readers.some(({ bufferedAmount }) => bufferedAmount > 0)) await turn()
}

function sampleCollected () {
  globalThis.gc()
  peak.sample()
}
