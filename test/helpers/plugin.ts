import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import fastifyWebsocket from '../../src/index'
import { createFastify, listen, type Teardown } from './servers'

/** The handler that most tests need: it sends back what it receives, as it came. */
export const echo: fastifyWebsocket.WebsocketHandler = (connection) => {
  const { socket } = connection
  socket.on('message', (message) => { socket.send(message) })
}

/** A handler that sends `text`, by which a test sees that this handler has run. */
export function say (text: string): fastifyWebsocket.WebsocketHandler {
  return (connection) => { connection.socket.send(text) }
}

/** What a test serves, all of it optional. */
export interface Served {
  plugin?: fastifyWebsocket.WebsocketPluginOptions
  server?: FastifyServerOptions
  /** Declares routes and hooks, on the lines after `register`. */
  declare?: (fastify: FastifyInstance) => unknown
}

/** A Fastify instance with the plugin that listens, and its `ws://` origin. */
export async function serve (
  t: Teardown, { plugin = {}, server, declare }: Served
): Promise<{ fastify: FastifyInstance, origin: string }> {
  const fastify = createFastify(t, server)
  fastify.register(fastifyWebsocket, plugin)
  declare?.(fastify)
  return { fastify, origin: await listen(fastify) }
}

/** A promise of what Fastify returns as a thenable: `t.rejects` takes nothing else. */
export async function settled (thenable: PromiseLike<unknown> | undefined): Promise<unknown> {
  return thenable
}
