import { setTimeout as delay } from 'node:timers/promises'
import fastifyWebsocket from '../../dist/index.js'
import Fastify from 'fastify'
import { answerQuestions } from '../lib/ipc.js'

const SAMPLE_INTERVAL = 20
const READ_BEFORE_PAUSE = 64 * 1024

/** Handlers that do not keep up with what is sent to them. */
const handlers = {
  async 'slow-reader' (connection) {
    let unpaused = 0
    for await (const chunk of connection) {
      unpaused += chunk.length
      if (unpaused < READ_BEFORE_PAUSE) continue
      unpaused = 0
      await delay(1)
    }
  },

  'awaits-for-ever': () => new Promise(() => {}),

  'never-reads' () {}
}

let peak

answerQuestions({
  async start (name) {
    const fastify = Fastify()
    await fastify.register(fastifyWebsocket)
    fastify.get('/', { websocket: true }, handlers[name])
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    return fastify.server.address().port
  },

  /** Memory after a collection; from then on the peak counts. */
  async settle () {
    globalThis.gc()
    await delay(100)
    globalThis.gc()
    peak = { rss: 0, used: 0 }
    return sample()
  },

  peak () {
    sample()
    return peak
  }
})

function sample () {
  const { rss, heapUsed, external } = process.memoryUsage()
  const now = { rss, used: heapUsed + external }
  peak = { rss: Math.max(peak.rss, now.rss), used: Math.max(peak.used, now.used) }
  return now
}

setInterval(() => { if (peak !== undefined) sample() }, SAMPLE_INTERVAL).unref()
