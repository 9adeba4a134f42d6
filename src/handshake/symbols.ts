import type { IncomingMessage } from 'node:http'

/** On the raw request of an upgrade: its UpgradeAnswer. */
export const kUpgrade = Symbol('fastify-websocket.upgrade')

/** On the raw response and the reply of an upgrade: the UpgradeAnswer that owns them. */
export const kAnswer = Symbol('fastify-websocket.answer')

/**
 * On a raw request: the object that is told of its reply and of errors. All copies of this library
 * in a process share the symbol, because one of them adds the hooks that look for it.
 */
export const kReplyWatcher = Symbol.for('fastify-websocket.reply-watcher')

/** A raw request on which an answer may stand. */
export type MarkedRequest<Answer> = IncomingMessage & {
  [kUpgrade]?: Answer, [kReplyWatcher]?: Answer
}
