import { listeners } from '../lib/handlers.js'
import { listenFastify } from './listen.js'

export async function start (handler, { build }) {
  const { default: fastifyWebsocket } = await import(build)
  const { default: Fastify } = await import('fastify')
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate: false } })
  fastify.get('/echo', { websocket: true }, (connection) => {
    if (handler === 'pipe') connection.pipe(connection)
    else listeners[handler](connection.socket)
  })
  return await listenFastify(fastify)
}
