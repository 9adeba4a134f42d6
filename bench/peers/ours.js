import { listenFastify } from '../lib/loopback.js'
import { listeners } from './handlers.js'
import { addPlainRoute } from './plain-route.js'

/** The messages of the work `json`, as schemas. */
const MESSAGE = {
  type: 'object',
  required: ['type', 'room', 'text'],
  properties: { type: { const: 'say' }, room: { type: 'integer' }, text: { type: 'string' } }
}

const SCHEMA = { incoming: MESSAGE, outgoing: MESSAGE }

/**
 * @param options.build the URL of the module that the package exports, of this or another build
 * @param options.isByHand in the work `json`, the listener parses and serializes, without schemas
 */
export async function start (handler, { build, perMessageDeflate, isByHand = false }) {
  const { default: fastifyWebsocket } = await import(build)
  const { default: Fastify } = await import('fastify')
  const fastify = Fastify()
  await fastify.register(fastifyWebsocket, { options: { perMessageDeflate } })
  const schema = handler === 'json' && !isByHand ? SCHEMA : {}
  fastify.get('/echo', { websocket: true, schema }, (connection) => {
    if (schema === SCHEMA) connection.on('data', (message) => { connection.write(message) })
    else if (handler === 'pipe') connection.pipe(connection)
    else listeners[handler](connection.socket)
  })
  addPlainRoute(fastify)
  return await listenFastify(fastify)
}
