/** On the raw request of a WebSocket upgrade: its answer. */
export const kUpgrade = Symbol('fastify-websocket.upgrade')

/** On the raw response to a WebSocket upgrade: the answer that it is part of. */
export const kAnswer = Symbol('fastify-websocket.answer')

/**
 * On a raw request: what follows its reply. All copies of this library share it, because one of
 * them adds the hooks that call it.
 */
export const kReplyWatcher = Symbol.for('fastify-websocket.reply-watcher')
