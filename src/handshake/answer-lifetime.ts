/**
 * The lifetime of the answer to an upgrade: its state, the socket on which it is given, the
 * callbacks that wait until it is settled, and the count of refusals. `UpgradeAnswer` extends it by
 * the answer itself.
 */
import type { FastifyRequest } from 'fastify'
import { refusedChannel } from '../observe/channels'
import { RefusalCounts } from '../observe/refusal-counts'
import { codeOf } from '../observe/thrown'
import type { RefusedMessage } from '../channel-types'
import {
  isRefused, isSettled, lateState, type AnswerState, type RefusalState, type ReplyState
} from './answer-state'
import { cutOffWithoutProgress } from './progress'
import type { UpgradeTransport } from './upgrade-transport'

/** See the header of this file. */
export class AnswerLifetime {
  protected readonly transport: UpgradeTransport
  protected state: AnswerState = 'queued'
  /** The state for replies once the answer is `gone`. */
  #lateState: ReplyState = 'hooks'
  #onSettled: Array<() => void> = []
  readonly #refusals: RefusalCounts
  /** The code of the last error that was to be answered, or null. */
  #errorCode: string | null = null

  /** @param refusals counts the answer, if it is a refusal */
  constructor (transport: UpgradeTransport, refusals = new RefusalCounts()) {
    this.transport = transport
    this.#refusals = refusals
  }

  /** Notes the code of an error that is about to be answered. */
  protected noteError (thrown: unknown): void {
    const code = codeOf(thrown)
    this.#errorCode = typeof code === 'string' ? code : null
  }

  /**
   * A refusal with this status is about to be written.
   *
   * @param routed the request of Fastify, or null if there is none
   */
  protected countRefusal (statusCode: number, routed: FastifyRequest | null): void {
    const code = this.#errorCode
    this.#refusals.add(statusCode, code)
    if (!refusedChannel.hasSubscribers) return
    const { request } = this.transport
    const id = routed?.id ?? null
    const route = routed?.routeOptions.url ?? null
    const message: RefusedMessage = { request, statusCode, code, id, route }
    refusedChannel.publish(message)
  }

  /** Calls back when the response to the earlier request is out. */
  queue (onVacant: () => void): void {
    const stop = this.cutOffWithoutProgress(() => true)
    this.transport.onceVacant(() => {
      stop()
      if (this.state === 'queued') onVacant()
    })
  }

  /** Cuts off a client that reads nothing while `isWaiting`. The returned function ends this. */
  protected cutOffWithoutProgress (isWaiting: () => boolean): () => void {
    const stop = cutOffWithoutProgress(this.transport.socket, isWaiting)
    this.#onSettled.push(stop)
    return stop
  }

  /** Whether the answer is out, or cannot be given any more. */
  get isSettled (): boolean {
    return isSettled(this.state)
  }

  /** Whether the route may still accept: no answer has begun, and the client has not left. */
  get isChecking (): boolean {
    return this.state === 'checking'
  }

  /** Whether an answer other than the handshake has begun. */
  get isRefused (): boolean {
    return isRefused(this.state)
  }

  /** The state that decides about a `reply.send`. */
  protected get replyState (): ReplyState {
    return this.state === 'gone' ? this.#lateState : this.state
  }

  /** An answer other than the handshake begins, or goes on. */
  protected becomeRefused (state: RefusalState): void {
    if (this.state === 'gone') this.#lateState = state
    else if (this.state !== 'switched') this.state = state
  }

  #becomeGone (): void {
    if (this.state !== 'gone') this.#lateState = lateState(this.state)
    this.state = 'gone'
  }

  /** @throws FST_WS_INVALID_HANDSHAKE, FST_WS_UNSUPPORTED_VERSION */
  checkHandshake (): void {
    this.transport.checkHandshake()
  }

  /** Calls back when the upgrade is accepted, or its socket is closed or has another owner. */
  onceSettled (callback: () => void): void {
    this.#onSettled.push(callback)
  }

  /** The state is `switched` or `gone` now. */
  protected settle (): void {
    const callbacks = this.#onSettled
    this.#onSettled = []
    for (const callback of callbacks) callback()
  }

  /** The client has left. */
  protected leave (): void {
    if (this.state !== 'switched') this.#becomeGone()
    this.transport.endRequest()
    this.settle()
  }

  /** The socket has another owner. */
  giveAway (): void {
    this.transport.unwatch()
    this.#becomeGone()
    this.settle()
  }

  /** Ends the socket. Nothing more may be written to it. */
  endSoon (): void {
    this.transport.endSoon()
    this.#becomeGone()
    this.settle()
  }

  /** Cuts the client off. */
  abort (): void {
    this.transport.abort()
  }
}
