/**
 * The checks of an upgrade that has reached its route. Each function of this file is one step, and
 * ends with the call of the next, in the order of the file: room, handshake, `origin`,
 * `verifyClient`, negotiation, 101. Most upgrades pass all of them at once. A step that has to wait
 * goes on later, unless another answer has begun by then.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { OriginNotAllowedError } from '../errors'
import { toError } from '../observe/thrown'
import type { StreamSocket } from '../stream/socket'
import { isThenable } from '../stream/thenable'
import type { OriginCheck, VerifyClient } from '../types'
import { negotiate } from './negotiate'
import { originOf } from './origin'
import type { UpgradeAnswer } from './upgrade-answer'
import { askVerifyClient } from './verify-client'
import { createHandshake, type HandshakeServers } from './ws-handshake'

/** What a route decides about its upgrades. */
export interface UpgradeAcceptor extends HandshakeServers {
  readonly isAllowedOrigin: OriginCheck | null
  readonly verifyClient: VerifyClient | null
}

/** An upgrade on its way through the checks. */
interface Candidate {
  readonly acceptor: UpgradeAcceptor
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly upgrade: UpgradeAnswer
  /** Starts the connection. */
  readonly open: (socket: StreamSocket) => void
}

/**
 * Answers an upgrade with 101, after which `open` gets the WebSocket, or with a refusal. Does
 * nothing if an answer has begun already.
 *
 * @throws the error of a check that fails at once, which Fastify answers
 */
export function acceptUpgrade (
  acceptor: UpgradeAcceptor, request: FastifyRequest, reply: FastifyReply,
  upgrade: UpgradeAnswer, open: (socket: StreamSocket) => void
): void {
  upgrade.onReply(reply)
  if (!upgrade.take()) return
  try {
    checkRequest({ acceptor, request, reply, upgrade, open })
  } catch (error) {
    // A callback of the application may throw any value, and Fastify cannot answer all of them.
    throw toError(error)
  }
}

function checkRequest (candidate: Candidate): void {
  candidate.acceptor.checkRoom()
  candidate.upgrade.checkHandshake()
  checkOrigin(candidate)
}

function checkOrigin (candidate: Candidate): void {
  const { acceptor: { isAllowedOrigin }, request, upgrade } = candidate
  if (isAllowedOrigin === null) {
    checkClient(candidate)
    return
  }
  const answer = isAllowedOrigin(originOf(request.raw), request)
  if (!isThenable(answer)) {
    onOriginChecked(candidate, answer)
    return
  }
  answer.then((isAllowed) => { if (upgrade.isChecking) onOriginChecked(candidate, isAllowed) })
    .then(undefined, (error: unknown) => { upgrade.onCheckFailed(error) })
}

function onOriginChecked (candidate: Candidate, isAllowed: unknown): void {
  if (!isAllowed) throw new OriginNotAllowedError()
  checkClient(candidate)
}

function checkClient (candidate: Candidate): void {
  const { acceptor: { verifyClient }, request, reply, upgrade } = candidate
  if (verifyClient === null) accept(candidate)
  else askVerifyClient(verifyClient, request.raw, reply, upgrade, () => { accept(candidate) })
}

function accept ({ acceptor, request, reply, upgrade, open }: Candidate): void {
  upgrade.isVerified = true
  negotiate(acceptor, request.raw)
  upgrade.accept(reply, createHandshake(acceptor, request.raw, open))
}
