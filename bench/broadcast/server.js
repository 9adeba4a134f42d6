import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import fastifyWebsocket from '../../dist/index.js'
import Fastify from 'fastify'
import { answerQuestions } from '../lib/ipc.js'

/** Messages after which memory is looked at, after a collection. */
const SAMPLE_EVERY = 32

/** What the broadcast waits for. It does not wait for those who never read. */
const readers = []

let fastify
let peak = { rss: 0, used: 0 }

answerQuestions({
  /** @param options `maxBackpressure` of the plugin, and `websocket` of the route */
  async start ({ maxBackpressure, websocket = true }) {
    fastify = Fastify()
    await fastify.register(fastifyWebsocket, { maxBackpressure })
    fastify.get('/reader', { websocket }, ({ socket }) => { readers.push(socket) })
    fastify.get('/stalled', { websocket }, () => {})
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    return fastify.server.address().port
  },

  async settle () {
    globalThis.gc()
    await delay(100)
    peak = { rss: 0, used: 0 }
    return sample()
  },

  /** Sends messages to all clients, each when those who read have got the one before. */
  async broadcast (messages, length) {
    const { clients } = fastify.websocketServer
    const start = performance.now()
    for (let i = 0; i < messages; i++) {
      const message = String(i).padEnd(length, ' and so on')
      for (const client of clients) client.send(message)
      await untilRead()
      if (i % SAMPLE_EVERY === 0) sample()
    }
    sample()
    return (performance.now() - start) / 1000
  },

  peak: () => peak,

  countClients: () => fastify.websocketServer.clients.size
})

async function untilRead () {
  while (readers.some(({ bufferedAmount }) => bufferedAmount > 0)) await turn()
}

function sample () {
  globalThis.gc()
  const { rss, heapUsed, external } = process.memoryUsage()
  const now = { rss, used: heapUsed + external }
  peak = { rss: Math.max(peak.rss, now.rss), used: Math.max(peak.used, now.used) }
  return now
}
