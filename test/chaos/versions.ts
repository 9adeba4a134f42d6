// The versions of HTTP that the applications of the chaos speak, with and without TLS.
import { createServer, type RequestListener, type Server } from 'node:http'
import { createSecureServer, createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { CERTIFICATE } from '../helpers/tls'

/** What a plan says of the versions. Without `http2`, it is HTTP/1. */
interface Versions {
  readonly tls?: true
  readonly http2?: 'beside HTTP/1' | 'alone' | 'without TLS'
}

const BESIDE = { ...CERTIFICATE, allowHTTP1: true }

/** Whether the sockets are encrypted. */
export function isSecure ({ tls, http2 }: Versions): boolean {
  return http2 === undefined ? tls === true : http2 !== 'without TLS'
}

/** Whether a client can speak HTTP/1. */
export function hasHttp1 ({ http2 = 'beside HTTP/1' }: Versions): boolean {
  return http2 === 'beside HTTP/1'
}

/** Options of Fastify for a server; its types for them are those of other applications. */
export function serverOf (plan: Versions): object {
  return {
    ...(plan.http2 && { http2: true }),
    ...(isSecure(plan) && { https: plan.http2 === 'beside HTTP/1' ? BESIDE : CERTIFICATE })
  }
}

/** A server that the application does not make itself. */
export function createGivenServer (plan: Versions): Server {
  const onRequest: RequestListener = (_request, response) => { response.end('plain') }
  switch (plan.http2) {
    case undefined:
      return plan.tls ? createHttpsServer(CERTIFICATE, onRequest) : createServer(onRequest)
    // What the siege does with a server is there in one of HTTP/2 as well.
    case 'without TLS':
      return createHttp2Server(onRequest as never) as unknown as Server
    default: {
      const options = hasHttp1(plan) ? BESIDE : CERTIFICATE
      return createSecureServer(options, onRequest as never) as unknown as Server
    }
  }
}
