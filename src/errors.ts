/**
 * The errors of the plugin: those of bad use, which are thrown at registration, and those that
 * refuse an upgrade. The errors of streams, which know nothing of Fastify, are in
 * `stream/errors.ts`. `docs/errors.md` explains all of them.
 */
import createError from '@fastify/error'
import { RETRY_AFTER } from './protocol/retry-after'

// --- Bad use, thrown at registration ---

/** `handle` is given and is not a function. */
export const InvalidHandleError = createError(
  'FST_WS_INVALID_HANDLE', 'invalid handle function', 500, TypeError)

/** `wsHandler` of a route is not a function. */
export const InvalidWsHandlerError = createError(
  'FST_WS_INVALID_WS_HANDLER', 'invalid wsHandler function', 500, TypeError)

/** A websocket route is declared for a method other than GET. */
export const InvalidMethodError = createError(
  'FST_WS_INVALID_METHOD', 'websocket handler can only be declared in GET method', 500, TypeError)

/** Options that exclude each other. Arguments: the two names. */
export const ConflictingOptionsError = createError<[one: string, other: string]>(
  'FST_WS_CONFLICTING_OPTIONS', 'options %s and %s exclude each other', 500, TypeError)

/** An option that does nothing without another. Arguments: the two names. */
export const MissingOptionError = createError<[one: string, other: string]>(
  'FST_WS_MISSING_OPTION', 'option %s does nothing without option %s', 500, TypeError)

/** An option stands where it does nothing. Arguments: where it stands, what to write instead. */
export const MisplacedOptionError = createError<[path: string, hint: string]>(
  'FST_WS_MISPLACED_OPTION', 'option %s does nothing there: %s', 500, TypeError)

/** There is no such option. Arguments: where it stands, what to write instead. */
export const UnknownOptionError = createError<[path: string, hint: string]>(
  'FST_WS_UNKNOWN_OPTION', 'unknown option %s: %s', 500, TypeError)

/** A runtime that the plugin does not work on. Arguments: its name, the reason. */
export const UnsupportedRuntimeError = createError<[name: string, reason: string]>(
  'FST_WS_UNSUPPORTED_RUNTIME', 'fastify-websocket does not work on %s: %s', 500)

/** The server of the `port` option cannot listen. Arguments: address, the system's message. */
export const ListenError = createError<
  [address: string, message: string, options: { cause: unknown }]
>('FST_WS_LISTEN', 'cannot listen on %s: %s', 500)

/** The server speaks only HTTP/2, and the option `extendedConnect` is false. */
export const Http2UnsupportedError = createError(
  'FST_WS_HTTP2_UNSUPPORTED',
  'with `extendedConnect: false`, a server that speaks only HTTP/2 has no WebSockets: leave the ' +
  'option out, or serve HTTP/1, or HTTP/2 with `https.allowHTTP1`', 500, TypeError)

/** Another plugin uses a name or a server that this one needs. Arguments: the problem. */
export const ClashError = createError<[problem: string, options?: { cause: unknown }]>(
  'FST_WS_CLASH', 'fastify-websocket clashes with another plugin: %s', 500)

/** The plugin is registered a second time on one instance. */
export const RegisteredTwiceError = createError<[options?: { cause: unknown }]>(
  'FST_WS_CLASH', 'fastify-websocket is registered already on this instance: register it once, ' +
  'or each time in a scope of its own', 500)

/**
 * A validator has answered with a promise. Messages keep their order, so none can wait for its
 * validation. Arguments: the URL of the route.
 */
export const AsyncValidatorError = createError<[url: string]>(
  'FST_WS_ASYNC_VALIDATOR', 'the validator of the messages of %s is asynchronous', 500, TypeError)

/** A schema for messages cannot be compiled. Arguments: its name, the URL, the reason. */
export const InvalidSchemaError = createError<
  [name: string, url: string, reason: string, options?: { cause: unknown }]
>('FST_WS_INVALID_SCHEMA', 'cannot compile the schema %s of %s: %s', 500)

/**
 * A schema has no JSON Schema for the document of `fastify.asyncapi`. Arguments: its name, the URL
 * of its route, the reason.
 */
export const UnsupportedSchemaError = createError<
  [name: string, url: string, reason: string, options: { cause: unknown }]
>('FST_WS_UNSUPPORTED_SCHEMA', 'cannot describe the schema %s of %s as JSON Schema: %s', 500)

// --- Refused upgrades, before the 101 ---

/** The upgrade request is not a WebSocket handshake. Arguments: the problem. */
export const InvalidHandshakeError = createError<[problem: string]>(
  'FST_WS_INVALID_HANDSHAKE', 'invalid WebSocket handshake: %s', 400)

/** An upgrade with a method other than GET (RFC 6455 section 4.1). */
export class MethodNotAllowedError extends createError(
  'FST_WS_METHOD_NOT_ALLOWED', 'a WebSocket handshake is a GET request', 405) {
  readonly headers = { allow: 'GET' }
}

/** The request has as many headers as Node.js keeps: there may have been more. */
export const HeadersTooLargeError = createError(
  'FST_WS_HEADERS_TOO_LARGE', 'too many headers', 431)

/**
 * A hook answered with a status that only the handshake may send: 101, or over HTTP/2 any status of
 * success.
 */
export const UnexpectedSwitchError = createError(
  'FST_WS_UNEXPECTED_SWITCH',
  'the status 101, and over HTTP/2 each from 200 to 299, is for the handshake of a websocket route',
  500)

/** A callback that has to answer synchronously has returned a promise. Arguments: its name. */
export const AsyncCallbackError = createError<[name: string]>(
  'FST_WS_ASYNC_CALLBACK', '%s must answer at once, and has returned a promise', 500, TypeError)

/** The client speaks a version of the protocol that is not supported (RFC 6455 section 4.4). */
export class UnsupportedVersionError extends createError(
  'FST_WS_UNSUPPORTED_VERSION', 'unsupported WebSocket version', 426) {
  readonly headers = { 'sec-websocket-version': '13, 8', upgrade: 'websocket' }
}

/**
 * The upgrade reached a route that was declared before the plugin was loaded, so the plugin does
 * not know whether the route takes WebSockets. Arguments: its URL.
 */
export const UnknownRouteError = createError<[url: string]>(
  'FST_WS_UNKNOWN_ROUTE',
  'the route %s was declared before fastify-websocket was loaded: load it at the top of the ' +
  'file, before the Fastify instance is created', 500)

/** The upgrade came from a page of another site. */
export const OriginNotAllowedError = createError(
  'FST_WS_ORIGIN_NOT_ALLOWED', 'the origin is not allowed', 403)

/** The upgrade came while the server closes. The `headers` of the error go into the answer. */
export class ClosingError extends createError(
  'FST_WS_CLOSING', 'the server is closing', 503) {
  readonly headers = { 'retry-after': String(RETRY_AFTER) }
}

/** There are `maxConnections` connections. The `headers` of the error go into the answer. */
export class TooManyConnectionsError extends createError(
  'FST_WS_TOO_MANY_CONNECTIONS', 'too many connections', 503) {
  readonly headers = { 'retry-after': String(RETRY_AFTER) }
}

/** The server refused the upgrade of `fastify.injectWS`. Arguments: the status. */
export const InjectRefusedError = createError<[statusCode: number]>(
  'FST_WS_INJECT_REFUSED', 'the server answered the upgrade with %s')
