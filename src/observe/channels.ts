/**
 * The channels of `node:diagnostics_channel` on which a tracing agent or a metrics library learns
 * what happens. `channel-types.ts` has the types of their messages. Without a subscriber, no
 * message is created.
 */
import { channel } from 'node:diagnostics_channel'

/** A connection was accepted, and its handler is about to run. */
export const openChannel = channel('fastify-websocket.open')

/** An upgrade was refused. */
export const refusedChannel = channel('fastify-websocket.refused')

/** A connection has ended. */
export const closeChannel = channel('fastify-websocket.close')

/** An error of a connection. */
export const errorChannel = channel('fastify-websocket.error')

/** Messages of topics may have been lost. */
export const gapChannel = channel('fastify-websocket.gap')
