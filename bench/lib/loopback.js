import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const HOST = '127.0.0.1'

/** Makes a server listen on a free port of 127.0.0.1 and resolves with the server. */
export async function listen (server) {
  server.listen(0, HOST)
  await once(server, 'listening')
  return server
}

/** The same for a Fastify instance: resolves with its HTTP server. */
export async function listenFastify (fastify) {
  await fastify.listen({ port: 0, host: HOST })
  return fastify.server
}

/** A TCP connection to a port of 127.0.0.1. `options` are those of `connect` in node:net. */
export function connectTo (port, options) {
  return connect({ ...options, port, host: HOST, noDelay: true })
}

/** Resolves when `server` has no open TCP connection. */
export async function untilIdle (server) {
  while (await countConnections(server) > 0) await delay(10)
}

function countConnections (server) {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => { error === null ? resolve(count) : reject(error) })
  })
}
