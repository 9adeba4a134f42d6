/**
 * The server of the memory benchmark, with one of three handlers that do not keep up with the
 * client. It looks at its memory at short intervals, to find the peak.
 */

import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import fastifyWebsocket from '../../dist/index.js'
import { answerQuestions } from '../lib/ipc.js'
import { listenFastify } from '../lib/loopback.js'
import { collectGarbage, MemoryPeak } from '../lib/memory.js'

/** Milliseconds between two looks at the memory. */
const SAMPLE_INTERVAL = 20

/** Bytes that the slow reader reads before each of its pauses. */
const READ_BEFORE_PAUSE = 64 * 1024

/** Handlers that read more slowly than the client sends, or that do not read. */
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

const peak = new MemoryPeak()

answerQuestions({
  async start (name) {
    const fastify = Fastify()
    await fastify.register(fastifyWebsocket)
    fastify.get('/', { websocket: true }, handlers[name])
    const server = await listenFastify(fastify)
    setInterval(() => { peak.sample() }, SAMPLE_INTERVAL).unref()
    return server.address().port
  },

  /** Memory after a collection. The peak starts again from here. */
  async settle () {
    await collectGarbage()
    return peak.restart()
  },

  peak () {
    peak.sample()
    return peak.read()
  }
})
