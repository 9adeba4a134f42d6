import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { WebSocket } from 'ws'
import type fastifyWebsocket from '../../src/index'
import { createFastify, listen, type Teardown } from './servers'

/** As JavaScript loads it: its types and ours describe the same names of Fastify. */
export function loadFastifyWebsocket (): FastifyPluginAsync {
  return require('@fastify/websocket')
}

/** A handler of @fastify/websocket, which passes the socket first, and then Fastify's request. */
export const answerForeign: fastifyWebsocket.WebsocketHandler = (
  socket: unknown, request: unknown
) => {
  if (!(socket instanceof WebSocket)) throw new Error('no socket')
  socket.on('message', (message) => { socket.send(`${Object(request).url} ${String(message)}`) })
}

/** An application of @fastify/websocket, on a port of its own. */
export async function serveForeign (
  t: Teardown
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t)
  await fastify.register(loadFastifyWebsocket())
  fastify.get('/foreign', { websocket: true }, answerForeign)
  fastify.route({
    method: 'GET', url: '/both', handler: async () => 'plain', wsHandler: answerForeign
  })
  fastify.get('/plain', async () => 'plain')
  return { fastify, origin: await listen(fastify) }
}
