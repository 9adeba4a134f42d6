import type { FastifyInstance } from 'fastify'
import { ServerResponse, type IncomingMessage } from 'node:http'

/**
 * On a raw request: what to do with it when Fastify, which may have rewritten its URL, is about
 * to look that up. Two copies of this library share the one strategy that looks for it.
 */
const kOnRouting = Symbol.for('fastify-websocket.on-routing')

const STRATEGY = 'fastifyWebsocketUrl'

/** Ends the way of a request before anything of the application sees it. */
const STOP = new Error('the URL is known')

type RequestListener = (request: IncomingMessage) => void

/**
 * Makes `onRouting` and `createRouted` work. Nothing public tells whether an application has the
 * option `rewriteUrl`, but a constraint is derived from the request as rewritten, just before the
 * router reads its URL. This one has no value, so that it decides nothing.
 */
export function watchRouting (fastify: FastifyInstance): void {
  if (fastify.hasConstraintStrategy(STRATEGY)) return
  fastify.addConstraintStrategy({
    name: STRATEGY,
    // So that it is derived although no route has it.
    mustMatchWhenDerived: true,
    // Never called, because no route has it.
    storage: Function.prototype as never,
    deriveConstraint: (request: IncomingMessage & { [kOnRouting]?: RequestListener }) => {
      request[kOnRouting]?.(request)
    }
  })
}

/** Calls `listener` when Fastify routes `request`, with the URL as `rewriteUrl` has left it. */
export function onRouting (request: IncomingMessage, listener: RequestListener): void {
  Object.assign(request, { [kOnRouting]: listener })
}

/** A request as Fastify would route it. The request itself stays as it is, and no hook runs. */
export function createRouted (fastify: FastifyInstance, request: IncomingMessage): IncomingMessage {
  const heir: IncomingMessage = Object.create(request)
  onRouting(heir, stop)
  try {
    fastify.routing(heir, new ServerResponse(heir))
  } catch (error) {
    if (error !== STOP) throw error
  }
  return heir
}

function stop (): void {
  throw STOP
}
