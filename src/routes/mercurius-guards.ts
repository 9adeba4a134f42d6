/**
 * Mercurius gives limits to the `@fastify/websocket` that it registers for its subscriptions. Where
 * this plugin is registered first, Mercurius registers no other, and those limits guard nothing.
 */
import type { FastifyInstance } from 'fastify'

const CODE = 'FST_WS_UNUSED_GUARD'

/** Bytes: the `maxPayload` that Mercurius gives to `@fastify/websocket`. */
const MERCURIUS_MAX_PAYLOAD = 1024 * 1024

/** Warns of the guards of Mercurius that guard nothing, when it is registered below `fastify`. */
export function warnOfMercuriusGuards (fastify: FastifyInstance, maxPayload: number): void {
  fastify.addHook('onRegister', (instance, options) => {
    // The plugin inside of Mercurius that declares the route of its subscriptions has these two.
    const isSubscription = 'subscriber' in options && 'getOptions' in options
    if (!isSubscription || !instance.hasPlugin('mercurius')) return
    if (typeof Reflect.get(options, 'verifyClient') === 'function') {
      process.emitWarning(VERIFY_CLIENT, { code: CODE })
    }
    if (maxPayload === 0 || maxPayload > MERCURIUS_MAX_PAYLOAD) {
      process.emitWarning(MAX_PAYLOAD, { code: CODE })
    }
  })
}

const VERIFY_CLIENT =
  'fastify-websocket takes the subscriptions of mercurius, so `subscription.verifyClient` is ' +
  'never called: give it to fastify-websocket, as `options.verifyClient`'

const MAX_PAYLOAD =
  'fastify-websocket takes the subscriptions of mercurius, whose limit of 1 MiB for a message ' +
  'does not count then: `options.maxPayload` of fastify-websocket is longer'
