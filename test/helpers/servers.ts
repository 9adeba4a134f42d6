import { once } from 'node:events'
import type { Server } from 'node:http'
import {
  createServer as createNetServer, type AddressInfo, type Server as NetServer
} from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { announce, createBareServer, isAnnounced, withTransport } from './transports'

/** What a helper needs of a tap test: it closes there what it opens. */
export interface Teardown {
  teardown (close: () => unknown): void
}

/** A Fastify instance that is closed with the test. */
export function createFastify (t: Teardown, options: FastifyServerOptions = {}): FastifyInstance {
  const chosen = withTransport(options)
  const fastify = Fastify(chosen)
  const { server } = fastify
  if (chosen !== options) server.on('listening', () => { announce(server) })
  t.teardown(() => fastify.close())
  return fastify
}

/** Listens on a free port of 127.0.0.1 and returns the `ws://` origin. */
export async function listen (fastify: FastifyInstance): Promise<string> {
  const address = await fastify.listen({ port: 0, host: '127.0.0.1' })
  // Clients use TLS where the transport of the tests has it: see `transports.ts`.
  const scheme = isAnnounced(portOf(fastify.server)) ? /https?/ : 'http'
  return address.replace(scheme, 'ws')
}

/** An HTTP server on a free port of 127.0.0.1, closed with the test, and its `ws://` origin. */
export async function createHttp (t: Teardown): Promise<{ server: Server, origin: string }> {
  const server = createBareServer()
  t.teardown(() => new Promise((resolve) => {
    server.close(resolve)
    // Those of HTTP/2 lack it on Node.js 20 and 22.
    server.closeAllConnections?.()
  }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  announce(server)
  return { server, origin: `ws://127.0.0.1:${portOf(server)}` }
}

/** The origin of the server that the `port` option opens on 127.0.0.1. */
export function ownOrigin (server: { address (): AddressInfo | string | null }): string {
  // It listens on a TCP port.
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The port a server listens on. */
export function portOf (server: NetServer): number {
  // A server on a TCP port has an address of this shape.
  return (server.address() as AddressInfo).port
}

/** A port that was free a moment ago. */
export async function findPort (): Promise<number> {
  const server = createNetServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}
