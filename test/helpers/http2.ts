/** Clients of HTTP/2 that speak it themselves, without ws. */
import { once } from 'node:events'
import {
  connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders
} from 'node:http2'
import type { FastifyInstance } from 'fastify'
import { serve, type Served } from './plugin'
import { portOf, type Teardown } from './servers'
import { CERTIFICATE } from './tls'

/** Options of Fastify; its types for them are those of an application over HTTP/2. */
export const H2C = { http2: true } as object
export const H2 = { http2: true, https: CERTIFICATE } as object
export const BOTH = { http2: true, https: { ...CERTIFICATE, allowHTTP1: true } } as object

/** Serves over HTTP/2 without TLS, and begins a session that knows the settings of the server. */
export async function serveHttp2 (
  t: Teardown, served: Served
): Promise<{ fastify: FastifyInstance, session: ClientHttp2Session }> {
  const { fastify } = await serve(t, { ...served, server: { ...H2C, ...served.server } })
  return { fastify, session: await openSession(t, portOf(fastify.server)) }
}

/** Begins a session that is cut off with the test. */
export async function openSession (
  t: Teardown, port: number, scheme = 'http', host = '127.0.0.1'
): Promise<ClientHttp2Session> {
  const session = connect(`${scheme}://${host}:${port}`, {
    ca: CERTIFICATE.cert, servername: 'localhost'
  })
  session.on('error', () => {})
  t.teardown(() => { session.destroy() })
  await once(session, 'remoteSettings')
  return session
}

/** Asks for a WebSocket. Headers of the same names replace the usual ones. */
export function ask (
  session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {},
  options: { endStream?: boolean } = {}
): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':path': path,
    'sec-websocket-version': '13',
    ...headers
  }, { endStream: false, ...options })
  stream.on('error', () => {})
  return stream
}

/** The answer to a request: its headers, and the body of a refusal. */
export async function answerTo (stream: ClientHttp2Stream) {
  const [headers] = await once(stream, 'response')
  const body = headers[':status'] === 200 ? '' : Buffer.concat(await stream.toArray()).toString()
  return { status: headers[':status'], headers, body }
}

/** All that arrives on a stream, until it holds `bytes`. */
export async function readUntil (stream: ClientHttp2Stream, bytes: Buffer): Promise<Buffer> {
  let received = Buffer.alloc(0)
  while (!received.includes(bytes)) {
    const [chunk] = await once(stream, 'data')
    received = Buffer.concat([received, chunk])
  }
  return received
}
