/**
 * A connection as the handler of its route has it: the scope in which code of the application runs
 * for it, and the one path of its errors, to the error handler or to the log.
 */
import { AsyncResource } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import {
  InvalidMessageError, isDisconnect, isOversizeError, isProtocolError
} from '../stream/errors'
import { toError } from '../observe/thrown'
import type { ConnectionReport } from './connection-report'
import type { Heartbeat, Pulse } from './heartbeat'
import { logError } from '../observe/log'
import { inboxOf } from '../stream/inbox'
import { nextTick } from '../stream/next-tick'
import { callFor, setOwner, type ConnectionOwner } from '../stream/owner'
import type { StreamSettings } from '../stream/settings'
import { StreamSocket } from '../stream/socket'
import { SocketStream } from '../stream/duplex'
import { isThenable } from '../stream/thenable'
import type { WebsocketErrorHandler, WebsocketHandler } from '../types'

/** What the connections of a route share. */
export interface ConnectionContext {
  readonly fastify: FastifyInstance
  readonly errorHandler: WebsocketErrorHandler | null
  readonly streamSettings: StreamSettings
  readonly heartbeat: Heartbeat | null
  readonly report: ConnectionReport
  /** Bytes of the longest message; 0 means no limit. */
  readonly maxPayload: number
}

// Bits that say what has been logged of a connection.

/** Something that its peer did wrong. */
const FAULT = 1 << 0
/** Something that the application did wrong. */
const FAILURE = 1 << 1

const SCOPE_OPTIONS = { requireManualDestroy: true }

/** An accepted upgrade: its stream, its log and the one path of its errors. */
export class HandlerScope extends AsyncResource implements ConnectionOwner, Pulse {
  readonly stream: SocketStream
  /** Until the first beat, a number that differs from any count of bytes. */
  progress = -1
  silence = 0

  readonly #context: ConnectionContext
  readonly #log: FastifyBaseLogger
  /** Kept only if the application has an error handler, which gets it. */
  readonly #request: FastifyRequest | null
  #logged = 0
  #reported: WeakSet<Error> | null = null

  constructor (context: ConnectionContext, socket: StreamSocket, request: FastifyRequest) {
    super('fastify-websocket', SCOPE_OPTIONS)
    this.#context = context
    this.#log = request.log
    this.#request = context.errorHandler === null ? null : request
    setOwner(socket, this)
    this.stream = new SocketStream(
      socket, context.report.settingsFor(context.streamSettings, request))
    context.heartbeat?.add()
    this.#watchListeners(request.raw)
  }

  /**
   * Calls the `close` listeners of the raw request at the end of the connection: `request.signal`
   * of Fastify has one. The connection keeps the request only if there is such a listener.
   */
  #watchListeners (raw: IncomingMessage): void {
    if (raw.listenerCount('close') > 0) {
      this.#announceEnd(raw)
      return
    }
    const onNewListener = (event: string | symbol): void => {
      if (event !== 'close') return
      raw.off('newListener', onNewListener)
      this.#announceEnd(raw)
    }
    raw.on('newListener', onNewListener)
  }

  #announceEnd (raw: IncomingMessage): void {
    const announce = (): void => { callFor(this, raw.emit, raw, 'close') }
    const { socket } = this
    if (socket.readyState === socket.CLOSED) nextTick(announce)
    else StreamSocket.whenClosed(socket, announce)
  }

  get socket (): StreamSocket {
    return this.stream.socket
  }

  get heartbeat (): Heartbeat | null {
    return this.#context.heartbeat
  }

  /** Tells that the connection has begun. Called when the constructors of subclasses are done. */
  announce (request: FastifyRequest): void {
    const { report, streamSettings } = this.#context
    report.onOpen(this.stream, request, streamSettings)
  }

  /** Runs the handler of a route; `instance` is the one that the route was declared on. */
  run (handler: WebsocketHandler, instance: FastifyInstance, request: FastifyRequest): void {
    try {
      const result = this.callHandler(handler, instance, request)
      if (isThenable(result)) this.#follow(result)
    } catch (error) {
      this.report(error)
    }
  }

  /** `CompatibleScope` calls it with other arguments. */
  protected callHandler (
    handler: WebsocketHandler, instance: FastifyInstance, request: FastifyRequest
  ): unknown {
    return handler.call(instance, this.stream, request.raw, request)
  }

  /** While an asynchronous handler runs, messages wait longer, because it may still read them. */
  #follow (result: PromiseLike<unknown>): void {
    const inbox = inboxOf(this.socket)
    inbox.startHandling()
    result.then(
      () => { inbox.endHandling() },
      (error: unknown) => {
        this.report(error)
        inbox.endHandling()
      }
    )
  }

  /** Handles an error once, even if it is reported in several ways. */
  report (thrown: unknown): void {
    const error = toError(thrown)
    if (this.#reported?.has(error) === true) return
    this.#reported ??= new WeakSet()
    this.#reported.add(error)
    this.#context.report.onError(this.stream, error)
    this.#handleError(error)
  }

  #handleError (error: Error): void {
    const { errorHandler } = this.#context
    if (errorHandler === null || this.#request === null) {
      this.#closeAndLog(error)
      return
    }
    try {
      const result = this.callErrorHandler(errorHandler, error, this.#request)
      if (isThenable(result)) {
        result.then(undefined, (failure: unknown) => { this.#failErrorHandler(failure, error) })
      }
    } catch (failure) {
      this.#failErrorHandler(failure, error)
    }
  }

  /** `CompatibleScope` calls it with other arguments. */
  protected callErrorHandler (
    errorHandler: WebsocketErrorHandler, error: Error, request: FastifyRequest
  ): unknown {
    // The error may come from code outside of the scope, such as the timer of the heartbeat.
    return this.runInAsyncScope(errorHandler, this.#context.fastify, error, this.stream, request)
  }

  #failErrorHandler (failure: unknown, error: Error): void {
    this.stream.destroy(error)
    this.#logFailure(toError(failure))
  }

  onWarning (warning: Error): void {
    // The warning comes at most once. It counts as the first fault, so later ones are for `debug`.
    this.#logged |= FAULT
    logError(this.#log, 'warn', warning, 'websocket messages dropped')
  }

  onClose (): void {
    this.#context.heartbeat?.remove()
    this.emitDestroy()
  }

  // The connection is closed first, because a logger of the application may throw or take long.
  #closeAndLog (error: Error): void {
    // While this connection is open, an error such as "connection reset" is about another one, to a
    // database for example.
    const isOver = this.socket.readyState !== this.socket.OPEN
    this.stream.destroy(error)
    if (error instanceof InvalidMessageError) this.#logPeer(error)
    else if (isOver && isDisconnect(error)) this.#logDisconnect(error)
    else if (isOver && isProtocolError(error)) this.#logPeer(error)
    else this.#logFailure(error)
  }

  #logDisconnect (error: Error): void {
    logError(this.#log, 'debug', error, 'websocket connection lost')
  }

  #logPeer (error: Error): void {
    const limit = isOversizeError(error) ? { maxPayload: this.#context.maxPayload } : {}
    const level = this.#isFirst(FAULT) ? 'info' : 'debug'
    logError(this.#log, level, error, 'websocket peer broke a rule', limit)
  }

  // Each message of one packet can make a listener reject before the connection is closed.
  #logFailure (error: Error): void {
    const level = this.#isFirst(FAILURE) ? 'error' : 'debug'
    logError(this.#log, level, error, 'websocket connection failed')
  }

  /** A peer must not be able to fill the log: after one line of a kind, the rest is `debug`. */
  #isFirst (kind: number): boolean {
    const isFirst = (this.#logged & kind) === 0
    this.#logged |= kind
    return isFirst
  }
}
