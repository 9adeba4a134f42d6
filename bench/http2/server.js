/** The server of the benchmark of HTTP/2: an application that sends each message back. */

import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import fastifyWebsocket from '../../dist/index.js'
import { answerQuestions } from '../lib/ipc.js'
import { listenFastify } from '../lib/loopback.js'
import { collectGarbage, readMemory } from '../lib/memory.js'

let fastify

answerQuestions({
  /** @param tls the key and the certificate, or null */
  async start (isHttp2, tls) {
    const logger = { level: 'debug', stream: { write () {} } }
    fastify = Fastify({
      logger, ...(isHttp2 && { http2: true }), ...(tls !== null && { https: tls })
    })
    await fastify.register(fastifyWebsocket)
    fastify.get('/echo', { websocket: true }, ({ socket }) => {
      socket.on('message', (data) => { socket.send(data) })
    })
    return (await listenFastify(fastify)).address().port
  },

  /** CPU time of the process so far, user and system, in microseconds. */
  cpu () {
    const { user, system } = process.cpuUsage()
    return user + system
  },

  /** How many connections are open, and the memory of the process after collections. */
  async settle (clients) {
    while (fastify.websocketServer.clients.size !== clients) await delay(10)
    await collectGarbage(6, 200)
    return { ...readMemory(), clients: fastify.websocketServer.clients.size }
  }
})
