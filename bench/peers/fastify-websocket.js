import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import { listeners } from '../lib/handlers.js'
import { listenFastify } from './listen.js'

export async function start (handler) {
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate: false } })
  fastify.get('/echo', { websocket: true }, listeners[handler])
  return await listenFastify(fastify)
}
