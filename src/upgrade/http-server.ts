/** What is needed to know of an HTTP server: TLS, its versions of HTTP, how a connection begins. */
import type { FastifyInstance } from 'fastify'
import type { Server } from 'node:http'
import type { Http2Server } from 'node:http2'
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

/** Whether a server speaks HTTP/2, and perhaps HTTP/1 as well. */
export function isHttp2 (server: object): boolean {
  // According to the documentation of Node.js, only HTTP/2 servers have this method.
  return 'updateSettings' in server
}

/** Which versions of HTTP a server speaks. */
export type HttpVersions = 'HTTP/1' | 'HTTP/2' | 'both'

/**
 * Which versions of HTTP a server speaks. If the user made an HTTP/2 server over TLS, nothing
 * public tells whether it has the option `allowHTTP1`. Such a server counts as one that speaks
 * both: without the option, Node.js refuses clients of HTTP/1 with a 403 that names it.
 */
export function versionsOf (server: object, fastify: FastifyInstance): HttpVersions {
  if (!isHttp2(server)) return 'HTTP/1'
  if (!isSecure(server)) return 'HTTP/2'
  const { http2, https } = fastify.initialConfig
  const isKnown = http2 === true && https !== undefined && server === fastify.server
  const allowsHttp1 = typeof https === 'object' && https.allowHTTP1 === true
  return isKnown && !allowsHttp1 ? 'HTTP/2' : 'both'
}

/**
 * Whether a server is to offer WebSockets over HTTP/2, if it speaks HTTP/2 at all.
 *
 * @param extendedConnect the option; undefined means only where the server does not speak HTTP/1
 */
export function isHttp2Wanted (
  server: object, fastify: FastifyInstance, extendedConnect: boolean | undefined
): boolean {
  return extendedConnect ?? versionsOf(server, fastify) === 'HTTP/2'
}

/** Has a server tell its clients that they may open WebSockets over HTTP/2 (RFC 8441). */
export function offerExtendedConnect (server: object): void {
  // The cast is safe: only HTTP/2 servers get here. Their earlier settings stay.
  const { updateSettings } = server as Http2Server
  updateSettings.call(server, { enableConnectProtocol: true })
}
