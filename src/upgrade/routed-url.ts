/**
 * The URL that Fastify looks up for a request, which the option `rewriteUrl` may have changed. No
 * public interface tells the rewritten URL before the lookup. But Fastify derives the values of
 * constraints from the rewritten request just before its router reads the URL. So this file adds
 * a constraint, which no route has, and whose derivation calls a listener.
 */
import type { FastifyInstance } from 'fastify'
import { ServerResponse, type IncomingMessage } from 'node:http'
import { noop } from '../routes/noop'

/**
 * On a raw request: the listener to call when Fastify is about to look up its URL. An application
 * has one constraint strategy, which all copies of this library share, so the symbol is shared.
 */
const kOnRouting = Symbol.for('fastify-websocket.on-routing')

const STRATEGY = 'fastifyWebsocketUrl'

/** Thrown to end the dispatch of a request before a hook or a handler sees it. */
const STOP = new Error('the URL is known')

/** The attributes of a property that was assigned. */
const PLAIN = { configurable: true, enumerable: true, writable: true }

type RequestListener = (request: IncomingMessage) => void
type RoutedRequest = IncomingMessage & { [kOnRouting]?: RequestListener }

/** Adds the constraint to an application. `onRouting` and `createRouted` need it. */
export function watchRouting (fastify: FastifyInstance): void {
  if (fastify.hasConstraintStrategy(STRATEGY)) return
  fastify.addConstraintStrategy({
    name: STRATEGY,
    // Without this, Fastify would not derive a constraint that no route has.
    mustMatchWhenDerived: true,
    // The router asks for a storage when a route has the constraint, so for this one it never does.
    // The type demands one all the same.
    storage: noop as never,
    deriveConstraint: (request: RoutedRequest) => {
      request[kOnRouting]?.(request)
    }
  })
}

/** Calls `listener` when Fastify looks up `request`, after `rewriteUrl` has changed its URL. */
export function onRouting (request: RoutedRequest, listener: RequestListener): void {
  request[kOnRouting] = listener
}

/** A copy of the request with the URL that Fastify would look up. No hook runs. */
export function createRouted (fastify: FastifyInstance, request: IncomingMessage): IncomingMessage {
  const { url, method } = request
  // Over HTTP/2, `heir.url = …` would change the request, unless the heir has a URL of its own. And
  // the method of such a request is CONNECT, for which there are no routes.
  const heir: IncomingMessage = Object.create(request, {
    url: { ...PLAIN, value: url },
    method: { ...PLAIN, value: method === 'CONNECT' ? 'GET' : method }
  })
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
