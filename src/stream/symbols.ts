/** On a StreamSocket: the Duplex made for it, or null. */
export const kStream = Symbol('fastify-websocket.stream')

/** On a StreamSocket: who answers for the connection, or null. */
export const kOwner = Symbol('fastify-websocket.owner')

/** StreamSocket method: take over the TCP socket and the server's settings. */
export const kAttach = Symbol('fastify-websocket.attach')

/** StreamSocket method: call back at the end, whatever listeners the application has removed. */
export const kWhenClosed = Symbol('fastify-websocket.when-closed')

/** StreamSocket method: name who answers for the connection. */
export const kOwn = Symbol('fastify-websocket.own')

/** StreamSocket method: the handler has started, or has finished. */
export const kHandling = Symbol('fastify-websocket.handling')

/** StreamSocket method: a reader has come, has room again or is full. */
export const kReaderChange = Symbol('fastify-websocket.reader-change')

/** StreamSocket method: nothing that arrives is wanted any more. */
export const kDiscard = Symbol('fastify-websocket.discard')

/** StreamSocket method: send what has been written to the stream, which controls its own flow. */
export const kSend = Symbol('fastify-websocket.send')

/** StreamSocket method: close the connection if the peer is too far behind. */
export const kJudge = Symbol('fastify-websocket.judge')

/** On a StreamSocket: the settings of its server, or of the Duplex made for it. */
export const kSettings = Symbol('fastify-websocket.settings')

/** StreamSocket getter: the application, or ws in answer to the peer, has closed the connection. */
export const kClosedHere = Symbol('fastify-websocket.closed-here')

/** StreamSocket getter: how many bytes have gone through; it grows while the peer lives. */
export const kProgress = Symbol('fastify-websocket.progress')

/** StreamSocket getter: how many bytes have left the process. */
export const kSent = Symbol('fastify-websocket.sent')

/** StreamSocket method: end the connection now, for an error or without one. */
export const kCutOff = Symbol('fastify-websocket.cut-off')

/** StreamSocket method: the peer gets no more than one `closeTimeout` to end the connection. */
export const kHurry = Symbol('fastify-websocket.hurry')

/** StreamSocket method: call back when all that was written has left the process. */
export const kFlushed = Symbol('fastify-websocket.flushed')

/** StreamSocket getter: it was closed here and has ended before all that was sent had left. */
export const kUnsent = Symbol('fastify-websocket.unsent')

/** SocketStream getter: the stream has a reader. */
export const kReading = Symbol('fastify-websocket.reading')

/** On a SocketStream: it holds as much as its reader allows. */
export const kFull = Symbol('fastify-websocket.full')

/** SocketStream method: here is a message. */
export const kAccept = Symbol('fastify-websocket.accept')

/** SocketStream method: the WebSocket is closed and has nothing more to give. */
export const kEnded = Symbol('fastify-websocket.ended')

/** StreamSocket and SocketStream method: something went wrong on this connection. */
export const kReport = Symbol('fastify-websocket.report')
