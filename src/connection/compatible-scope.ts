/**
 * A connection of a registration with `compatible: '@fastify/websocket'`. This file has the
 * arguments that the option gives to handlers and error handlers. The option also makes text a
 * Buffer: see `stream/text.ts`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { StreamSocket } from '../stream/socket'
import type { WebsocketErrorHandler, WebsocketHandler } from '../types'
import { HandlerScope, type ConnectionContext } from './handler-scope'

/** The class of the scope of an accepted upgrade. A registration chooses it once. */
export type ScopeClass = new (
  context: ConnectionContext, socket: StreamSocket, request: FastifyRequest, reply: FastifyReply
) => HandlerScope

/** Calls the functions of the application as `@fastify/websocket` calls them. */
export class CompatibleScope extends HandlerScope {
  /** Kept only if the application has an error handler, which gets it. */
  readonly #reply: FastifyReply | null

  constructor (...[context, socket, request, reply]: ConstructorParameters<ScopeClass>) {
    super(context, socket, request)
    this.#reply = context.errorHandler === null ? null : reply
  }

  // Not `handler.call`: the type of a handler knows only the arguments of a plain registration.
  protected override callHandler (
    handler: WebsocketHandler, instance: FastifyInstance, request: FastifyRequest
  ): unknown {
    return Reflect.apply(handler, instance, [this.socket, request])
  }

  /** `this` of the error handler is the instance of the route. */
  protected override callErrorHandler (
    errorHandler: WebsocketErrorHandler, error: Error, request: FastifyRequest
  ): unknown {
    return this.runInAsyncScope(
      errorHandler, request.server, error, this.socket, request, this.#reply)
  }
}
