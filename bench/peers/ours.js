import { listenFastify } from '../lib/loopback.js'
import { listeners } from './handlers.js'
import { addPlainRoute } from './plain-route.js'

/** @param options.build the URL of the module that the package exports, of this or another build */
export async function start (handler, { build, perMessageDeflate }) {
  const { default: fastifyWebsocket } = await import(build)
  const { default: Fastify } = await import('fastify')
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate } })
  fastify.get('/echo', { websocket: true }, (connection) => {
    if (handler === 'pipe') connection.pipe(connection)
    else listeners[handler](connection.socket)
  })
  addPlainRoute(fastify)
  return await listenFastify(fastify)
}
