import type { FastifyInstance } from 'fastify'
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { Server as TlsServer } from 'node:tls'

/** Hands a socket to an HTTP server as if it had accepted it, which Node.js documents. */
export function emitConnection (server: Pick<Server, 'emit'>, transport: Duplex): void {
  server.emit(isSecure(server) ? 'secureConnection' : 'connection', transport)
}

/** Whether the sockets of a server are encrypted. */
export function isSecure (server: object): boolean {
  return server instanceof TlsServer
}

/**
 * Whether a server speaks HTTP/1. Of one that the user made over TLS, nothing public tells: without
 * `allowHTTP1`, Node.js refuses its clients with a 403 that names the option.
 */
export function canUpgrade (server: object, { initialConfig }: FastifyInstance): boolean {
  // What Node.js documents of HTTP/2 servers alone.
  if (!('updateSettings' in server)) return true
  const { http2, https } = initialConfig
  if (http2 !== true) return isSecure(server)
  return typeof https === 'object' && https.allowHTTP1 === true
}
