/**
 * `native` and `compatible`, for TypeScript. The types of Fastify's routes hold for a whole
 * program, and cannot follow the registration below which a route is declared. So each adapter says
 * what one handler gets. At run time both return the handler itself.
 */
import type {
  RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault, RouteGenericInterface
} from 'fastify'
import type { AdaptedHandler, CompatibleHandler, WebsocketHandler } from './types'

/** {@link WebsocketHandler} of a route with these types of params, query, body and headers. */
type NativeHandler<RouteGeneric extends RouteGenericInterface> = WebsocketHandler<
  RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, RouteGeneric
>

/** Types a handler of a plain registration, which gets `(connection, req, request)`. */
export function native<RouteGeneric extends RouteGenericInterface = RouteGenericInterface> (
  handler: NativeHandler<RouteGeneric>
): AdaptedHandler {
  return adapt(handler)
}

/**
 * Types a handler of a registration with `compatible: '@fastify/websocket'`, which gets
 * `(socket, request)`.
 */
export function compatible<RouteGeneric extends RouteGenericInterface = RouteGenericInterface> (
  handler: CompatibleHandler<RouteGeneric>
): AdaptedHandler {
  return adapt(handler)
}

function adapt (handler: unknown): AdaptedHandler {
  // The types of routes are wrong for one kind of registration, so its arguments are left open.
  return handler as AdaptedHandler
}
