/**
 * The Fastify reply of an upgrade. Its `send` is replaced by one that asks an owner first, because
 * Fastify does not tell that an answer has begun while its `onSend` hooks still run. The owner is
 * the `UpgradeAnswer`.
 */
import type { FastifyReply } from 'fastify'
import { logText } from '../observe/log'
import { codeOf } from '../observe/thrown'
import type { Sent } from './answer-state'
import { kAnswer } from './symbols'

/** The code of the error that Fastify's `handlerTimeout` sends. */
const TIMEOUT_CODE = 'FST_ERR_HANDLER_TIMEOUT'

/** The code of the error that Fastify's `reply.send` throws while `onError` hooks run. */
const SEND_INSIDE_ON_ERROR_CODE = 'FST_ERR_SEND_INSIDE_ONERR'

/** The type of Fastify's own `reply.send`. */
export type Send = FastifyReply['send']

const ANSWERED_TWICE =
  'the upgrade has an answer already, so a second one is dropped; did a hook forget "return reply"?'

/** The object that decides about the answers of a reply. */
export interface ReplyOwner {
  onSend (reply: FastifyReply, args: readonly unknown[]): FastifyReply
}

type ClaimedReply = FastifyReply & { [kAnswer]: ReplyOwner }

/** Replaces `send` of a reply, and returns the one that the reply had. */
export function claimReply (reply: FastifyReply, owner: ReplyOwner): Send {
  const original = reply.send
  // The next line makes it one, and its `send` takes any arguments.
  const claimed = reply as ClaimedReply
  claimed[kAnswer] = owner
  claimed.send = send
  return original
}

function send (this: ClaimedReply, ...args: unknown[]): FastifyReply {
  return this[kAnswer].onSend(this, args)
}

/**
 * What `reply.send` was called with.
 *
 * @param hasNewStatus whether the status of the reply was set since the route has the upgrade
 */
export function kindOf (args: readonly unknown[], hasNewStatus: boolean): Sent {
  const [payload] = args
  if (codeOf(payload) === TIMEOUT_CODE) return 'timeout'
  if (payload instanceof Error) return 'error'
  const isNothing = args.length === 1 && payload === undefined
  return isNothing && !hasNewStatus ? 'nothing' : 'payload'
}

/** Whether Fastify has refused an answer because its `onError` hooks for another still run. */
export function isSendInsideOnError (error: unknown): boolean {
  return codeOf(error) === SEND_INSIDE_ON_ERROR_CODE
}

/**
 * The reply without its `then`, so that `await` does not wait for the answer. An `onError` hook
 * that awaits the reply itself would wait for an answer that waits for the hook.
 */
export function withoutThen (reply: FastifyReply): FastifyReply {
  return Object.create(reply, { then: { value: undefined } })
}

/** Logs that a second answer is dropped. */
export function warnOfSecondAnswer (reply: FastifyReply): void {
  logText(reply.log, 'warn', ANSWERED_TWICE)
}
