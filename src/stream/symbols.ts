/**
 * How the parts of a connection reach each other. Applications hold the socket and the stream, so
 * what is not for them stands under a symbol.
 */

/** On a StreamSocket: what arrives. */
export const kInbox = Symbol('fastify-websocket.inbox')

/** On a StreamSocket: what reads its frames, or null if ws does. */
export const kReader = Symbol('fastify-websocket.reader')

/** On a StreamSocket: what the reading of its frames has left for the next chunk. */
export const kReadState = Symbol('fastify-websocket.read-state')

/** On a StreamSocket: what is sent. */
export const kOutbox = Symbol('fastify-websocket.outbox')

/** On a StreamSocket: the Duplex made for it, or null. */
export const kStream = Symbol('fastify-websocket.stream')

/** On a StreamSocket: what answers for the connection, or null. */
export const kOwner = Symbol('fastify-websocket.owner')

/** On a StreamSocket: the settings of its server, or of the Duplex made for it. */
export const kSettings = Symbol('fastify-websocket.settings')

/** StreamSocket method: call back at the end, whatever listeners the application has removed. */
export const kWhenClosed = Symbol('fastify-websocket.when-closed')

/** SocketStream getter: what its readers want. */
export const kDemand = Symbol('fastify-websocket.demand')

/** SocketStream method: here is a message. */
export const kAccept = Symbol('fastify-websocket.accept')

/** SocketStream method: the WebSocket is closed and has nothing more to give. */
export const kEnded = Symbol('fastify-websocket.ended')
