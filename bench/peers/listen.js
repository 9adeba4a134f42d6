import { once } from 'node:events'

const HOST = '127.0.0.1'

/** Listens on a free port and resolves with the server. */
export async function listen (server) {
  server.listen(0, HOST)
  await once(server, 'listening')
  return server
}

/** The same for a Fastify instance: resolves with its HTTP server. */
export async function listenFastify (fastify) {
  fastify.get('/plain', () => ({ hello: 'world' }))
  await fastify.listen({ port: 0, host: HOST })
  return fastify.server
}
