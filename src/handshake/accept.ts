import type { FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import { InvalidHandshakeError, OriginNotAllowedError } from '../errors'
import { toError } from '../observe/thrown'
import { negotiate } from './negotiate'
import { checkHandshake } from './request-checks'
import { upgradeOf, type Handshake, type UpgradeAnswer } from './response'
import type { WebSocketStreamServer } from '../stream/server'
import type { StreamSocket } from '../stream/socket'
import { isThenable } from '../stream/thenable'
import type { ClientInfo, OriginCheck, VerifyCallback, VerifyClient } from '../types'

const UNAUTHORIZED = 401
const SERVER_ERROR = 500

/** What is needed to accept the upgrades of a route. */
export interface UpgradeAcceptor {
  /** The server that emits the events of the handshake. */
  readonly server: WebSocketStreamServer
  /** The server that performs the handshake, with the limits of the route. */
  readonly limitedServer: WebSocketStreamServer
  readonly isAllowedOrigin: OriginCheck | null
  readonly verifyClient: VerifyClient | null
  /** @throws FST_WS_CLOSING, FST_WS_TOO_MANY_CONNECTIONS */
  checkRoom (): void
}

/**
 * Answers an upgrade: checks the handshake and its origin, asks `verifyClient`, and replies with
 * 101 or a refusal. Does nothing if an answer has begun already.
 */
export function acceptUpgrade (
  acceptor: UpgradeAcceptor, request: FastifyRequest, reply: FastifyReply,
  upgrade: UpgradeAnswer, open: (socket: StreamSocket) => void
): void {
  upgrade.onReply(reply)
  if (!upgrade.take()) return
  try {
    decide(acceptor, request, reply, upgrade, open)
  } catch (error) {
    // Callbacks of the application throw anything, and Fastify cannot answer all of it.
    throw toError(error)
  }
}

function decide (
  acceptor: UpgradeAcceptor, request: FastifyRequest, reply: FastifyReply,
  upgrade: UpgradeAnswer, open: (socket: StreamSocket) => void
): void {
  const { isAllowedOrigin, verifyClient } = acceptor
  acceptor.checkRoom()
  checkHandshake(request.raw)
  const accept = (): void => {
    upgrade.isVerified = true
    negotiate(acceptor, request.raw)
    upgrade.accept(reply, createHandshake(acceptor, request.raw, open))
  }
  const verify = verifyClient === null
    ? accept
    : () => { askVerifyClient(verifyClient, request.raw, reply, upgrade, accept) }
  if (isAllowedOrigin === null) verify()
  else askForOrigin(isAllowedOrigin, request, reply, upgrade, verify)
}

function askForOrigin (
  isAllowedOrigin: OriginCheck, request: FastifyRequest, reply: FastifyReply,
  upgrade: UpgradeAnswer, proceed: () => void
): void {
  const onAnswer = (isAllowed: unknown): void => {
    if (!isAllowed) throw new OriginNotAllowedError()
    proceed()
  }
  const answer = isAllowedOrigin(originOf(request.raw), request)
  if (!isThenable(answer)) {
    onAnswer(answer)
    return
  }
  answer.then((isAllowed) => { if (upgrade.isChecking) onAnswer(isAllowed) })
    .then(undefined, (error: unknown) => { fail(upgrade, reply, error) })
}

/** Answers with an error, unless an answer is on its way or the client has left. */
function fail (upgrade: UpgradeAnswer, reply: FastifyReply, error: unknown): void {
  if (upgrade.isChecking || upgrade.hasFailed) reply.send(toError(error))
}

function askVerifyClient (
  verifyClient: VerifyClient, req: IncomingMessage, reply: FastifyReply,
  upgrade: UpgradeAnswer, accept: () => void
): void {
  const onVerified: VerifyCallback = (isAllowed, status, message, headers = {}) => {
    if (!upgrade.isChecking) return
    const code = status || UNAUTHORIZED
    try {
      if (isAllowed) accept()
      else reply.code(code).type('text/plain').headers(headers).send(message ?? textOf(code))
    } catch (error) {
      fail(upgrade, reply, error)
    }
  }
  askOnce(verifyClient, clientInfo(req), onVerified, (error) => { fail(upgrade, reply, error) })
}

/** What a status without a message of the application says. */
function textOf (status: number): string {
  return STATUS_CODES[status] ?? String(status)
}

/** Calls `verifyClient` in any of its forms. Only its first answer, or failure, counts. */
function askOnce (
  verifyClient: VerifyClient, info: ClientInfo,
  answer: VerifyCallback, fail: (error: unknown) => void
): void {
  let isDecided = false
  const once = <Args extends unknown[]>(decide: (...args: Args) => void) => (...args: Args) => {
    if (isDecided) return
    isDecided = true
    decide(...args)
  }
  const onAnswer = once(answer)
  const onFailure = once(fail)
  const onResult = (isAllowed: unknown): void => {
    if (verifyClient.length !== 2) onAnswer(Boolean(isAllowed))
  }
  try {
    const result = verifyClient(info, onAnswer)
    // ws would take a promise for a yes.
    if (isThenable(result)) result.then(onResult, onFailure)
    else onResult(result)
  } catch (error) {
    onFailure(error)
  }
}

function clientInfo (req: IncomingMessage): ClientInfo {
  const secure = 'encrypted' in req.socket && req.socket.encrypted === true
  return { origin: originOf(req), secure, req }
}

function originOf ({ headers }: IncomingMessage): string | undefined {
  const isDraft = headers['sec-websocket-version'] === '8'
  return (isDraft ? headers['sec-websocket-origin'] : headers.origin)?.toString()
}

/** Makes the check that `server.handleUpgrade` does pass what has been checked in the route. */
export function skipVerified (verifyClient: VerifyClient): VerifyClient {
  return function (info: ClientInfo, answer: VerifyCallback): void {
    if (upgradeOf(info.req)?.isVerified === true) answer(true)
    else askOnce(verifyClient, info, answer, () => { answer(false, SERVER_ERROR) })
  }
}

function createHandshake (
  acceptor: UpgradeAcceptor, req: IncomingMessage, open: (socket: StreamSocket) => void
): Handshake {
  return (transport, head) => {
    // An `onSend` hook may have taken its time.
    acceptor.checkRoom()
    const { server, limitedServer } = acceptor
    const sockets: StreamSocket[] = []
    const refusals: Error[] = []
    const onRefused = (error: Error): void => { refusals.push(error) }
    // Unless the user listens, ws would write the refusal past the response.
    const isHeard = server.listenerCount('wsClientError') > 0
    if (!isHeard) server.on('wsClientError', onRefused)
    try {
      limitedServer.handleUpgrade(req, transport, head, (socket) => { sockets.push(socket) })
    } finally {
      server.off('wsClientError', onRefused)
    }
    const [refusal] = refusals
    if (refusal !== undefined) throw new InvalidHandshakeError(refusal.message)
    // No socket: the client has left, and ws has destroyed the transport.
    const [socket] = sockets
    return socket === undefined ? null : () => { open(socket) }
  }
}
