/**
 * The symbols under which the parts of a connection reach each other. Applications hold the socket
 * and the stream, so members that are not for applications have symbols as names.
 */

/** On a StreamSocket: its inbox, or null. */
export const kInbox = Symbol('fastify-websocket.inbox')

/** On a StreamSocket: the state of its frame reader between two chunks. */
export const kReadState = Symbol('fastify-websocket.read-state')

/** On a StreamSocket: its outbox. */
export const kOutbox = Symbol('fastify-websocket.outbox')

/** On a StreamSocket: the Duplex made for it, or null. */
export const kStream = Symbol('fastify-websocket.stream')

/** On a StreamSocket: the owner of the connection, which gets its errors, or null. */
export const kOwner = Symbol('fastify-websocket.owner')

/** On a StreamSocket: the settings of its server, or of the Duplex made for it. */
export const kSettings = Symbol('fastify-websocket.settings')

/** SocketStream getter: the demand of its readers. */
export const kDemand = Symbol('fastify-websocket.demand')

/** SocketStream method: takes a message, or null at the end. */
export const kAccept = Symbol('fastify-websocket.accept')
