import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import fastifyWebsocket from '../../dist/index.js'
import Fastify from 'fastify'
import { answerQuestions } from '../lib/ipc.js'

const COLLECTIONS = 5

/** Handlers by path: ways to use a connection and to end it. */
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

// Written and thrown away: what is logged of a connection must not stay either.
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
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    return fastify.server.address().port
  },

  /** What is left when all connections are gone, after a collection. */
  async settle () {
    while (fastify.websocketServer.clients.size > 0 || await countConnections() > 0) await delay(10)
    for (let i = 0; i < COLLECTIONS; i++) {
      globalThis.gc()
      await delay(200)
    }
    globalThis.gc()
    const { heapUsed, external, rss } = process.memoryUsage()
    return {
      heap: heapUsed,
      external,
      rss,
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

function countConnections () {
  return new Promise((resolve, reject) => {
    fastify.server.getConnections((error, count) => {
      error === null ? resolve(count) : reject(error)
    })
  })
}

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
