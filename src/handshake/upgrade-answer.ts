/**
 * The answer to an upgrade request: exactly one, whatever hooks, handlers and timeouts do.
 *
 * Fastify and the application answer with a reply and a raw response. Both ask this class before
 * they do anything, and it decides by the tables in `answer-state.ts`. The 101 of the reply becomes
 * ws's handshake, and any other answer is a refusal, after which the socket is closed. Applications
 * may wrap or patch reply and response, so the state is kept here, and both find it by a symbol.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { UnexpectedSwitchError } from '../errors'
import { toError } from '../observe/thrown'
import { AnswerLifetime } from './answer-lifetime'
import {
  afterSend, isRefused, judgeHead, OK, ON_SEND, SWITCHING, type HeadVerdict, type RefusalState,
  type Sent
} from './answer-state'
import {
  claimReply, isSendInsideOnError, kindOf, warnOfSecondAnswer, withoutThen, type ReplyOwner,
  type Send
} from './claimed-reply'
import { prepareErrorAnswer } from './error-answer'
import { handshakeLines, setHead, setRefusalHeaders } from './headers'
import { emitFinish, type ResponseOwner } from './response'
import { kReplyWatcher, kUpgrade, type MarkedRequest } from './symbols'
import type { Handshake } from './ws-handshake'

/** The one answer to an upgrade request: see the header of this file. */
export class UpgradeAnswer extends AnswerLifetime implements ResponseOwner, ReplyOwner {
  /** The response that Fastify and the application write to. */
  readonly raw: ServerResponse = this.transport.createResponse(this)
  /** Whether `verifyClient` has let the client in. */
  isVerified = false
  /** The subprotocol that `handleProtocols` has chosen; undefined until it is asked. */
  protocol: string | false | undefined

  #reply: FastifyReply | null = null
  /** Fastify's own `reply.send`. */
  #send: Send | null = null
  #handshake: Handshake | null = null
  /** The status of the raw response when the route took the upgrade, or 101 when it accepted. */
  #status = OK
  /** Whether the 101, or an error past Fastify, has begun. Another head may then come late. */
  #hasBegun = false
  /** What the next `raw.end` does. The `raw.writeHead` before it decides this. */
  #nextEnd: 'ends' | 'switches' | 'is dropped' = 'ends'

  // --- Before Fastify has the request ---

  /** Takes the socket. False while the response to an earlier request has it. */
  occupy (): boolean {
    if (!this.transport.occupy(this.raw)) return false
    this.state = 'hooks'
    return true
  }

  /** Lets `upgradeOf` find this answer by the raw request, and lets it see Fastify's reply. */
  attachTo (request: MarkedRequest<UpgradeAnswer>): void {
    request[kUpgrade] = this
    request[kReplyWatcher] = this
  }

  /** Reads the socket while the answer is not out, to learn when the client leaves. */
  watch (): void {
    this.transport.watch({
      // Without this event the response would not go on with a body larger than its buffer.
      onDrain: () => { this.raw.emit('drain') },
      onClose: () => { this.leave() },
      onReader: () => { if (this.#isHijacked()) this.giveAway() }
    })
  }

  /** Whether the application answers on the socket itself, after `reply.hijack()`. */
  #isHijacked (): boolean {
    return this.#reply?.sent === true && !this.raw.writableEnded
  }

  // --- The route decides ---

  /** Fastify has made the reply, and no hook of the application has run. */
  onReply (reply: FastifyReply): void {
    if (this.#send !== null || this.isSettled) return
    this.#send = claimReply(reply, this)
    this.#reply = reply
  }

  /** Takes the upgrade for the route. False if an answer has begun or the client has left. */
  take (): boolean {
    if (this.state === 'hooks') {
      this.state = 'checking'
      this.#status = this.raw.statusCode
      return true
    }
    if (this.state !== 'gone') this.#warn()
    return false
  }

  /** Replies with 101. After the `onSend` hooks, that reply performs `handshake`. */
  accept (reply: FastifyReply, handshake: Handshake): void {
    if (this.state !== 'checking') return
    this.state = 'accepting'
    this.#hasBegun = true
    this.#handshake = handshake
    this.#status = SWITCHING
    // Not by `reply.code`: then a later `reply.redirect` would keep this status.
    this.raw.statusCode = SWITCHING
    this.#send?.call(reply)
  }

  /** A check of the route has failed: replies with the error, unless another answer has begun. */
  onCheckFailed (thrown: unknown): void {
    // A complete answer may still be on its way to the client.
    if (this.raw.writableEnded) return
    if (this.state === 'checking' || this.state === 'failing') this.#reply?.send(toError(thrown))
  }

  // --- reply.send ---

  /** Fastify is about to answer with an error, so the next `reply.send` is no second answer. */
  onError (error: unknown): void {
    if (this.state === 'accepting' || isRefused(this.replyState)) this.#beginRefusal('failing')
    this.noteError(error)
  }

  onSend (reply: FastifyReply, args: readonly unknown[]): FastifyReply {
    const sent = kindOf(args, this.raw.statusCode !== this.#status)
    const verdict = ON_SEND[this.replyState][sent]
    if (verdict === 'pass') return this.#pass(reply, sent, args[0])
    if (verdict === 'overtake') this.refuse(args[0])
    if (verdict === 'drop') this.#warn()
    return reply
  }

  #pass (reply: FastifyReply, sent: Sent, payload: unknown): FastifyReply {
    const state = afterSend(this.replyState, sent)
    this.#beginRefusal(state)
    if (state === 'failing') this.noteError(payload)
    const forward: Send = this.#send ?? Object.getPrototypeOf(reply).send
    try {
      return forward.call(reply, payload)
    } catch (error) {
      this.#beginRefusal('failing')
      if (!isSendInsideOnError(error)) throw error
      // Thrown after an asynchronous hook, the error would be an uncaught exception.
      this.#warn()
      return withoutThen(reply)
    }
  }

  #beginRefusal (state: RefusalState): void {
    // A refusal without a status of its own must not have that of the acceptance.
    if (this.state === 'accepting' && this.raw.statusCode === SWITCHING) this.raw.statusCode = OK
    this.becomeRefused(state)
  }

  #warn (): void {
    if (this.#reply !== null) warnOfSecondAnswer(this.#reply)
  }

  // --- raw.writeHead, raw.write and raw.end ---

  /** The header lines that hooks and the application add to the 101. */
  get handshakeHeaders (): string[] {
    return handshakeLines(this.raw.getHeaders())
  }

  onWriteHead (statusCode: number, rest: readonly unknown[]): void {
    switch (this.#judgeHead(statusCode)) {
      case 'switch': this.#writeSwitch(rest); break
      case 'write': setHead(this.raw, rest); this.#writeRefusal(statusCode); break
      case 'fail': this.#refuseSwitch(new UnexpectedSwitchError()); break
      case 'drop late': this.#warn(); this.#nextEnd = 'is dropped'; break
      case 'drop': this.#nextEnd = 'is dropped'; break
    }
  }

  #judgeHead (statusCode: number): HeadVerdict {
    const verdict = judgeHead(this.state, {
      is101: statusCode === SWITCHING,
      hasBegun: this.#hasBegun,
      headersSent: this.raw.headersSent
    })
    // Over HTTP/2, the client takes more statuses than 101 for the acceptance.
    return verdict === 'write' && this.transport.isAcceptance(statusCode) ? 'fail' : verdict
  }

  #writeSwitch (rest: readonly unknown[]): void {
    try {
      setHead(this.raw, rest)
    } catch (error) {
      // Thrown after an asynchronous hook, the error would be an uncaught exception.
      this.#refuseSwitch(error)
      return
    }
    this.raw.statusCode = SWITCHING
    this.#nextEnd = 'switches'
  }

  #refuseSwitch (error: unknown): void {
    this.refuse(error)
    this.#nextEnd = 'is dropped'
  }

  mayWrite (): boolean {
    if (this.state === 'switched') return false
    if (this.state !== 'accepting' || this.raw.statusCode !== SWITCHING) return true
    // Fastify writes the head before the body. This body would come before the handshake.
    this.refuse(new UnexpectedSwitchError())
    return false
  }

  onEnd (args: unknown[]): void {
    if (this.#nextEnd === 'ends' && !this.mayWrite()) return
    const next = this.#nextEnd
    this.#nextEnd = 'ends'
    if (this.state === 'switched' || next === 'is dropped') return
    if (next === 'switches') this.#switch()
    else this.transport.end(this.raw, args)
  }

  // --- The refusal ---

  /** Answers with an error in the shape of Fastify's, past Fastify and its hooks. */
  refuse (thrown: unknown): void {
    if (this.isSettled) return
    if (this.raw.headersSent) {
      this.abort()
      return
    }
    this.#hasBegun = true
    this.noteError(thrown)
    const { statusCode, body } = prepareErrorAnswer(this.raw, thrown, this.#reply?.log)
    this.#writeRefusal(statusCode)
    this.transport.end(this.raw, [body])
  }

  #writeRefusal (statusCode: number): void {
    if (!this.isRefused) this.#beginRefusal('refusing')
    // Both calls throw for a second head, so a second head is neither watched nor counted.
    setRefusalHeaders(this.raw, statusCode)
    if (!this.transport.writeHead(this.raw, statusCode)) return
    this.#watchRefusal()
    this.countRefusal(statusCode, this.#reply?.request ?? null)
  }

  /** While a refusal is written, the client may leave or stop reading. */
  #watchRefusal (): void {
    this.watch()
    this.cutOffWithoutProgress(() => this.transport.socket.writableLength > 0)
    this.raw.once('finish', () => {
      this.endSoon()
      this.transport.finishRefusal(this.raw)
    })
  }

  // --- The switch ---

  #switch (): void {
    const start = this.#shakeHands()
    if (start === null) return
    this.state = 'switched'
    this.transport.handOver(this.raw)
    this.settle()
    const log = this.#reply?.log
    // Handlers may keep the raw request, and with it this answer, but the reply should be freed.
    this.#send = null
    this.#reply = null
    emitFinish(this.raw, log)
    start()
  }

  /** Returns the function that starts the connection, or null if there is no connection. */
  #shakeHands (): (() => void) | null {
    try {
      const start = this.transport.shakeHands((socket, head) => {
        return this.#handshake?.(socket, head) ?? null
      })
      if (start !== null) return start
      // Either ws has destroyed the socket, or a `wsClientError` listener has answered on it.
      if (this.transport.socket.destroyed) this.leave()
      else this.giveAway()
      return null
    } catch (error) {
      this.refuse(error)
      return null
    }
  }

  protected override settle (): void {
    super.settle()
    this.#handshake = null
  }
}
