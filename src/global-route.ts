import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { upgradeOf } from './routes'
import type { WebsocketHandler } from './types'

const STRATEGY = 'fastifyWebsocket'
const UPGRADE = 'upgrade'

/**
 * Declares the route that the global `handle` is: a GET of any path below the prefix of `fastify`.
 * Being constrained to upgrades, it never collides with a `*` route of the user.
 */
export function declareGlobalRoute (fastify: FastifyInstance, handle: WebsocketHandler): void {
  if (!fastify.hasConstraintStrategy(STRATEGY)) fastify.addConstraintStrategy(createStrategy())
  const options = {
    websocket: true,
    constraints: { [STRATEGY]: UPGRADE },
    exposeHeadRoute: false
  } as const
  fastify.get('/*', options, handle)
  if (fastify.prefix !== '') fastify.get('', options, handle)
}

/** A constraint that only an upgrade meets. */
function createStrategy () {
  return {
    name: STRATEGY,
    storage: createStorage,
    validate: (): void => {},
    deriveConstraint: (req: IncomingMessage): string | undefined =>
      upgradeOf(req) === undefined ? undefined : UPGRADE
  }
}

function createStorage<Handler> () {
  let handler: Handler | null = null
  return {
    get: (value: unknown): Handler | null => value === UPGRADE ? handler : null,
    set: (_value: unknown, store: Handler): void => { handler = store }
  }
}
