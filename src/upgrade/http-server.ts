import type { FastifyInstance } from 'fastify'
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'

/** Makes an HTTP server serve a socket as if it had accepted it. Node.js documents this use. */
export function emitConnection (server: Pick<Server, 'emit'>, transport: Duplex): void {
  server.emit(isSecure(server) ? 'secureConnection' : 'connection', transport)
}

/** Whether the sockets of a server are encrypted. */
export function isSecure (server: object): boolean {
  return server instanceof TlsServer
}

/**
 * Whether a server speaks HTTP/1, which has upgrades. If the user made an HTTP/2 server over TLS,
 * nothing public tells whether it has the option `allowHTTP1`. Such a server counts as one that
 * speaks HTTP/1: without the option, Node.js refuses clients with a 403 that names it.
 */
export function canUpgrade (server: object, { initialConfig }: FastifyInstance): boolean {
  // According to the documentation of Node.js, only HTTP/2 servers have this method.
  if (!('updateSettings' in server)) return true
  const { http2, https } = initialConfig
  if (http2 !== true) return isSecure(server)
  return typeof https === 'object' && https.allowHTTP1 === true
}
