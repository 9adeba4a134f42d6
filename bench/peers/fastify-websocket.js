import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import { listenFastify } from '../lib/loopback.js'
import { listeners } from './handlers.js'
import { addPlainRoute } from './plain-route.js'

export async function start (handler, { perMessageDeflate }) {
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate } })
  fastify.get('/echo', { websocket: true }, listeners[handler])
  addPlainRoute(fastify)
  return await listenFastify(fastify)
}
