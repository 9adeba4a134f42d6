import type { FastifyInstance } from 'fastify'
import fastifyWebsocket from '../../../src/index'
import { createFastify, listen, type Teardown } from '../../helpers/servers'

/** A compatible registration with what `declare` adds behind it, and its `ws://` origin. */
export async function serveCompatible (
  t: Teardown, declare: (fastify: FastifyInstance) => unknown,
  options: fastifyWebsocket.WebsocketServerOptions = {}
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t)
  fastify.register(fastifyWebsocket, { compatible: '@fastify/websocket', options })
  await declare(fastify)
  return { fastify, origin: await listen(fastify) }
}
