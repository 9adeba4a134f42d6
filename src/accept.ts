import type { FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { isThenable } from './thenable'
import { upgradeOf } from './routes'
import { InvalidHandshakeError, UnsupportedVersionError } from './errors'
import type { Handshake, UpgradeResponse } from './response'
import type { WebSocketStreamServer } from './stream/server'
import type { StreamSocket } from './stream/socket'

interface ClientInfo {
  origin: string | undefined
  secure: boolean
  req: IncomingMessage
}

type VerifyCallback = (
  isAllowed: boolean, code?: number, message?: string, headers?: OutgoingHttpHeaders
) => void

/** The `verifyClient` option of ws: with two parameters it answers through the callback. */
export type VerifyClient = (info: ClientInfo, callback: VerifyCallback) => unknown

/** Base64 of 16 bytes (RFC 6455 section 4.1). */
const KEY = /^[+/0-9A-Za-z]{22}==$/

const SUPPORTED_VERSIONS = ['13', '8']

/**
 * Answers an upgrade: checks the handshake, asks `verifyClient`, and replies with 101
 * or a refusal.
 */
export function acceptUpgrade (
  server: WebSocketStreamServer, verifyClient: VerifyClient | null,
  request: FastifyRequest, reply: FastifyReply, upgrade: UpgradeResponse,
  open: (socket: StreamSocket) => void
): void {
  checkHandshake(request.raw, reply)
  const accept = (): void => {
    upgrade.isVerified = true
    upgrade.accept(createHandshake(server, request.raw, open), request.log)
    reply.code(101).send()
  }
  if (verifyClient === null) accept()
  else verify(verifyClient, request.raw, reply, accept)
}

/** @throws FST_WS_INVALID_HANDSHAKE, FST_WS_UNSUPPORTED_VERSION */
function checkHandshake ({ headers }: IncomingMessage, reply: FastifyReply): void {
  const version = headers['sec-websocket-version']
  if (version === undefined || !SUPPORTED_VERSIONS.includes(version)) {
    reply.headers({ 'sec-websocket-version': SUPPORTED_VERSIONS.join(', '), upgrade: 'websocket' })
    throw new UnsupportedVersionError()
  }
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    throw new InvalidHandshakeError('missing or malformed Sec-WebSocket-Key')
  }
}

function verify (
  verifyClient: VerifyClient, req: IncomingMessage, reply: FastifyReply, accept: () => void
): void {
  const onVerified: VerifyCallback = (
    isAllowed, code = 401, message = STATUS_CODES[code], headers = {}
  ) => {
    // The answer may come late: the client has gone, or a timeout of Fastify has answered.
    if (reply.sent || req.destroyed) return
    try {
      if (isAllowed) accept()
      else reply.code(code).type('text/plain').headers(headers).send(message)
    } catch (error) {
      reply.send(error)
    }
  }
  const result = verifyClient(clientInfo(req), onVerified)
  if (verifyClient.length === 2) return
  // ws would take a promise for a yes.
  if (isThenable(result)) {
    result.then(
      (isAllowed) => { onVerified(isAllowed === true) },
      (error: unknown) => { if (!reply.sent) reply.send(error) }
    )
  } else {
    onVerified(result === true)
  }
}

function clientInfo (req: IncomingMessage): ClientInfo {
  const { headers, socket } = req
  const origin = headers['sec-websocket-version'] === '8'
    ? headers['sec-websocket-origin']
    : headers.origin
  const secure = 'encrypted' in socket && socket.encrypted === true
  return { origin: origin?.toString(), secure, req }
}

/** Makes the check that `server.handleUpgrade` does pass what has been checked in the route. */
export function skipVerified (verifyClient: VerifyClient): VerifyClient {
  return function (info: ClientInfo, answer: VerifyCallback): void {
    if (upgradeOf(info.req)?.isVerified === true) answer(true)
    else if (verifyClient.length === 2) verifyClient(info, answer)
    else answer(verifyClient(info, answer) === true)
  }
}

function createHandshake (
  server: WebSocketStreamServer, req: IncomingMessage, open: (socket: StreamSocket) => void
): Handshake {
  return (transport, head) => {
    const sockets: StreamSocket[] = []
    const refusals: Error[] = []
    const onRefused = (error: Error): void => { refusals.push(error) }
    // Unless the user listens, ws would write the refusal past the response.
    const isHeard = server.listenerCount('wsClientError') > 0
    if (!isHeard) server.on('wsClientError', onRefused)
    try {
      server.handleUpgrade(req, transport, head, (socket) => { sockets.push(socket) })
    } finally {
      server.off('wsClientError', onRefused)
    }
    const [refusal] = refusals
    if (refusal !== undefined) throw new InvalidHandshakeError(refusal.message)
    // No socket: the client has gone, and ws has destroyed the transport.
    return () => { sockets.forEach(open) }
  }
}
