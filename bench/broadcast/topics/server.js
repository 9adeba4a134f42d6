/** The server of the benchmark of topics: it sends the same to all clients, in one of three ways. */

import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import { WebSocketServer } from 'ws'
import fastifyWebsocket from '../../../dist/index.js'
import { answerQuestions } from '../../lib/ipc.js'
import { listenFastify } from '../../lib/loopback.js'

const TOPIC = 'topic'

let clients
let publish

/** How a message goes to all clients. */
const WAYS = {
  publish: (message) => { publish(message) },
  loop: (message) => { for (const client of clients) client.send(message) },
  ws: (message) => { for (const client of clients) client.send(message) }
}

async function startOurs (perMessageDeflate) {
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate } })
  fastify.get('/', { websocket: true }, ({ socket }) => { socket.subscribe(TOPIC) })
  const server = await listenFastify(fastify)
  clients = fastify.websocketServer.clients
  publish = (message) => fastify.websocketServer.publish(TOPIC, message)
  return server.address().port
}

async function startWs (perMessageDeflate) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate })
  await new Promise((resolve) => { server.once('listening', resolve) })
  clients = server.clients
  return server.address().port
}

answerQuestions({
  start: (way, perMessageDeflate) => {
    return way === 'ws' ? startWs(perMessageDeflate) : startOurs(perMessageDeflate)
  },

  count: () => clients.size,

  /**
   * Sends `rounds` times `burst` messages of `length` characters in one tick, and returns the
   * microseconds of CPU time of this process for each delivered message.
   */
  async broadcast (way, rounds, burst, length) {
    const send = WAYS[way]
    const before = process.cpuUsage()
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < burst; i++) send(`${round} ${i} `.padEnd(length, 'and so on '))
      do await turn(); while ([...clients].some(({ bufferedAmount }) => bufferedAmount > 0))
    }
    const { user, system } = process.cpuUsage(before)
    return (user + system) / (rounds * burst * clients.size)
  }
})
