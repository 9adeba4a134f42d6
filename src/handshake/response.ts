/**
 * The answer to an upgrade request: exactly one, whatever hooks, handlers and timeouts do.
 *
 * | state     | what it is                      | `reply.send(payload)` | the head 101 is written |
 * |-----------|---------------------------------|-----------------------|-------------------------|
 * | queued    | an earlier answer is not out    | impossible            | impossible              |
 * | hooks     | hooks run                       | -> refusing           | 500                     |
 * | checking  | the route asks `verifyClient`   | -> refusing (a)       | 500                     |
 * | accepting | its 101 passes `onSend` hooks   | -> refusing (a) (b)   | handshake -> switched   |
 * | refusing  | another answer is on its way    | dropped (b) (c)       | 500, or dropped (d)     |
 * | switched  | ws has the socket               | as Fastify decides    | dropped                 |
 * | gone      | the refusal is out, the client  | as Fastify decides    | dropped                 |
 * |           | has left, or the socket has     |                       |                         |
 * |           | another owner                   |                       |                         |
 *
 * (a) Without a payload nothing happens: Fastify sends that after an async function which a plugin
 *     has put around the handler of the route.
 * (b) Fastify's `handlerTimeout` is answered at once: the hook in which the earlier answer hangs
 *     would keep that answer as well.
 * (c) Dropped with a line in the log, unless the earlier answer has failed and this is about the
 *     error, from Fastify or from an error handler of the application.
 * (d) Dropped, with a line in the log, when it is of an answer that was overtaken.
 *
 * The order is that of the rows, and no state comes back. A head other than 101 leads to
 * `refusing`. From `switched` and `gone` on, nothing here touches the socket. Applications hold
 * `raw`, and may patch it or change its prototype, so the state is kept here, and `raw` finds it by
 * a symbol.
 */

import {
  ServerResponse, STATUS_CODES, validateHeaderValue, type IncomingMessage, type OutgoingHttpHeader
} from 'node:http'
import type { FastifyReply } from 'fastify'
import { codeOf, toError } from '../observe/thrown'
import { UnexpectedSwitchError } from '../errors'
import { handshakeLines } from './headers'
import { logError, logText } from '../observe/log'
import { RETRY_AFTER } from '../protocol/retry-after'
import { sentBytes } from '../stream/sent-bytes'
import { kAnswer, kReplyWatcher, kUpgrade } from './symbols'
import type { UpgradeTransport } from './transport'

/** Milliseconds in which some bytes of an earlier answer, or of a refusal, have to leave. */
const PROGRESS_TIMEOUT = 10_000

const SWITCHING = 101
const INTERNAL_SERVER_ERROR = 500
const SERVICE_UNAVAILABLE = 503

/** What Fastify's `handlerTimeout` answers with. */
const TIMEOUT_CODE = 'FST_ERR_HANDLER_TIMEOUT'

type AnswerState =
  'queued' | 'hooks' | 'checking' | 'accepting' | 'refusing' | 'switched' | 'gone'

/**
 * Performs the handshake of an accepted upgrade on `transport`, `head` being what came behind the
 * request. Returns what runs once the response has finished, or null if the client has left.
 *
 * @throws what refuses the handshake after all; its `statusCode` is the status of the answer
 */
export type Handshake = (transport: UpgradeTransport['socket'], head: Buffer) => (() => void) | null

type Send = FastifyReply['send']

/** See the table in the header of this file. */
export class UpgradeAnswer {
  /** The response that Fastify and the application work with. */
  readonly raw: ServerResponse
  /** The application's own check of the client has passed. */
  isVerified = false
  /** What `handleProtocols` has chosen. */
  protocol: string | false | undefined

  readonly #transport: UpgradeTransport
  #state: AnswerState = 'queued'
  /** Fastify's own `reply.send`, which this class has replaced for the one reply. */
  #send: Send | null = null
  #reply: FastifyReply | null = null
  #handshake: Handshake | null = null
  /** The status that the hooks, or the acceptance, have left to the reply. */
  #status = 200
  /** The answer that has begun has failed, and what is sent next is about the error. */
  #hasFailed = false
  /** An answer of this class has begun or is out, so that the head of another may come late. */
  #hasAnswered = false
  /** What the next `raw.end` does, because `raw.writeHead` has got a 101. */
  #nextEnd: 'ends' | 'switches' | 'is dropped' = 'ends'
  #onSettled: Array<() => void> = []

  constructor (transport: UpgradeTransport) {
    this.#transport = transport
    // The types of Node.js know neither the symbol nor methods that take any arguments.
    const raw = new ServerResponse(transport.request) as RawResponse
    raw[kAnswer] = this
    // As properties of its own they outlive a change of the prototype, which Express makes. They
    // are assigned, and not defined, for then Node.js keeps the response a fast object.
    raw.writeHead = writeHead
    raw.write = write
    raw.end = end
    raw.on('error', ignore)
    this.raw = raw
  }

  // --- Before Fastify ---

  /** Takes the socket. False while an earlier answer has it. */
  occupy (): boolean {
    if (!this.#transport.occupy(this.raw)) return false
    this.#state = 'hooks'
    return true
  }

  /** Waits until the earlier answer is out. */
  queue (onVacant: () => void): void {
    const stop = this.#cutOffWithoutProgress(() => true)
    this.#transport.onceVacant(() => {
      stop()
      if (this.#state === 'queued') onVacant()
    })
  }

  /**
   * Cuts the client off when no byte leaves for a while, although there is something to wait for.
   * Returns what stops it; the end of the upgrade stops it as well.
   */
  #cutOffWithoutProgress (isWaiting: () => boolean): () => void {
    const { socket } = this.#transport
    let before = sentBytes(socket)
    const timer = setInterval(() => {
      const now = sentBytes(socket)
      if (now === before && isWaiting()) socket.destroy()
      before = now
    }, PROGRESS_TIMEOUT).unref()
    const stop = (): void => { clearInterval(timer) }
    this.#onSettled.push(stop)
    return stop
  }

  /** Makes a request one that `upgradeOf` knows, and whose reply will be claimed. */
  attachTo (request: IncomingMessage): void {
    Object.assign(request, { [kUpgrade]: this, [kReplyWatcher]: this })
  }

  /** Looks after the socket while the decision takes its time. */
  watch (): void {
    this.#transport.watch({
      // Without it a body of more than the socket's buffer would stop there.
      onDrain: () => { this.raw.emit('drain') },
      onClose: () => { this.#leave() },
      onReader: () => { if (this.#isHijacked) this.#giveAway() }
    })
  }

  /** The application has taken the answer into its own hands, and need not use `raw` for it. */
  get #isHijacked (): boolean {
    return this.#reply?.sent === true && !this.raw.writableEnded
  }

  /** The socket has another owner. */
  #giveAway (): void {
    this.#transport.unwatch()
    this.#state = 'gone'
    this.#settle()
  }

  /** The client has left. */
  #leave (): void {
    if (this.#state !== 'switched') this.#state = 'gone'
    // Fastify's `onRequestAbort` waits for it.
    this.#transport.request.destroy()
    this.#settle()
  }

  // --- The decision ---

  /** The reply of the request is there: from now on its `send` is known to begin an answer. */
  onReply (reply: FastifyReply): void {
    if (this.#send !== null || this.isSettled) return
    this.#send = reply.send
    this.#reply = reply
    Object.assign(reply, { [kAnswer]: this, send })
  }

  /** The handler of the route takes the upgrade. False if it has an answer, or the client left. */
  take (): boolean {
    if (this.#state === 'hooks') {
      this.#state = 'checking'
      this.#status = this.raw.statusCode
      return true
    }
    if (this.#state !== 'gone') this.#warn()
    return false
  }

  /** Whether neither an answer has begun nor the client has left since {@link take}. */
  get isChecking (): boolean {
    return this.#state === 'checking'
  }

  /** Whether an answer has begun and failed, so that one with the error is due. */
  get hasFailed (): boolean {
    return this.#state === 'refusing' && this.#hasFailed
  }

  /** Whether another answer than the handshake has begun. */
  get isRefused (): boolean {
    return this.#state === 'refusing'
  }

  /** Replies with 101, which performs `handshake` after the `onSend` hooks. */
  accept (reply: FastifyReply, handshake: Handshake): void {
    if (this.#state !== 'checking') return
    this.#state = 'accepting'
    this.#hasAnswered = true
    this.#handshake = handshake
    this.#status = SWITCHING
    // Not by `reply.code`, for then a late `reply.redirect` would keep this status.
    this.raw.statusCode = SWITCHING
    this.#send?.call(reply)
  }

  /** Fastify answers with an error now: what comes next is no second answer. */
  onError (): void {
    this.#hasFailed = true
  }

  /** Something has called `reply.send`, with these arguments. */
  onSend (reply: FastifyReply, args: readonly unknown[]): FastifyReply {
    const [payload] = args
    switch (this.#state) {
      case 'checking': return this.#isNothing(args) ? reply : this.#refuseBy(reply, payload)
      case 'accepting':
      case 'refusing': return this.#sendAgain(reply, args)
      default: return this.#refuseBy(reply, payload)
    }
  }

  /**
   * Whether Fastify sends what an async function has returned that a plugin has put around the
   * handler of the route: nothing, in one argument. An application that answers without a payload
   * gives no argument.
   */
  #isNothing (args: readonly unknown[]): boolean {
    return args.length === 1 && args[0] === undefined && this.raw.statusCode === this.#status
  }

  /** An answer has begun. */
  #sendAgain (reply: FastifyReply, args: readonly unknown[]): FastifyReply {
    const [payload] = args
    if (isTimeout(payload)) {
      this.refuse(payload)
      return reply
    }
    if (this.#hasFailed) return this.#refuseBy(reply, payload)
    if (this.#isNothing(args)) return reply
    if (this.#state === 'accepting') return this.#refuseBy(reply, payload)
    this.#warn()
    return reply
  }

  #refuseBy (reply: FastifyReply, payload: unknown): FastifyReply {
    this.#beginRefusal()
    // The handlers of an error answer with it one after the other.
    this.#hasFailed = payload instanceof Error
    const forward: Send = this.#send ?? Object.getPrototypeOf(reply).send
    try {
      return forward.call(reply, payload)
    } catch (error) {
      this.#hasFailed = true
      throw error
    }
  }

  #beginRefusal (): void {
    // The status of the acceptance is not that of a refusal.
    if (this.#state === 'accepting' && this.raw.statusCode === SWITCHING) this.raw.statusCode = 200
    if (this.isSettled) return
    this.#state = 'refusing'
  }

  // --- What is written ---

  /** Header lines that hooks and the application add to the 101. */
  get handshakeHeaders (): string[] {
    return handshakeLines(this.raw.getHeaders())
  }

  onWriteHead (statusCode: number, reasonAndHeaders: unknown[]): void {
    if (this.#state === 'switched' || this.#isLate(statusCode)) {
      this.#nextEnd = 'is dropped'
      return
    }
    const [reason] = reasonAndHeaders
    try {
      this.#setHeaders(reasonAndHeaders.at(-1))
      if (statusCode === SWITCHING && this.#state !== 'accepting') throw new UnexpectedSwitchError()
    } catch (error) {
      if (statusCode !== SWITCHING) throw error
      // Thrown out of here, it could end as an uncaught exception when a hook was asynchronous.
      this.refuse(error)
      this.#nextEnd = 'is dropped'
      return
    }
    if (typeof reason === 'string') this.raw.statusMessage = reason
    if (statusCode === SWITCHING) {
      this.raw.statusCode = statusCode
      this.#nextEnd = 'switches'
    } else {
      this.#writeRefusal(statusCode)
    }
  }

  /** The `onSend` hooks of an answer have ended after something else has answered. */
  #isLate (statusCode: number): boolean {
    if (!this.#hasAnswered || this.#state === 'accepting') return false
    if (statusCode !== SWITCHING && !this.raw.headersSent) return false
    this.#warn()
    return true
  }

  #warn (): void {
    if (this.#reply !== null) logText(this.#reply.log, 'warn', ANSWERED_TWICE)
  }

  /** The application writes to the raw response. Returns whether it may. */
  mayWrite (): boolean {
    if (this.#state === 'switched') return false
    if (this.#state !== 'accepting' || this.raw.statusCode !== SWITCHING) return true
    // Fastify writes the head first. A body without it would come before the handshake.
    this.refuse(new UnexpectedSwitchError())
    return false
  }

  onEnd (args: unknown[]): void {
    if (this.#nextEnd === 'ends' && !this.mayWrite()) return
    const next = this.#nextEnd
    this.#nextEnd = 'ends'
    if (this.#state === 'switched' || next === 'is dropped') return
    if (next === 'switches') this.#switch()
    else Reflect.apply(ServerResponse.prototype.end, this.raw, args)
  }

  #setHeaders (headers: unknown): void {
    if (typeof headers !== 'object' || headers === null) return
    const entries = headerEntries(headers)
    // All or none, as Node.js does it.
    for (const [name, value] of entries) validateHeaderValue(name, String(value))
    for (const [name, value] of entries) this.raw.setHeader(name, value)
  }

  /** As in Fastify, headers of an error that cannot be sent do not change its answer. */
  #setErrorHeaders (headers: unknown): void {
    try {
      this.#setHeaders(headers)
    } catch {
      // Ignored: the error that has these headers is answered and logged already.
    }
  }

  #writeRefusal (statusCode: number): void {
    this.#beginRefusal()
    // Also while the refusal is written, the client may leave or stop reading.
    this.watch()
    this.#cutOffWithoutProgress(() => this.#transport.socket.writableLength > 0)
    this.raw.once('finish', () => { this.#closeTransport() })
    this.raw.setHeader('connection', 'close')
    // Fastify's own answer while it closes says nothing of when to come again.
    if (statusCode === SERVICE_UNAVAILABLE && !this.raw.hasHeader('retry-after')) {
      this.raw.setHeader('retry-after', RETRY_AFTER)
    }
    ServerResponse.prototype.writeHead.call(this.raw, statusCode)
  }

  /** Answers with an error in the shape of Fastify, past the router. */
  refuse (thrown: unknown): void {
    if (this.isSettled) return
    if (this.raw.headersSent) {
      this.abort()
      return
    }
    this.#hasAnswered = true
    const { statusCode, code, message, headers } = describe(thrown)
    // As Fastify does: what a client did wrong is no failure of the application.
    const level = statusCode < 500 ? 'info' : 'error'
    const log = this.#reply?.log
    if (log !== undefined) logError(log, level, thrown, 'websocket handshake failed')
    const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message })
    for (const name of this.raw.getHeaderNames()) this.raw.removeHeader(name)
    this.#setErrorHeaders(headers)
    this.raw.setHeader('content-type', 'application/json; charset=utf-8')
    this.raw.setHeader('content-length', Buffer.byteLength(body))
    this.#writeRefusal(statusCode)
    Reflect.apply(ServerResponse.prototype.end, this.raw, [body])
  }

  // --- The switch ---

  #switch (): void {
    const { socket, isWatched } = this.#transport
    this.#transport.unwatch()
    // A hook that has corked the response would hold the handshake back.
    while (socket.writableCorked > 0) socket.uncork()
    const start = this.#shakeHands()
    if (start === null) return
    this.#transport.vacate(this.raw)
    this.#transport.release()
    this.#state = 'switched'
    const log = this.#reply?.log
    // Nothing is written through the response, so it cannot notice by itself that it is finished.
    this.raw.finished = true
    Object.defineProperty(this.raw, 'headersSent', { value: true })
    this.#settle()
    // Through the raw request, which handlers get, they would keep Fastify's request alive.
    this.#send = null
    this.#reply = null
    process.nextTick(emitClose, this.raw)
    // Before the handler runs, which may pause it. Nothing is read before the next tick.
    if (isWatched) socket.resume()
    try {
      this.raw.emit('finish')
    } catch (error) {
      // A listener of the application has thrown, and the connection is open all the same.
      if (log !== undefined) logError(log, 'error', error, 'websocket response listener failed')
    }
    start()
  }

  /** Returns what starts the connection, or null if there is none. */
  #shakeHands (): (() => void) | null {
    const head = this.#transport.takeEarly()
    try {
      const start = this.#handshake?.(this.#transport.socket, head) ?? null
      if (start !== null) return start
      // ws has destroyed the socket, or the application has answered a `wsClientError` on it.
      if (this.#transport.socket.destroyed) this.#leave()
      else this.#giveAway()
      return null
    } catch (error) {
      this.refuse(error)
      return null
    }
  }

  // --- Ends ---

  /** Whether the answer is out, or nothing can be answered any more. */
  get isSettled (): boolean {
    return this.#state === 'switched' || this.#state === 'gone'
  }

  /** Calls back when the upgrade is accepted, or its socket is closed or has another owner. */
  onceSettled (callback: () => void): void {
    this.#onSettled.push(callback)
  }

  #settle (): void {
    const callbacks = this.#onSettled
    this.#onSettled = []
    for (const callback of callbacks) callback()
    this.#handshake = null
  }

  /** Ends the socket, which nothing more is to be written to. */
  endSoon (): void {
    this.#transport.endSoon()
    this.#state = 'gone'
    this.#settle()
  }

  /** The refusal is written. */
  #closeTransport (): void {
    this.endSoon()
    this.#transport.vacate(this.raw)
    process.nextTick(emitClose, this.raw)
  }

  /** The request is to be served as plain HTTP: the response is none, and the socket is free. */
  giveBack (): void {
    this.#transport.vacate(this.raw)
    this.#giveAway()
  }

  /** Cuts the client off. */
  abort (): void {
    this.#transport.socket.destroy()
  }
}

const ANSWERED_TWICE =
  'the upgrade has an answer already, so a second one is dropped; did a hook forget "return reply"?'

/** A response with the answer that it belongs to. */
interface RawResponse extends ServerResponse {
  [kAnswer]: UpgradeAnswer
  writeHead (this: RawResponse, statusCode: number, ...rest: unknown[]): this
  write (this: RawResponse, ...args: unknown[]): boolean
  end (this: RawResponse, ...args: unknown[]): this
}

function writeHead (
  this: RawResponse, statusCode: number, ...rest: unknown[]
): RawResponse {
  this[kAnswer].onWriteHead(statusCode, rest)
  return this
}

function write (this: RawResponse, ...args: unknown[]): boolean {
  if (!this[kAnswer].mayWrite()) return false
  return Reflect.apply(ServerResponse.prototype.write, this, args)
}

function end (this: RawResponse, ...args: unknown[]): RawResponse {
  this[kAnswer].onEnd(args)
  return this
}

/** A reply whose `send` is the one of this file. */
type ClaimedReply = FastifyReply & { [kAnswer]: UpgradeAnswer }

function send (this: ClaimedReply, ...args: unknown[]): FastifyReply {
  return this[kAnswer].onSend(this, args)
}

/** The answer to a raw request that is an upgrade. */
export function upgradeOf (raw: IncomingMessage | undefined): UpgradeAnswer | undefined {
  // What this library has put there, under a symbol of its own.
  return (raw as { [kUpgrade]?: UpgradeAnswer } | undefined)?.[kUpgrade]
}

function ignore (): void {}

/** As for any response, `close` follows `finish`. */
function emitClose (response: ServerResponse): void {
  response.emit('close')
}

function isTimeout (payload: unknown): boolean {
  return payload instanceof Error && 'code' in payload && payload.code === TIMEOUT_CODE
}

/** Names and values of what `writeHead` takes: an object, or a list of names and values. */
function headerEntries (headers: object): Array<[name: string, value: OutgoingHttpHeader]> {
  if (!Array.isArray(headers)) return Object.entries(headers)
  const grouped: Record<string, string[]> = {}
  for (let i = 0; i < headers.length; i += 2) {
    const values = grouped[headers[i]] ??= []
    values.push(headers[i + 1])
  }
  return Object.entries(grouped)
}

/** What Fastify would answer for an error. */
interface ErrorAnswer {
  readonly statusCode: number
  readonly code: string | undefined
  readonly message: string
  readonly headers: unknown
}

function describe (thrown: unknown): ErrorAnswer {
  const error = typeof thrown === 'string' ? new Error(thrown) : toError(thrown)
  const code = codeOf(error)
  const statusCode = read(error, 'statusCode')
  return {
    statusCode: isErrorStatus(statusCode) ? statusCode : INTERNAL_SERVER_ERROR,
    code: typeof code === 'string' ? code : undefined,
    message: error.message,
    headers: read(error, 'headers')
  }
}

function isErrorStatus (status: unknown): status is number {
  return typeof status === 'number' && status >= 400 && status < 600
}

/** A property of what the application has thrown, whose getter may throw as well. */
function read (error: object, name: string): unknown {
  try {
    return Reflect.get(error, name)
  } catch {
    return undefined
  }
}
