/**
 * The option `verifyClient`, which ws defines: a function that lets a client in or refuses it. It
 * answers by what it returns or by its second argument, a callback. Here it may also return a
 * promise, which ws would take for a yes.
 */
import type { FastifyReply } from 'fastify'
import { STATUS_CODES, type IncomingMessage } from 'node:http'
import { isThenable } from '../stream/thenable'
import type { ClientInfo, VerifyCallback, VerifyClient } from '../types'
import { originOf } from './origin'
import type { UpgradeAnswer } from './upgrade-answer'
import { upgradeOf } from './upgrade-of'

const UNAUTHORIZED = 401
const SERVER_ERROR = 500

/** Asks `verifyClient`, and then replies with its refusal or calls `accept`, at once or later. */
export function askVerifyClient (
  verifyClient: VerifyClient, request: IncomingMessage, reply: FastifyReply,
  upgrade: UpgradeAnswer, accept: () => void
): void {
  const onFailure = (error: unknown): void => { upgrade.onCheckFailed(error) }
  const onVerified: VerifyCallback = (isAllowed, status, message, headers = {}) => {
    if (!upgrade.isChecking) return
    const code = status || UNAUTHORIZED
    try {
      if (isAllowed) accept()
      else reply.code(code).type('text/plain').headers(headers).send(message ?? textOf(code))
    } catch (error) {
      onFailure(error)
    }
  }
  verifyOnce(verifyClient, clientInfo(request), onVerified, onFailure)
}

/** The body of a refusal for which the application gives no message. */
function textOf (status: number): string {
  return STATUS_CODES[status] ?? String(status)
}

function clientInfo (req: IncomingMessage): ClientInfo {
  const secure = 'encrypted' in req.socket && req.socket.encrypted === true
  return { origin: originOf(req), secure, req }
}

/** Calls `verifyClient` in any of its forms. Only its first answer or failure counts. */
function verifyOnce (
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
    // As in ws: a function that takes the callback does not answer by what it returns.
    if (verifyClient.length !== 2) onAnswer(Boolean(isAllowed))
  }
  try {
    const result = verifyClient(info, onAnswer)
    if (isThenable(result)) result.then(onResult, onFailure)
    else onResult(result)
  } catch (error) {
    onFailure(error)
  }
}

/**
 * The `verifyClient` that ws gets and calls at the handshake. An upgrade of a route has passed the
 * check before that. It is made here only for an upgrade that the application hands to
 * `server.handleUpgrade`.
 */
export function skipVerified (verifyClient: VerifyClient): VerifyClient {
  return function (info: ClientInfo, answer: VerifyCallback): void {
    if (upgradeOf(info.req)?.isVerified === true) answer(true)
    else verifyOnce(verifyClient, info, answer, () => { answer(false, SERVER_ERROR) })
  }
}
