import { AsyncResource } from 'node:async_hooks'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import { isDisconnect, isProtocolError, toError } from './errors'
import type { ConnectionOwner } from './stream/inbound'
import type { StreamSettings } from './stream/settings'
import type { StreamSocket } from './stream/socket'
import { SocketStream } from './stream/stream'
import { kHandling, kOwn, kReport } from './symbols'
import { isThenable } from './thenable'
import type { WebsocketErrorHandler, WebsocketHandler } from './types'

/** What the connections of one registration of the plugin share. */
export interface ConnectionContext {
  readonly fastify: FastifyInstance
  readonly errorHandler: WebsocketErrorHandler | null
  readonly streamSettings: StreamSettings
  /** The open connections, where ws does not keep them as `clients`. */
  readonly untracked: Set<StreamSocket> | null
}

const SCOPE_OPTIONS = { requireManualDestroy: true }

/** An accepted upgrade: its stream, its log and the one path of its errors. */
export class Connection extends AsyncResource implements ConnectionOwner {
  readonly stream: SocketStream

  readonly #context: ConnectionContext
  readonly #log: FastifyBaseLogger
  /** Kept only for an error handler of the application, the one who needs it later. */
  readonly #request: FastifyRequest | null

  constructor (context: ConnectionContext, socket: StreamSocket, request: FastifyRequest) {
    super('fastify-websocket', SCOPE_OPTIONS)
    this.#context = context
    this.#log = request.log
    this.#request = context.errorHandler === null ? null : request
    socket[kOwn](this)
    this.stream = new SocketStream(socket, context.streamSettings)
    context.untracked?.add(socket)
  }

  /** Runs the handler of a route, `instance` being the one that the route was declared on. */
  run (handler: WebsocketHandler, instance: FastifyInstance, request: FastifyRequest): void {
    const { socket } = this.stream
    socket[kHandling](true)
    try {
      const result = handler.call(instance, this.stream, request.raw, request)
      if (!isThenable(result)) {
        socket[kHandling](false)
        return
      }
      result.then(
        () => { socket[kHandling](false) },
        (error: unknown) => { this.#failHandler(error) }
      )
    } catch (error) {
      this.#failHandler(error)
    }
  }

  #failHandler (error: unknown): void {
    this.stream[kReport](error)
    this.stream.socket[kHandling](false)
  }

  onError (error: Error): void {
    const { errorHandler, fastify } = this.#context
    if (errorHandler === null || this.#request === null) {
      this.#logAndClose(error)
      return
    }
    try {
      const result = errorHandler.call(fastify, error, this.stream, this.#request)
      if (isThenable(result)) {
        result.then(undefined, (failure: unknown) => { this.#failErrorHandler(failure, error) })
      }
    } catch (failure) {
      this.#failErrorHandler(failure, error)
    }
  }

  #failErrorHandler (failure: unknown, error: Error): void {
    this.#log.error({ err: toError(failure) }, 'websocket connection failed')
    this.stream.destroy(error)
  }

  onWarning (warning: Error): void {
    this.#log.warn({ err: warning }, 'websocket messages dropped')
  }

  onClose (): void {
    this.#context.untracked?.delete(this.stream.socket)
    this.emitDestroy()
  }

  #logAndClose (error: Error): void {
    // On an open connection, what says "connection reset" is about another one, a database's say.
    const isOver = this.stream.socket.readyState !== this.stream.socket.OPEN
    if (isOver && isDisconnect(error)) this.#log.debug({ err: error }, 'websocket connection lost')
    else if (isOver && isProtocolError(error)) {
      this.#log.info({ err: error }, 'websocket peer broke a rule')
    } else this.#log.error({ err: error }, 'websocket connection failed')
    this.stream.destroy(error)
  }
}
