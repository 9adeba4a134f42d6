/**
 * The server of the soak: a route for each way to use and to end a connection, and `settle`, which
 * tells what connections have left behind.
 */

import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import fastifyWebsocket from '../../dist/index.js'
import { answerQuestions } from '../lib/ipc.js'
import { listenFastify, untilIdle } from '../lib/loopback.js'
import { collectGarbage, readMemory } from '../lib/memory.js'

/** Several collections with long pauses, so that 5 % of the heap is more than the noise. */
const COLLECTIONS = 6
const COLLECTION_PAUSE = 200

/** Handlers by path. */
const handlers = {
  '/echo': ({ socket }) => { socket.on('message', (data) => { socket.send(data) }) },
  '/pipe': (connection) => { connection.pipe(connection) },
  '/never-reads': () => {},
  '/end': onMessage((connection) => { connection.end('bye') }),
  '/destroy': onMessage((connection) => { connection.destroy() }),
  '/destroy-error': onMessage((connection) => { connection.destroy(new Error('destroyed')) }),
  '/close': onMessage(({ socket }) => { socket.close(4001, 'bye') }),
  '/terminate': onMessage(({ socket }) => { socket.terminate() }),
  '/listener-throws': onMessage(() => { throw new Error('thrown') }),

  async '/leaves' (connection) {
    for await (const chunk of connection) if (connection.write(chunk)) break
  },

  '/throws' () { throw new Error('thrown') },

  async '/rejects' () {
    await turn()
    throw new Error('rejected')
  }
}

function onMessage (end) {
  return (connection) => { connection.socket.on('message', () => end(connection)) }
}

// The plugin's log lines are made, because they could keep a connection alive, and thrown away.
const logger = { level: 'debug', stream: { write () {} } }

let fastify

answerQuestions({
  async start () {
    fastify = Fastify({ logger })
    await fastify.register(fastifyWebsocket, { options: { perMessageDeflate: true } })
    for (const [path, handler] of Object.entries(handlers)) {
      fastify.get(path, { websocket: true }, handler)
    }
    const onRequest = async (request, reply) => {
      await turn()
      return reply.code(401).send({ message: 'no' })
    }
    fastify.get('/refused', { websocket: true, onRequest }, () => {})
    const server = await listenFastify(fastify)
    return server.address().port
  },

  /** The state of the server when all connections have ended, after collections. */
  async settle () {
    await untilIdle(fastify.server)
    while (fastify.websocketServer.clients.size > 0) await delay(10)
    await collectGarbage(COLLECTIONS, COLLECTION_PAUSE)
    return {
      ...readMemory(),
      clients: fastify.websocketServer.clients.size,
      resources: countEach(process.getActiveResourcesInfo()),
      listeners: {
        ...countListeners('server', fastify.server),
        ...countListeners('websocketServer', fastify.websocketServer),
        ...countListeners('process', process)
      }
    }
  }
})

function countEach (names) {
  const counts = {}
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function countListeners (name, emitter) {
  const events = emitter.eventNames()
  return Object.fromEntries(events.map((event) => {
    return [`${name} ${String(event)}`, emitter.listenerCount(event)]
  }))
}
